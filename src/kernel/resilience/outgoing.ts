import { Agent } from "undici";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { allowList, hostOf, portOf } from "./addresses.ts";
import type { Faults } from "./faults.ts";
import { createGuard } from "./connect.ts";
import type { Guard, Resolve } from "./connect.ts";
import { HostGone, hostPolicy, isGone } from "./outgoing-policy.ts";
import { DeadlinePassed, outgoingErrors, toOutgoingProblem } from "./outgoing-errors.ts";
import { parseUrl, redirected, requestOf } from "./outgoing-request.ts";
import type { OutgoingInit, Request } from "./outgoing-request.ts";
import { flatHeaders, responseOf } from "./outgoing-response.ts";
import type { Exchange, OutgoingResponse } from "./outgoing-response.ts";
import type { Policies } from "./policies.ts";

export type { OutgoingInit, OutgoingResponse };

export interface AllowedTarget {
  readonly url: URL;
  /** Checked addresses; whoever connects by other means must connect to one of these. */
  readonly addresses: readonly string[];
}

/** Requests to addresses that a tenant has named: never to private ones unless allow-listed. */
export interface Outgoing {
  /**
   * Answers as soon as the headers are there; read the body or `discard` it. Each host has a policy
   * of its own: retries of what may be repeated, a breaker, a bulkhead. So it may also throw
   * `ERR_DEPENDENCY_BROKEN` or `_OVERLOADED`, with how long to wait in `retry-after`.
   */
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
  policies: Pick<Policies, "for">;
  faults?: Pick<Faults, "at">;
  /** The name service; a test puts one of its own here. */
  resolve?: Resolve;
  /** This machine's addresses, which are refused although they may be public. */
  ownAddresses?: () => Set<string>;
}

const redirects = new Set([301, 302, 303, 307, 308]);
const agentLimits = {
  // Of all tenants together; a tenant's share of a host is its policy's.
  connections: 256,
  pipelining: 1,
  maxOrigins: 1_000,
  maxHeaderSize: 32_768,
  keepAliveTimeout: 4_000,
  keepAliveMaxTimeout: 10_000,
};
const defaults = { maxBytes: 10_485_760, timeoutMs: 30_000, maxRedirects: 5, retries: 2 };

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

interface Sender {
  agent: Agent;
  guard: Guard;
}

async function send(
  { agent, guard }: Sender,
  url: URL,
  request: Request,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
) {
  guard.checkTarget(hostOf(url), portOf(url));
  const answer = await agent.request({
    origin: url.origin,
    path: url.pathname + url.search,
    method: request.method,
    headers: request.headers,
    body: request.body,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    signal,
  });
  return { ...answer, headers: flatHeaders(answer.headers) };
}

/** Sends the request and follows its redirects, each of them checked like the first address. */
async function exchange(sender: Sender, first: URL, init: OutgoingInit, deadline: Deadline) {
  const { maxBytes, timeoutMs, maxRedirects } = { ...defaults, ...init };
  const limits = { timeoutMs, signal: deadline.signal };
  let [url, request] = [first, requestOf(init)];
  for (let hops = 0; ; hops += 1) {
    const { statusCode, headers, body } = await send(sender, url, request, limits);
    const location = headers["location"];
    if (!redirects.has(statusCode) || location === undefined || maxRedirects === 0) {
      const context: Exchange = { method: request.method, url, maxBytes, ...deadline };
      return responseOf(statusCode, headers, body, context);
    }
    // Nobody reads this body, so nobody wants to hear that it broke off.
    body.on("error", () => {}).destroy();
    if (hops === maxRedirects) {
      const detail = `${first.host} redirects more than ${maxRedirects} times.`;
      throw outgoingErrors.too_many_redirects({ detail });
    }
    const next = parseUrl(location, url);
    request = redirected(request, statusCode, url, next);
    url = next;
  }
}

/** How a request is made, with its host's policy around each attempt. */
function asking(sender: Sender, options: OutgoingOptions) {
  const { clock } = options;

  /** One attempt in what is left of the time; throws problems. */
  const attempt = async (url: URL, init: OutgoingInit, endMs: number) => {
    const deadline = startDeadline(clock, Math.max(0, endMs - clock.monotonicMs()), init.signal);
    try {
      await options.faults?.at("outgoing.request", deadline.signal);
      return await exchange(sender, url, init, deadline);
    } catch (error) {
      deadline.end();
      const late = deadline.signal.aborted && !init.signal?.aborted;
      throw toOutgoingProblem(late ? deadline.signal.reason : error, url.host);
    }
  };

  const ask = async (url: URL, init: OutgoingInit): Promise<OutgoingResponse> => {
    const { timeoutMs = defaults.timeoutMs, method = "GET", tenantId, signal } = init;
    const endMs = clock.monotonicMs() + timeoutMs;
    const mayRepeat = /^(GET|HEAD)$/i.test(method);
    const unread: OutgoingResponse[] = [];
    // Nobody reads the answer of an attempt that is repeated.
    const discard = () => unread.splice(0).forEach((response) => response.discard());
    const once = async () => {
      discard();
      const response = await attempt(url, init, endMs);
      if (!isGone(response)) return response;
      unread.push(response);
      throw new HostGone(response);
    };
    try {
      return await hostPolicy(options.policies, url, tenantId).execute(once, signal, {
        retries: init.retries ?? (mayRepeat ? defaults.retries : 0),
        mayRetry: () => clock.monotonicMs() < endMs,
      });
    } catch (error) {
      if (error instanceof HostGone) return error.response;
      discard();
      throw error;
    }
  };

  return ask;
}

/**
 * Checks scheme, credentials, port, host and every address a name leads to, for the first request
 * and for each redirect. The connection goes to an address that was checked, not to the name, so a
 * name that changes its mind between check and connection gains nothing.
 */
export function createOutgoing(options: OutgoingOptions): Outgoing {
  const { clock, log, metrics, resolve, ownAddresses: own } = options;
  const isAllowed = allowList(options.allowPrivateHosts);
  const guard = createGuard({ clock, isAllowed, resolve, own });
  const outcomes = metrics.counter("outgoing_requests_total", "Requests to addresses of tenants", [
    "outcome",
  ]);
  const agent = new Agent({ connect: guard.connect, ...agentLimits });

  const failed = (error: unknown, host: string, outer?: AbortSignal): unknown => {
    if (outer?.aborted) {
      outcomes.inc({ outcome: "cancelled" });
      return outer.reason;
    }
    const problem = toOutgoingProblem(error, host);
    outcomes.inc({ outcome: problem.code.replace(/^ERR_(OUTGOING_)?/, "").toLowerCase() });
    if (problem.code === outgoingErrors.private_address.code) {
      log.warn({ host, err: problem }, "outgoing request refused");
    }
    return problem;
  };

  const ask = asking({ agent, guard }, options);

  return {
    async fetch(text, init = {}) {
      let host = "";
      try {
        const url = parseUrl(text);
        host = url.host;
        // Before the host gets a policy: what may not be asked needs none.
        guard.checkTarget(hostOf(url), portOf(url));
        const response = await ask(url, init);
        outcomes.inc({ outcome: "answered" });
        return response;
      } catch (error) {
        throw failed(error, host, init.signal);
      }
    },
    async assertAllowed(text) {
      let host = "";
      try {
        const url = parseUrl(text);
        host = url.host;
        return { url, addresses: await guard.addressesOf(hostOf(url), portOf(url)) };
      } catch (error) {
        throw failed(error, host);
      }
    },
    close: () => agent.close(),
  };
}
