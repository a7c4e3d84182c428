import { Agent } from "undici";
import type { Dispatcher } from "undici";
import type { Clock } from "../clock.ts";
import { Problem } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { allowList, hostOf, portOf } from "./addresses.ts";
import { createGuard } from "./connect.ts";
import type { Resolve } from "./connect.ts";
import { DeadlinePassed, outgoingErrors, toOutgoingProblem } from "./outgoing-errors.ts";
import { flatHeaders, responseOf } from "./outgoing-response.ts";
import type { Exchange, OutgoingResponse } from "./outgoing-response.ts";

export type { OutgoingResponse };

export interface OutgoingInit {
  method?: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array;
  /** Largest body accepted, before and after decompression; 10 MiB by default. */
  maxBytes?: number;
  /** Limit of the whole exchange with redirects and body; 30 s by default. */
  timeoutMs?: number;
  /** 5 by default; 0 answers the redirect itself. */
  maxRedirects?: number;
  signal?: AbortSignal;
}

export interface AllowedTarget {
  readonly url: URL;
  /** Checked addresses; whoever connects by other means must connect to one of these. */
  readonly addresses: readonly string[];
}

/** Requests to addresses that a tenant has named: never to private ones unless allow-listed. */
export interface Outgoing {
  /** Answers as soon as the headers are there; read the body or `discard` it. */
  fetch(url: string, init?: OutgoingInit): Promise<OutgoingResponse>;
  /** Throws `ERR_OUTGOING_PRIVATE_ADDRESS`, `_BAD_URL`, `_UNREACHABLE` or `_TIMEOUT`. */
  assertAllowed(url: string): Promise<AllowedTarget>;
  close(): Promise<void>;
}

export interface OutgoingOptions {
  /** `host` or `host:port` that may be private. */
  allowPrivateHosts: readonly string[];
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  /** The name service; a test puts one of its own here. */
  resolve?: Resolve;
  /** This machine's addresses, which are refused although they may be public. */
  ownAddresses?: () => Set<string>;
}

const defaults = { maxBytes: 10_485_760, timeoutMs: 30_000, maxRedirects: 5 };
const maxUrlCharacters = 4_096;
const redirects = new Set([301, 302, 303, 307, 308]);
const refusedHeaders =
  /^(host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-length)$/i;
/** What may follow a redirect to another origin: nothing that could be a credential or a signature. */
const harmlessHeaders = /^(accept|accept-language|accept-encoding|user-agent|content-type)$/i;

function parse(text: string, base?: URL): URL {
  const bad = (detail: string) => outgoingErrors.bad_url({ detail });
  if (text.length > maxUrlCharacters) throw bad(`It has more than ${maxUrlCharacters} characters.`);
  if (!URL.canParse(text, base?.href)) throw bad("It is not an absolute address.");
  const url = new URL(text, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw bad("It must be http or https.");
  if (url.username !== "" || url.password !== "") throw bad("It must not hold credentials.");
  if (hostOf(url) === "") throw bad("It names no host.");
  url.hash = "";
  return url;
}

interface Request {
  method: string;
  headers: Record<string, string>;
  body: string | Uint8Array | null;
}

function requestOf(init: OutgoingInit): Request {
  const method = (init.method ?? "GET").toUpperCase();
  if (!/^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method)) {
    throw outgoingErrors.bad_request({ detail: "The method is not allowed." });
  }
  const headers: Record<string, string> = { "user-agent": "plimsoll" };
  for (const [name, value] of Object.entries(init.headers ?? {})) {
    if (refusedHeaders.test(name)) {
      throw outgoingErrors.bad_request({ detail: `The header ${name} is not allowed.` });
    }
    headers[name.toLowerCase()] = value;
  }
  headers["accept-encoding"] = "gzip, br";
  return { method, headers, body: init.body ?? null };
}

/** The request that a redirect asks for (RFC 9110, 15.4; credentials as in WHATWG Fetch). */
function redirected(request: Request, status: number, from: URL, to: URL): Request {
  const becomesGet =
    (status === 303 && request.method !== "HEAD") ||
    ((status === 301 || status === 302) && request.method === "POST");
  const isElsewhere = from.origin !== to.origin;
  const headers = Object.entries(request.headers).filter(([name]) => {
    if (becomesGet && name.startsWith("content-")) return false;
    return !isElsewhere || harmlessHeaders.test(name);
  });
  return {
    method: becomesGet ? "GET" : request.method,
    headers: Object.fromEntries(headers),
    body: becomesGet ? null : request.body,
  };
}

interface Deadline {
  signal: AbortSignal;
  end(): void;
}

function startDeadline(clock: Clock, timeoutMs: number, outer?: AbortSignal): Deadline {
  const late = new AbortController();
  const done = new AbortController();
  clock.sleep(timeoutMs, done.signal).then(
    () => late.abort(new DeadlinePassed(timeoutMs)),
    () => {},
  );
  const signal = outer ? AbortSignal.any([late.signal, outer]) : late.signal;
  return { signal, end: () => done.abort() };
}

/**
 * Checks scheme, credentials, port, host and every address a name leads to, for the first request and
 * for each redirect. The connection goes to an address that was checked, not to the name, so a name
 * that changes its mind between check and connection gains nothing.
 */
export function createOutgoing(options: OutgoingOptions): Outgoing {
  const { clock, log, metrics, resolve, ownAddresses: own } = options;
  const isAllowed = allowList(options.allowPrivateHosts);
  const guard = createGuard({ clock, isAllowed, resolve, own });
  const outcomes = metrics.counter("outgoing_requests_total", "Requests to addresses of tenants", [
    "outcome",
  ]);
  const agent = new Agent({
    connect: guard.connect,
    connections: 16,
    pipelining: 1,
    maxOrigins: 1_000,
    maxHeaderSize: 32_768,
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 10_000,
  });

  const send = async (url: URL, request: Request, timeoutMs: number, signal: AbortSignal) => {
    guard.checkTarget(hostOf(url), portOf(url));
    const answer = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method as Dispatcher.HttpMethod,
      headers: request.headers,
      body: request.body,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal,
    });
    return { ...answer, headers: flatHeaders(answer.headers) };
  };

  const exchange = async (first: URL, init: OutgoingInit, deadline: Deadline) => {
    const { maxBytes, timeoutMs, maxRedirects } = { ...defaults, ...init };
    let [url, request] = [first, requestOf(init)];
    for (let hops = 0; ; hops += 1) {
      const { statusCode, headers, body } = await send(url, request, timeoutMs, deadline.signal);
      const location = headers["location"];
      if (!redirects.has(statusCode) || location === undefined || maxRedirects === 0) {
        const context: Exchange = { method: request.method, url, maxBytes, ...deadline };
        return responseOf(statusCode, headers, body, context);
      }
      body.on("error", () => {}).destroy();
      if (hops === maxRedirects) {
        throw outgoingErrors.too_many_redirects({ extensions: { host: first.host, maxRedirects } });
      }
      const next = parse(location, url);
      request = redirected(request, statusCode, url, next);
      url = next;
    }
  };

  const failed = (error: unknown, host: string, outer?: AbortSignal): unknown => {
    if (outer?.aborted) {
      outcomes.inc({ outcome: "cancelled" });
      return outer.reason;
    }
    const problem = toOutgoingProblem(error, host);
    outcomes.inc({ outcome: problem.code.replace("ERR_OUTGOING_", "").toLowerCase() });
    if (problem.code === outgoingErrors.private_address.code) {
      log.warn({ host, err: problem }, "outgoing request refused");
    }
    return problem;
  };

  return {
    async fetch(text, init = {}) {
      const deadline = startDeadline(clock, init.timeoutMs ?? defaults.timeoutMs, init.signal);
      let host = "";
      try {
        const url = parse(text);
        host = url.host;
        const response = await exchange(url, init, deadline);
        outcomes.inc({ outcome: "answered" });
        return response;
      } catch (error) {
        deadline.end();
        const late = deadline.signal.aborted && !init.signal?.aborted;
        throw failed(late ? deadline.signal.reason : error, host, init.signal);
      }
    },
    async assertAllowed(text) {
      let host = "";
      try {
        const url = parse(text);
        host = url.host;
        return { url, addresses: await guard.addressesOf(hostOf(url), portOf(url)) };
      } catch (error) {
        throw failed(error, host);
      }
    },
    close: () => agent.close(),
  };
}
