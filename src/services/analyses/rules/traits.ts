import type { LanguageName } from "../measure/languages.ts";
import type { FileText } from "../measure/types.ts";
import { any, programs, says } from "./rule.ts";

/** What project rules ask of the code as a whole; a file has a trait when a line of it says so. */
const traits: readonly (readonly [name: string, pattern: RegExp])[] = [
  [
    "listens",
    any(
      /\.listen\(\s*(\{|\d|port|PORT|process)|\bapp\.run\(|uvicorn\.run\(|http\.ListenAndServe/,
      /SpringApplication\.run|HttpServer::new|axum::serve|WebApplication\.CreateBuilder/,
    ),
  ],
  ["stops", /SIGTERM|signal\.Notify|graceful|shutdownHook|addShutdownHook|server\.shutdown/i],
  ["health", /["'`/](health|healthz|livez|readyz|ready|live|ping|status)\b|MapHealthChecks/i],
  ["metrics", /prom-client|prometheus|opentelemetry|micrometer|["'`]\/metrics/i],
  ["limits", /rate[-_]?limit|throttl|slowDown|Ratelimit|bucket4j/i],
  ["pools", /\bpool\b|createPool|Pool\(|pool_size|HikariC/i],
];

/** The traits of one file; prose has none. */
export function traitsOf(
  path: string,
  language: LanguageName | null,
  { code }: FileText,
): string[] {
  if (language === null || !programs.includes(language) || /(^|\/)tests?\//.test(path)) return [];
  return traits.filter(([, pattern]) => says(code, pattern)).map(([name]) => name);
}
