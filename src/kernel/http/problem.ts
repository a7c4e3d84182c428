import { STATUS_CODES } from "node:http";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import {
  CommitUnknownError,
  isCheckViolation,
  isConnectionError,
  isDataError,
  isForeignKeyViolation,
  isLockTimeout,
  isPgError,
  isRetryable,
  isStatementTimeout,
  isUniqueViolation,
} from "../db/pg-errors.ts";
import { Problem, requestErrors } from "../errors.ts";
import { tooLarge } from "./body.ts";

/** When to try again after a 503 that doesn't know better. */
const RETRY_AFTER_SECONDS = 2;

/** A stranger may ask for a path of any length; the answer need not repeat all of it. */
const INSTANCE_CHARS_MAX = 1_024;

const PROBLEM_TYPE = "application/problem+json";

/**
 * The public problem for anything that was thrown. What is not a `Problem` becomes its `cause`,
 * which is logged and never sent: no stack, SQL, file or host name leaves the process.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return ofDatabase(error) ?? ofFramework(error) ?? requestErrors.internal({ cause: error });
}

function ofDatabase(cause: unknown): Problem | null {
  if (cause instanceof CommitUnknownError) {
    return requestErrors.unavailable({
      detail: "The database went away while saving; look whether the change was made.",
      cause,
    });
  }
  if (isConnectionError(cause) || isLockTimeout(cause) || isStatementTimeout(cause)) {
    return requestErrors.unavailable({ detail: "The database did not answer in time.", cause });
  }
  if (isRetryable(cause)) {
    return requestErrors.unavailable({
      detail: "Another change was in the way; the same request may succeed when sent again.",
      cause,
    });
  }
  if (isUniqueViolation(cause) || isForeignKeyViolation(cause)) {
    return requestErrors.conflict({ cause });
  }
  if (isDataError(cause) || isCheckViolation(cause)) {
    return requestErrors.invalid({ detail: "A value is outside of what can be stored.", cause });
  }
  if (isPgError(cause) && cause.code.startsWith("53")) {
    return requestErrors.unavailable({ detail: "The database has no room left.", cause });
  }
  return null;
}

const byStatus: Readonly<Record<number, (cause: unknown) => Problem>> = {
  400: (cause) => requestErrors.malformed({ cause }),
  404: (cause) => requestErrors.not_found({ cause }),
  408: (cause) => requestErrors.timeout({ cause }),
  413: (cause) => requestErrors.too_large({ cause }),
  414: (cause) => requestErrors.malformed({ detail: "A part of the path is too long.", cause }),
  415: (cause) => requestErrors.unsupported_media_type({ cause }),
  503: (cause) => requestErrors.unavailable({ cause }),
};

/**
 * Fastify's own errors say by their status what they are; anybody else's status is not believed.
 */
function ofFramework(cause: unknown): Problem | null {
  const { code, statusCode } = (cause ?? {}) as Partial<FastifyError>;
  if (code === "ECONNRESET" || code === "ERR_STREAM_PREMATURE_CLOSE") {
    return requestErrors.malformed({ detail: "The request broke off.", cause });
  }
  if (typeof code !== "string" || !code.startsWith("FST_")) return null;
  return byStatus[statusCode ?? 500]?.(cause) ?? null;
}

/** The problem document's text. Members always stand in the same order. */
export function problemText(problem: Problem, instance: string, requestId: string): string {
  const { detail, errors, extensions } = problem.options;
  return JSON.stringify({
    type: `/docs/errors#${problem.code}`,
    title: problem.title,
    status: problem.status,
    detail: detail ?? `${problem.title}.`,
    instance,
    code: problem.code,
    requestId,
    ...(errors && { errors }),
    ...extensions,
  });
}

/** Headers that follow from what a problem is. */
function problemHeaders(problem: Problem): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": PROBLEM_TYPE,
    "cache-control": "no-store",
  };
  if (problem.status === 401) headers["www-authenticate"] = 'Bearer realm="plimsoll"';
  if (problem.status === 503) headers["retry-after"] = String(RETRY_AFTER_SECONDS);
  for (const [name, value] of Object.entries(problem.options.headers ?? {})) {
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

/** Answers with a problem and logs it: a fault of ours as an error, with its cause. */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = problemOf(isTooLarge(error) ? tooLarge(request.routeOptions.bodyLimit) : error);
  const { code, status } = problem;
  const cause = problem.options.cause;
  if (status >= 500 && code === requestErrors.internal.code) {
    request.log.error({ err: cause, code }, "request failed");
  } else if (cause !== undefined) {
    request.log[status >= 500 ? "warn" : "debug"]({ err: cause, code }, "request refused");
  }
  for (const name of ["etag", "location", "content-encoding", "content-disposition"]) {
    reply.removeHeader(name);
  }
  const text = problemText(problem, pathOf(request), request.id);
  // A buffer, since Fastify would add a charset to the type of a text, which JSON has none of.
  return reply.code(status).headers(problemHeaders(problem)).send(Buffer.from(text));
}

/** Fastify's refusal doesn't say what the limit is. */
function isTooLarge(error: unknown): boolean {
  return (error as FastifyError | null)?.code === "FST_ERR_CTP_BODY_TOO_LARGE";
}

function pathOf(request: FastifyRequest): string {
  return (request.raw.url ?? "/").split("?", 1)[0]?.slice(0, INSTANCE_CHARS_MAX) ?? "/";
}

/** A whole HTTP answer for a connection that never made a request worth the name. */
export function rawProblem(problem: Problem, requestId: string): string {
  const body = problemText(problem, "/", requestId);
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? "Error"}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    "x-content-type-options: nosniff",
    "cache-control: no-store",
    "connection: close",
    "",
    body,
  ].join("\r\n");
}
