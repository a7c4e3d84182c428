import { hash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { Type } from "typebox";
import { requestErrors } from "../errors.ts";
import { identityErrors } from "../identity/errors.ts";
import type { Health } from "../telemetry/health.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { strict } from "./schemas.ts";
import type { App } from "./types.ts";

const Alive = strict({ status: Type.Literal("ok", { examples: ["ok"] }) }, { title: "Alive" });

const Dependency = strict({
  ok: Type.Boolean({ examples: [true] }),
  required: Type.Boolean({ description: "Not ready while it is down." }),
  latencyMs: Type.Number({ examples: [0.8] }),
  error: Type.Optional(Type.String({ examples: ["timeout"] })),
});

const Readiness = strict(
  {
    status: Type.Enum(["ready", "not_ready"]),
    stopping: Type.Boolean({ examples: [false] }),
    dependencies: Type.Record(Type.String(), Dependency),
  },
  {
    title: "Readiness",
    examples: [
      {
        status: "ready",
        stopping: false,
        dependencies: { postgresql: { ok: true, required: true, latencyMs: 0.8 } },
      },
    ],
  },
);

export interface HealthRouteOptions {
  health: Health;
  metrics: Metrics;
  /** Without one, /metrics is served to this machine only, and never in production. */
  metricsToken?: string;
  production: boolean;
}

/** GET /health (touches nothing), /ready (asks every dependency) and /metrics (Prometheus). */
export function healthRoutes(app: App, options: HealthRouteOptions): void {
  const { health, metrics } = options;
  app.get(
    "/health",
    {
      schema: { summary: "Is the process alive", tags: ["health"], response: { 200: Alive } },
      config: { public: true, rateLimit: "none" },
    },
    () => ({ status: "ok" as const }),
  );
  app.get(
    "/ready",
    {
      schema: {
        summary: "Should the process be given work",
        description:
          "503 while a required dependency is down, and from the moment it is told to stop.",
        tags: ["health"],
        response: { 200: Readiness, 503: Readiness },
      },
      config: { public: true, rateLimit: "none" },
    },
    async (_request, reply) => {
      const { ok, stopping, dependencies } = await health.ready();
      const status = ok ? "ready" : "not_ready";
      return reply.code(ok ? 200 : 503).send({ status, stopping, dependencies });
    },
  );
  app.get(
    "/metrics",
    {
      schema: {
        summary: "What the process counts, for Prometheus",
        tags: ["health"],
        response: { 200: Type.String({ examples: ["# HELP …"] }) },
      },
      config: { public: true, rateLimit: "none" },
    },
    async (request, reply) => {
      if (!mayScrape(request.raw, options)) throw notForYou(options);
      const { contentType, text } = await metrics.expose();
      return reply.type(contentType).send(text);
    },
  );
}

function notForYou({ metricsToken }: HealthRouteOptions): Error {
  if (metricsToken === undefined) return requestErrors.not_found();
  return identityErrors.unauthenticated({ detail: "Send the metrics token as a bearer token." });
}

function mayScrape(
  request: IncomingMessage,
  { metricsToken, production }: Pick<HealthRouteOptions, "metricsToken" | "production">,
): boolean {
  if (metricsToken === undefined) return !production && isLoopback(request);
  const given = request.headers.authorization ?? "";
  return timingSafeEqual(digest(given), digest(`Bearer ${metricsToken}`));
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

/** A proxy on this machine would make everybody local, hence the look at what it adds. */
function isLoopback({ socket, headers }: IncomingMessage): boolean {
  if (headers["x-forwarded-for"] !== undefined || headers.forwarded !== undefined) return false;
  const address = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  return address === "::1" || address.startsWith("127.");
}

const SCRAPE_TIMEOUT_MS = 10_000;

/** A server of /metrics alone, on a port that only the monitoring network reaches. */
export async function startMetricsServer(
  metrics: Metrics,
  { host, port, metricsToken }: { host: string; port: number; metricsToken?: string },
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer({ requestTimeout: SCRAPE_TIMEOUT_MS }, (request, response) => {
    const asksFor = `${request.method} ${request.url?.split("?", 1)[0]}`;
    if (asksFor !== "GET /metrics") return response.writeHead(404).end();
    const permitted =
      metricsToken === undefined || mayScrape(request, { metricsToken, production: true });
    if (!permitted) return response.writeHead(401, { "www-authenticate": "Bearer" }).end();
    metrics.expose().then(
      ({ contentType, text }) => response.writeHead(200, { "content-type": contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await listening(server, host, port);
  return {
    port: (server.address() as { port: number }).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}
