import type { Clock } from "#kernel/clock.ts";
import { Problem } from "#kernel/errors.ts";
import type { Random } from "#kernel/random.ts";
import type { Outgoing, OutgoingResponse } from "#kernel/resilience/outgoing.ts";
import { outgoingErrors } from "#kernel/resilience/outgoing-errors.ts";
import { feedsErrors } from "../errors.ts";
import { backoffMs, retryAfterMs } from "../rules/backoff.ts";
import { parseExactJson } from "../rules/decimals.ts";
import { steady } from "./body.ts";
import type { PageRequest, Refusal } from "./types.ts";

/** What outgoing requests of a run go through. */
export interface FetchDeps {
  readonly outgoing: Pick<Outgoing, "fetch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "float">;
  /** Waits for the budget's token; a worker that waits long throws to give its place up. */
  readonly takeBudget: (signal: AbortSignal) => Promise<void>;
  /** The host said that the budget is used up. */
  readonly drainBudget: () => Promise<void>;
  /** How a pause between two attempts is made; the clock's sleep, outside of tests. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly tenantId: string;
}

export const fetchLimits = {
  attempts: 4,
  /** Longer waits end the attempt: the run is queued again for then. */
  pauseMsMax: 60_000,
  /** Between two parts of a body. */
  idleMs: 20_000,
  pageTimeoutMs: 60_000,
  /** Of a file that is stored while it arrives. */
  fileTimeoutMs: 3_600_000,
  pageBytesMax: 33_554_432,
  fileBytesMax: 4_294_967_296,
  recordBytesMax: 262_144,
  recordsPerPageMax: 10_000,
  recordsPerChunk: 1_000,
  pagesMax: 10_000,
};
export type FetchLimits = typeof fetchLimits;

/** How many requests a run has made, and how many of them were refused with 429. */
export interface Tally {
  requests: number;
  rateLimited: number;
}

export interface Asking {
  readonly deps: FetchDeps;
  readonly limits: FetchLimits;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  readonly refusal?: (status: number, body: unknown) => Refusal | null;
  /** A file is read while it is stored, and takes as long as that. */
  readonly isFile: boolean;
}

/** One attempt that failed, and what is to be done about it. */
interface Failure {
  problem: Problem;
  mayRetry: boolean;
  askedMs: number | null;
}

/**
 * Asks for a page until it is there: what is gone for a moment (5xx, no connection, too slow, 429)
 * is asked for again after a pause that grows. `read` belongs to the attempt. Throws problems of
 * `feedsErrors`; one that says when to come back has it in `retry-after`.
 */
export async function askSource<Answer>(
  asking: Asking,
  request: PageRequest,
  read: (response: OutgoingResponse) => Promise<Answer>,
): Promise<Answer> {
  const { deps, limits, signal } = asking;
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    await deps.takeBudget(signal);
    const result = await tryOnce(asking, request, read);
    if ("answer" in result) return result.answer;
    const { problem, mayRetry, askedMs } = result.failure;
    const waitMs = backoffMs(attempt, { random: deps.random, askedMs });
    if (waitMs > limits.pauseMsMax) throw comeBack(problem, waitMs);
    if (!mayRetry || attempt >= limits.attempts) throw problem;
    await deps.pause(waitMs, signal);
  }
}

function comeBack(problem: Problem, waitMs: number): Problem {
  const seconds = Math.ceil(waitMs / 1_000);
  const { detail } = problem.options;
  return feedsErrors.source_rate_limited({
    cause: problem,
    detail: `${detail ?? problem.title} It may be asked again in ${seconds} s.`,
    headers: { "retry-after": String(seconds) },
  });
}

async function tryOnce<Answer>(
  asking: Asking,
  request: PageRequest,
  read: (response: OutgoingResponse) => Promise<Answer>,
): Promise<{ answer: Answer } | { failure: Failure }> {
  const { deps, limits, signal, tally, isFile } = asking;
  tally.requests += 1;
  try {
    const response = await deps.outgoing.fetch(request.url, {
      headers: request.headers,
      retries: 0,
      tenantId: deps.tenantId,
      maxBytes: isFile ? limits.fileBytesMax : limits.pageBytesMax,
      timeoutMs: isFile ? limits.fileTimeoutMs : limits.pageTimeoutMs,
      signal,
    });
    if (response.ok) return { answer: await read(response) };
    return { failure: await refused(asking, response) };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return { failure: failureOf(error, limits) };
  }
}

const errorBodyBytesMax = 65_536;

/** The start of an error's body, as JSON if it is any. */
async function errorBody({ deps, limits }: Asking, response: OutgoingResponse): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of steady(response.stream(), limits.idleMs, deps.clock)) {
      parts.push(part);
      bytes += part.length;
      if (bytes > errorBodyBytesMax) return null;
    }
    return parseExactJson(Buffer.concat(parts).toString("utf8"));
  } catch {
    // The status says enough where the body can't be read.
    return null;
  }
}

const byStatus: Readonly<Record<number, Refusal>> = {
  401: "credentials",
  402: "plan",
  403: "credentials",
  408: "unavailable",
  425: "unavailable",
  429: "rate_limited",
};

async function refused(asking: Asking, response: OutgoingResponse): Promise<Failure> {
  const { status, headers, url } = response;
  const body = await errorBody(asking, response);
  const fallback = byStatus[status] ?? (status >= 500 ? "unavailable" : "other");
  const meaning = asking.refusal?.(status, body) ?? fallback;
  const failure = refusalFailure(meaning, `${new URL(url).host} answered ${status}.`);
  if (meaning === "rate_limited") {
    asking.tally.rateLimited += 1;
    await asking.deps.drainBudget();
  }
  const askedMs = retryAfterMs(headers["retry-after"], asking.deps.clock.nowMs());
  return { ...failure, askedMs: failure.mayRetry ? askedMs : null };
}

const refusals = {
  credentials: feedsErrors.source_unauthorized,
  plan: feedsErrors.source_plan,
  rate_limited: feedsErrors.source_rate_limited,
  unavailable: feedsErrors.source_unavailable,
  other: feedsErrors.source_refused,
} as const;

/** What a source meant, as a failure that may or may not be tried again. */
export function refusalFailure(meaning: Refusal, detail: string): Failure {
  const mayRetry = meaning === "rate_limited" || meaning === "unavailable";
  return { problem: refusals[meaning]({ detail }), mayRetry, askedMs: null };
}

function failureOf(error: unknown, limits: FetchLimits): Failure {
  if (!(error instanceof Problem)) throw error;
  const { code, options } = error;
  const detail = options.detail ?? error.title;
  const of = (problem: Problem, mayRetry: boolean) => ({ problem, mayRetry, askedMs: null });
  if (code === outgoingErrors.too_large.code) {
    const hint = `A page may have ${limits.pageBytesMax} bytes; ask for fewer records.`;
    return of(feedsErrors.page_too_large({ cause: error, detail: `${detail} ${hint}` }), false);
  }
  if (code === outgoingErrors.unreachable.code || code === outgoingErrors.timeout.code) {
    return of(feedsErrors.source_unavailable({ cause: error, detail }), true);
  }
  if (code === feedsErrors.source_slow.code) return of(error, true);
  if (code.startsWith("ERR_DEPENDENCY_")) {
    const { headers } = options;
    return of(feedsErrors.source_unavailable({ cause: error, detail, headers }), false);
  }
  return of(error, false);
}
