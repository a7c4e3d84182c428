import type { Clock } from "#kernel/clock.ts";
import { ApiError, CommandError, type ProblemDocument, UsageError } from "./errors.ts";

export interface Call {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below /api/v1: "/shops". Values in it must be encoded: see `path`. */
  path: string;
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON, unless it is bytes or a stream of them. */
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
  /** Creates something: sent with an Idempotency-Key, so that it can be repeated safely. */
  isCreation?: boolean;
  /** Neither token nor API key is sent: signing in. */
  isAnonymous?: boolean;
  signal?: AbortSignal;
  /** How long the answer may take to begin, sending included; 60 s unless given. */
  timeoutMs?: number;
}

export interface Transport {
  /** Where the API is: scheme, host and port. */
  readonly origin: string;
  /** One request; throws a CommandError when no answer comes. */
  send(call: Call, credentials?: Readonly<Record<string, string>>): Promise<Response>;
}

const headersTimeoutMs = 60_000;
const attemptsAtMost = 3;
const retryDelayMs = 300;
/** Statuses of a server that is not there for the moment: a restart, a full queue. */
const passing = new Set([502, 503, 504]);

/** No answer came. */
class NoAnswer extends CommandError {
  /** The connection broke; where nothing listens or nothing comes, trying again at once is idle. */
  readonly isBroken: boolean;

  constructor(message: string, isBroken: boolean) {
    super(message, "Start it with `npm start`, or name another with --api or PLIMSOLL_API.");
    this.isBroken = isBroken;
  }
}

/** Puts values into a path, encoded: path`/shops/${id}`. */
export function path(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return parts.reduce((text, part, index) => {
    return `${text}${encodeURIComponent(values[index - 1] as string)}${part}`;
  });
}

/** Sends requests to the API at `api`; a redirect is an error: it would carry credentials away. */
export function createTransport(api: string, send: typeof fetch): Transport {
  const origin = originOf(api);
  return {
    origin,
    async send(call, credentials = {}) {
      const timeout = new AbortController();
      const timer = setTimeout(() => timeout.abort(), call.timeoutMs ?? headersTimeoutMs);
      const signal = call.signal ? AbortSignal.any([call.signal, timeout.signal]) : timeout.signal;
      try {
        return await send(urlOf(origin, call), { ...requestOf(call, credentials), signal });
      } catch (error) {
        if (call.signal?.aborted) throw error;
        throw unreachable(origin, error, timeout.signal.aborted);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function urlOf(origin: string, { path: below, query }: Call): URL {
  const url = new URL(`/api/v1${below}`, origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url;
}

function requestOf(call: Call, credentials: Readonly<Record<string, string>>): RequestInit {
  const { method = "GET", body } = call;
  const own = { accept: "application/json", "user-agent": "plimsoll command line" };
  const headers = { ...own, ...credentials, ...call.headers };
  const redirect = "error" as const;
  if (body === undefined) return { method, headers, redirect };
  if (body instanceof Uint8Array)
    return { method, headers, redirect, body: body as Uint8Array<ArrayBuffer> };
  if (body instanceof ReadableStream) return { method, headers, redirect, body, duplex: "half" };
  return {
    method,
    redirect,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
}

/** Whether sending the call twice does no harm. */
function mayRepeat({ method = "GET", body, headers }: Call): boolean {
  if (body instanceof ReadableStream) return false;
  return method === "GET" || headers?.["idempotency-key"] !== undefined;
}

/**
 * Runs `attempt`, again (3 times at most) when the call may be repeated and its connection broke or
 * the server said that it will be back.
 */
export async function patiently(
  clock: Clock,
  call: Call,
  attempt: () => Promise<Response>,
): Promise<Response> {
  for (let count = 1; ; count += 1) {
    const isLast = !mayRepeat(call) || count >= attemptsAtMost;
    try {
      const response = await attempt();
      if (isLast || !passing.has(response.status)) return response;
      await response.body?.cancel();
    } catch (error) {
      if (isLast || !(error instanceof NoAnswer && error.isBroken)) throw error;
    }
    await clock.sleep(retryDelayMs * count, call.signal);
  }
}

/** The answer's JSON; null when it is empty. Throws ApiError when the server refused. */
export async function readAnswer<T>(response: Response): Promise<T> {
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  try {
    return (text === "" ? null : JSON.parse(text)) as T;
  } catch {
    throw new CommandError(`${response.url} answered something that is not JSON`);
  }
}

/** What a refusing answer says, as an error. */
export async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text();
  const retryAfter = response.headers.get("retry-after");
  const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
  const fallback = { title: response.statusText || "The server refused", status: response.status };
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  let problem: ProblemDocument = fallback;
  try {
    if (isJson) problem = { ...fallback, ...JSON.parse(text) };
  } catch {
    // Cut off on its way: the status still says what happened.
  }
  return new ApiError(problem, Number.isFinite(seconds) ? seconds : undefined);
}

function originOf(api: string): string {
  const url = URL.parse(api);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`"${api}" is no address of an API, such as http://127.0.0.1:7070`);
  }
  return url.origin;
}

const brokenCodes = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

function unreachable(origin: string, error: unknown, isTimeout: boolean): NoAnswer {
  const { code, message } = (error as { cause?: { code?: string; message?: string } }).cause ?? {};
  if (isTimeout) return new NoAnswer(`${origin} does not answer`, false);
  if (code === "ECONNREFUSED") return new NoAnswer(`Nothing listens at ${origin}`, false);
  const why = code ?? message ?? String(error);
  return new NoAnswer(`${origin} can't be reached (${why})`, brokenCodes.has(code ?? ""));
}
