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
    () => alive,
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
      const { ok, ...readiness } = await readinessOf(health);
      return reply.code(ok ? 200 : 503).send(readiness);
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

const alive = { status: "ok" as const };

async function readinessOf(health: Health) {
  const { ok, stopping, dependencies } = await health.ready();
  return { ok, status: ok ? ("ready" as const) : ("not_ready" as const), stopping, dependencies };
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

interface Watched {
  metrics: Metrics;
  health: Health;
}

interface Told {
  status: number;
  contentType: string;
  text: string;
}

const told = (status: number, body: unknown): Told => ({
  status,
  contentType: "application/json; charset=utf-8",
  text: JSON.stringify(body),
});

/** What the port tells, by path. */
const tellers: Readonly<Record<string, (watched: Watched) => Told | Promise<Told>>> = {
  "/health": () => told(200, alive),
  "/ready": async ({ health }) => {
    const { ok, ...readiness } = await readinessOf(health);
    return told(ok ? 200 : 503, readiness);
  },
  "/metrics": async ({ metrics }) => ({ status: 200, ...(await metrics.expose()) }),
};

/**
 * A server of /metrics, /health and /ready alone, on a port that only the monitoring network
 * reaches. A worker has no other.
 */
export async function startMetricsServer(
  watched: Watched,
  { host, port, metricsToken }: { host: string; port: number; metricsToken?: string },
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer({ requestTimeout: SCRAPE_TIMEOUT_MS }, (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const tell = Object.hasOwn(tellers, path) ? tellers[path] : undefined;
    if (!tell) return response.writeHead(404).end();
    if (request.method !== "GET" && request.method !== "HEAD") {
      return response.writeHead(405, { allow: "GET, HEAD" }).end();
    }
    const guarded = path === "/metrics" && metricsToken !== undefined;
    if (guarded && !mayScrape(request, { metricsToken, production: true })) {
      return response.writeHead(401, { "www-authenticate": "Bearer" }).end();
    }
    // An answer to HEAD leaves its body out by itself.
    Promise.resolve(tell(watched)).then(
      ({ status, contentType, text }) =>
        response.writeHead(status, { "content-type": contentType }).end(text),
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
