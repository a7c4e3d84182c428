import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import type { ErrorCatalogue } from "../errors.ts";
import {
  errorsPage,
  type ListedError,
  referencePage,
  referenceStart,
  styles,
} from "./docs-pages.ts";
import { pageHeaders, pagePolicyWith } from "./headers.ts";
import type { App } from "./types.ts";

export interface DocsOptions {
  /** Every catalogue whose errors may be answered. */
  errors: readonly ErrorCatalogue[];
  /** The OpenAPI document's text; made when first asked for. */
  openapi: () => string;
}

const page = { public: true, hidden: true } as const;
const asset = { ...page, rateLimit: "none" } as const;

/** /openapi.json, its reference page at /docs, and the error catalogue at /docs/errors. */
export function docsRoutes(app: App, { errors, openapi }: DocsOptions): void {
  const catalogue = errorList(errors);
  app.get("/openapi.json", { config: page }, (_request, reply) =>
    reply.header("content-type", "application/json; charset=utf-8").send(openapi()),
  );
  app.get("/docs", { config: page }, (_request, reply) => {
    // The reference page's widgets set styles of their own; scripts stay ours alone.
    const policy = pagePolicyWith("style-src", "'unsafe-inline'");
    return sendPage(reply, referencePage, { "content-security-policy": policy });
  });
  app.get("/docs/errors", { config: page }, (_request, reply) =>
    sendPage(reply, errorsPage(catalogue)),
  );
  app.get("/docs/errors.json", { config: page }, () => ({ errors: catalogue }));
  app.get("/docs/assets/docs.css", { config: asset }, (_request, reply) =>
    reply.headers(assetHeaders("text/css")).send(styles),
  );
  app.get("/docs/assets/start.js", { config: asset }, (_request, reply) =>
    reply.headers(assetHeaders("text/javascript")).send(referenceStart),
  );
  let script: Promise<Script> | null = null;
  app.get("/docs/assets/reference.js", { config: asset, compress: false }, (request, reply) => {
    script ??= loadReference();
    return script.then((loaded) => sendScript(request, reply, loaded));
  });
}

/** Every error that there is, by area and code. */
export function errorList(catalogues: readonly ErrorCatalogue[]): ListedError[] {
  return catalogues
    .flatMap((catalogue) => Object.values(catalogue))
    .map(({ code, entry }) => {
      const area = (code.split("_")[1] ?? "").toLowerCase();
      const members = Object.keys(entry.members ?? {});
      return { code, status: entry.status, title: entry.title, area, members };
    })
    .sort((a, b) => a.area.localeCompare(b.area) || a.status - b.status);
}

function sendPage(reply: FastifyReply, html: string, headers = {}): FastifyReply {
  const type = { "content-type": "text/html; charset=utf-8" };
  return reply.headers({ ...pageHeaders, ...type, ...headers }).send(html);
}

const ASSET_KEPT_SECONDS = 3_600;

function assetHeaders(type: string): Record<string, string> {
  return {
    "content-type": `${type}; charset=utf-8`,
    "cache-control": `public, max-age=${ASSET_KEPT_SECONDS}`,
  };
}

interface Script {
  plain: Buffer;
  zipped: Buffer;
}

/**
 * The reference page's script out of Scalar's Fastify plugin, which has it inside; megabytes that
 * are loaded when somebody first looks. A server of its own keeps the plugin's routes out of ours.
 */
async function loadReference(): Promise<Script> {
  const { default: scalar } = await import("@scalar/fastify-api-reference");
  const bench = fastify();
  await bench.register(scalar, {
    routePrefix: "/docs",
    configuration: { url: "/openapi.json" },
  });
  const { rawPayload } = await bench.inject("/docs/js/scalar.js");
  await bench.close();
  return { plain: rawPayload, zipped: await promisify(gzip)(rawPayload) };
}

function sendScript(request: FastifyRequest, reply: FastifyReply, script: Script): FastifyReply {
  reply.headers({ ...assetHeaders("text/javascript"), vary: "Accept-Encoding" });
  if (!/\bgzip\b/.test(request.headers["accept-encoding"] ?? "")) {
    return reply.send(script.plain);
  }
  return reply.header("content-encoding", "gzip").send(script.zipped);
}
