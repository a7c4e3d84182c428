import { once } from "node:events";
import type { ClientRequest } from "node:http";
import { requestErrors } from "#kernel/errors.ts";
import { rawRoutes } from "#kernel/http/raw.ts";
import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import { offeredProtocols } from "#kernel/http/upgrade.ts";
import type { Routes } from "#kernel/service.ts";
import { Type } from "typebox";
import { whileInUse } from "../changes/access.ts";
import { type Answer, ask, relayAnswer, sendBody } from "../engine/forward.ts";
import { connectToPort, type PortTarget } from "../engine/port.ts";
import { leasesErrors } from "../errors.ts";
import {
  answeredHeaders,
  askedHeaders,
  hostOf,
  pathBelow,
  rewriteLocation,
  upgradeAnswer,
  upgradeHeaders,
} from "../rules/forwarding.ts";
import { PortPath } from "../schemas/ports.ts";
import type { LeasesDeps } from "../types.ts";
import { reachErrors } from "./exec.ts";
import { accessOf, leaseSeats, type LeaseSeats, whenGone } from "./reach.ts";

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
const bodyBytesMax = 268_435_456;
const answerBytesMax = 1_073_741_824;
const arrivalMs = 600_000;
const exchangeMs = 3_600_000;
const silenceMs = 600_000;

const description = `Hands the request to the program that listens at a port of the lease's \
container, over HTTP/1.1, and its answer back, streams and WebSockets too. Only ports that the \
lease declares. Credentials stay here: \`Authorization\`, \`X-API-Key\` and \`Cookie\` never reach \
the container, which is told by \`X-Forwarded-For\`, \`-Host\`, \`-Proto\` and \`-Prefix\` who \
asks and where. Of the answer, whatever would hold for this whole origin is left out, such as \
\`Set-Cookie\` and CORS headers, and it is sandboxed: a page runs no script. A redirect stays \
below this address; one that leads elsewhere loses its \`Location\`. \`Via: 1.1 plimsoll\` tells \
the container's answers from the server's own. A request has 256 MiB, an answer 1 GiB and 60 s to \
begin; after an hour, or ten minutes of silence on a WebSocket, it is over.`;

const summaries = {
  GET: "Ask a port of a lease, or open a WebSocket to it",
  POST: "Post to a port of a lease",
  PUT: "Put to a port of a lease",
  PATCH: "Patch something at a port of a lease",
  DELETE: "Delete something at a port of a lease",
  OPTIONS: "Ask a port of a lease what it offers",
} as const;

/** What is reached at the ports of containers. */
export const portRoutes: Routes<LeasesDeps> = (app, deps) => {
  const limits = { max: 1_024, perTenantMax: 256, perLeaseMax: 64 };
  const seats = leaseSeats("requests to ports", limits);
  const whatever = { "*/*": { schema: { type: "string", format: "binary" } } };
  const isSocket = (method: string) => method === "GET";
  const hasBody = (method: string) => !["GET", "OPTIONS"].includes(method);
  rawRoutes(app, (scope) => {
    for (const method of methods) {
      scope.route({
        method,
        url: "/leases/:id/ports/:port/*",
        schema: {
          summary: summaries[method],
          description,
          params: PortPath,
          response: {
            200: Type.Unsafe<never>({ description: "As the program answers.", content: whatever }),
          },
        },
        config: {
          permission: "lease:connect",
          raw: true,
          ...(isSocket(method) && { websocket: { optional: true } }),
          ...(hasBody(method) && { arrivalTimeoutMs: arrivalMs }),
          errors: [
            ...reachErrors,
            ...(hasBody(method) ? [requestErrors.too_large] : []),
            leasesErrors.unknown_port,
            leasesErrors.port_silent,
            leasesErrors.port_late,
          ],
        },
        handler: (request, reply) => forward(deps, seats, request, reply as MutatingReply),
      });
    }
  });
};

async function forward(
  deps: LeasesDeps,
  seats: LeaseSeats,
  request: MutatingRequest,
  reply: MutatingReply,
): Promise<void> {
  const gone = whenGone(reply);
  const { tenant } = request;
  const { port } = request.params as { port: number };
  const { lease, runtime, containerId } = await accessOf(deps, request, "use", "lease:connect");
  if (!lease.ports.includes(port)) {
    const declared = lease.ports.join(", ") || "none";
    const detail = `Port ${port} is not one that the lease has declared; they are: ${declared}.`;
    throw leasesErrors.unknown_port({ detail });
  }
  const path = pathBelow(request.raw.url ?? "");
  if (path === null) throw requestErrors.not_found();
  const leave = seats.enter(tenant.id, lease.id);
  const over = new AbortController();
  try {
    const way = { prefix: `/api/v1/leases/${lease.id}/ports/${port}`, path };
    const target = { runtime, containerId, port };
    await whileInUse(deps, tenant, lease.id, () =>
      exchange(deps, { request, reply, target, way, gone, over }),
    );
  } finally {
    over.abort();
    leave();
  }
}

interface Exchange {
  readonly request: MutatingRequest;
  readonly reply: MutatingReply;
  readonly target: PortTarget;
  readonly way: { readonly prefix: string; readonly path: string };
  /** Aborted when who asks has gone. */
  readonly gone: AbortSignal;
  /** Aborted by whoever ends the exchange. */
  readonly over: AbortController;
}

async function exchange(deps: LeasesDeps, exchanged: Exchange): Promise<void> {
  const { clock, config } = deps;
  const { request, target, way, gone, over } = exchanged;
  const { port } = target;
  const { webSockets } = request.server;
  const signal = AbortSignal.any([gone, over.signal]);
  const isUpgrade = webSockets.isAsked(request);
  const headers = askedHeaders(request.raw.headers, port, {
    address: request.ip,
    protocol: config.publicUrl.startsWith("https:") ? "https" : "http",
    host: request.raw.headers.host ?? "",
    prefix: way.prefix,
    requestId: request.id,
  });
  const socket = await connectToPort(target, { clock, signal });
  const send = async (asked: ClientRequest) => {
    if (isUpgrade) asked.end();
    else await sendBody(request.raw, asked, bodyBytesMax);
  };
  const asking = {
    method: request.method,
    path: way.path,
    headers: isUpgrade ? upgradeHeaders(headers, offeredProtocols(request.raw)) : headers,
    port,
    socket,
    clock,
    signal,
  };
  try {
    const answer = await ask(asking, send);
    clock.sleep(exchangeMs, signal).then(
      () => over.abort(),
      () => undefined,
    );
    if (answer.kind === "upgrade") await tunnel(exchanged, answer);
    else await relay(exchanged, answer);
  } finally {
    socket.destroy();
  }
}

async function relay(
  { request, reply, target, way, over }: Exchange,
  { message }: Extract<Answer, { kind: "answer" }>,
): Promise<void> {
  const { webSockets } = request.server;
  const { location, "content-type": type = "" } = message.headers;
  const hosts = [hostOf(target.port), request.raw.headers.host ?? ""];
  const rewritten = location === undefined ? null : rewriteLocation(location, { ...way, hosts });
  const isEndless = type.startsWith("text/event-stream");
  webSockets.watch(request, over.signal, (why) => {
    // What ends by itself may do so; its connection is not for another request.
    if (why !== "stopping" || isEndless) over.abort();
    else reply.raw.once("finish", () => request.raw.socket.destroySoon());
  });
  over.signal.addEventListener("abort", () => void message.destroy(), { once: true });
  const own = reply.getHeaders() as Record<string, string>;
  const headers = { ...own, ...answeredHeaders(message.headers, rewritten) };
  reply.hijack();
  try {
    await relayAnswer(message, reply.raw, headers, answerBytesMax);
  } catch (error) {
    // Nobody is to take what has come for all there is.
    reply.raw.destroy();
    request.log.debug({ err: error }, "an answer of a container's broke off");
  }
}

async function tunnel(
  { request, reply, over }: Exchange,
  { message, socket: inside, head }: Extract<Answer, { kind: "upgrade" }>,
): Promise<void> {
  const { socket: outside, head: early } = request.server.webSockets.tunnel(request, reply);
  const end = () => {
    outside.destroy();
    inside.destroy();
  };
  over.signal.addEventListener("abort", end, { once: true });
  const closed = [once(outside, "close"), once(inside, "close")];
  // What was said last is still heard.
  inside.once("close", () => outside.destroySoon());
  outside.once("close", () => inside.destroySoon());
  for (const socket of [inside, outside]) socket.on("error", end).setTimeout(silenceMs, end);
  outside.write(upgradeAnswer(message.headers, request.id));
  outside.write(head);
  inside.write(early);
  outside.pipe(inside);
  inside.pipe(outside);
  await Promise.allSettled(closed);
}
