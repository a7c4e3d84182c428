import type {
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  onResponseHookHandler,
} from "fastify";
import { requestErrors } from "../errors.ts";
import type { Random } from "../random.ts";
import { type AccessOptions, countUnmatched } from "./access.ts";
import type { CrossOrigin } from "./cross-origin.ts";
import type { Limiter } from "./limiter.ts";
import type { RequestMeter, RouteStats } from "./measure.ts";
import { parseTraceParent } from "./trace.ts";
import type { App } from "./types.ts";
import { answerUnmatched, isEmptyPath } from "./unmatched.ts";

export interface BeginOptions {
  app: App;
  headers: Readonly<Record<string, string>>;
  crossOrigin: CrossOrigin;
  limiter: Limiter;
  callerOf: AccessOptions["callerOf"];
  meter: RequestMeter;
  random: Random;
}

const SPAN_ID_BYTES = 8;

/**
 * The first thing that happens to every request: headers that every answer has, faults of the
 * address itself, and the end of requests that no route is for.
 */
export function beginRequest(options: BeginOptions): onRequestHookHandler {
  const { app, headers, crossOrigin, meter, random } = options;
  const unmatched = meter.route("any", "unmatched");
  return (request, reply, done) => {
    reply.headers(headers);
    reply.header("x-request-id", request.id);
    const trace = request.raw.headers.traceparent;
    if (trace !== undefined) continueTrace(String(trace), reply, random);
    crossOrigin.mark(request, reply);
    const fault = faultOfHead(request);
    if (fault) return done(fault);
    const isAsking = isPreflight(request);
    if (!isAsking && !request.is404 && !isEmptyPath(request.params)) return done();
    if (isAsking) {
      // Not counted: a page of another origin would spend its address's few requests on asking.
      answerUnmatched(app, crossOrigin, request, reply);
      return finish(meter, unmatched, request, reply, "info");
    }
    countUnmatched(options, request, reply, (refusal) => {
      if (refusal) return done(refusal);
      answerUnmatched(app, crossOrigin, request, reply);
      // Where a route was found after all, it counts by itself.
      if (request.is404) finish(meter, unmatched, request, reply, "info");
    });
  };
}

/**
 * A browser asking whether a page may make a request (Fetch standard); it touches nothing, and is
 * answered here where a route takes OPTIONS as well.
 */
function isPreflight({ raw }: FastifyRequest): boolean {
  return raw.method === "OPTIONS" && raw.headers["access-control-request-method"] !== undefined;
}

/** Tells who continues a trace that its parts here have the same id (W3C Trace Context 2). */
function continueTrace(header: string, reply: FastifyReply, random: Random): void {
  const trace = parseTraceParent(header);
  if (!trace) return;
  const spanId = random.bytes(SPAN_ID_BYTES).toString("hex");
  reply.header("traceresponse", `00-${trace.traceId}-${spanId}-${trace.flags}`);
}

function faultOfHead({ raw }: FastifyRequest): Error | null {
  const { url = "", headers, httpVersionMinor } = raw;
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== "100-continue") {
    return requestErrors.expectation_failed({
      detail: "Expect may be 100-continue only.",
      headers: { connection: "close" },
    });
  }
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && coding.toLowerCase() !== "chunked") {
    return requestErrors.malformed({
      detail:
        "Where such a request's body ends can't be known; send it in chunks or with its length.",
      headers: { connection: "close" },
    });
  }
  if (headers.host === undefined && httpVersionMinor === 1) {
    return requestErrors.malformed({ detail: "A request of HTTP/1.1 must name its Host." });
  }
  if (!url.includes("%")) return null;
  if (url.includes("%00")) {
    const path = url.split("?", 1)[0]?.includes("%00") ? "path" : "query";
    const errors = [{ path, message: "must not contain a NUL character" }];
    return requestErrors.invalid({ detail: "The address holds a NUL character.", errors });
  }
  try {
    decodeURIComponent(url);
    return null;
  } catch (cause) {
    return requestErrors.malformed({ detail: "The address is not valid UTF-8.", cause });
  }
}

/** The last thing: counting it, and one line in the log; at level debug where it is a probe. */
export function finishRequest(
  meter: RequestMeter,
  stats: RouteStats,
  level: "info" | "debug",
): onResponseHookHandler {
  return (request, reply, done) => {
    finish(meter, stats, request, reply, level);
    done();
  };
}

function finish(
  meter: RequestMeter,
  stats: RouteStats,
  request: FastifyRequest,
  reply: FastifyReply,
  level: "info" | "debug",
): void {
  const { statusCode, elapsedTime } = reply;
  meter.record(stats, statusCode, elapsedTime);
  const { method, route } = stats;
  request.log[level](
    {
      method: method === "any" ? request.method : method,
      route,
      status: statusCode,
      durationMs: Math.round(elapsedTime * 1_000) / 1_000,
    },
    "request",
  );
}
