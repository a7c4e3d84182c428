// The style, made executable: `npm run tidy [-- path …]`. PLIMSOLL_TIDY_WORDS holds words that must
// not be published, separated by commas; they are not in the repository for the same reason.
import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { checkLockfile } from "./tidy/lockfile.ts";
import { tidy } from "./tidy/rules.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

const checkedFiles = [
  "*.md",
  "{src,scripts,tests,bench,chaos,console,decisions,docs}/**/*.{ts,tsx,mjs,sql,md}",
  "src/services/**/*",
];
const startingFiles = ["package.json", ".ci/*", "bin/*", ".github/workflows/*", "deploy/**/*"];

const list = (patterns: readonly string[]): string[] =>
  globSync(patterns, {
    cwd: root,
    withFileTypes: true,
    exclude: (entry) => /^(node_modules|dist|coverage|\.plimsoll)$/.test(entry.name),
  })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(root.length));

const readText = (path: string) => readFileSync(root + path, "utf8");

function main(wanted: readonly string[]): number {
  const startedMs = performance.now();
  const paths = [...new Set(list(checkedFiles))].sort();
  const findings = [
    ...tidy(new Map(paths.map((path) => [path, readText(path)])), {
      mentions: list(startingFiles).map(readText).join("\n"),
      forbiddenWords: (process.env.PLIMSOLL_TIDY_WORDS ?? "").split(",").filter(Boolean),
    }),
    ...checkLockfile(readText("package-lock.json")),
  ].filter(({ path }) => wanted.length === 0 || wanted.some((part) => path.startsWith(part)));
  for (const { rule, path, line, message } of findings) {
    console.log(`${path}:${line}: ${message} [${rule}]`);
  }
  const ms = Math.round(performance.now() - startedMs);
  const verdict = findings.length === 0 ? "Tidy" : `${findings.length} findings`;
  console.log(`${verdict} in ${paths.length} files (${ms} ms).`);
  return findings.length === 0 ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
