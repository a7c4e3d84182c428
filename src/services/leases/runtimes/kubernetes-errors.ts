import { Problem } from "#kernel/errors.ts";
import { refusedForMs } from "#kernel/resilience/policy-types.ts";
import { runtimeErrors } from "./errors.ts";
import type { Status } from "./kubernetes-types.ts";

/** An answer of the API server that says no. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, { reason, message }: Status) {
    super(message ?? `the API server answered ${status}`);
    this.name = "ApiFailure";
    this.status = status;
    this.reason = reason ?? "";
  }
}

/** The API server's answer behind an error; null where it gave none. */
export function failureOf(error: unknown): ApiFailure | null {
  const seen = error instanceof Problem ? error.options.cause : error;
  return seen instanceof ApiFailure ? seen : null;
}

/** Whether an error says that asking later may help. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof Problem && error.code === runtimeErrors.unavailable.code;

/** Whether an error says that the pod is not there. */
export const isGone = (error: unknown): boolean =>
  error instanceof Problem && error.code === runtimeErrors.gone.code;

/** Whether the API server itself did not answer, or is not itself. */
export function isSilent(error: unknown): boolean {
  const failure = failureOf(error);
  return isUnavailable(error) && (failure === null || failure.status >= 500);
}

const byStatus: Record<number, keyof typeof runtimeErrors> = {
  400: "refused",
  403: "refused",
  404: "gone",
  409: "conflict",
  422: "refused",
};

/** What a person may be told of each; the API server's own words name what is the cluster's. */
const details: Partial<Record<keyof typeof runtimeErrors, string>> = {
  refused:
    "The cluster does not allow it: a quota, a policy or the server's rights are in the way.",
  gone: "There is no such pod any more.",
  conflict: "The pod has changed meanwhile, or is not in a state that allows this.",
};

/**
 * What became of a call as one of `runtimeErrors`. The API server's words are the cause and never
 * the detail. `doing` completes "The cluster could not …".
 */
export function problemOf(doing: string, error: unknown): Problem {
  if (error instanceof Problem && refusedForMs(error) === null) return error;
  const failure = failureOf(error);
  const known = failure === null ? undefined : byStatus[failure.status];
  if (known !== undefined) {
    return runtimeErrors[known]({ cause: error, detail: details[known] ?? `Could not ${doing}.` });
  }
  const { headers = {} } = error instanceof Problem ? error.options : {};
  const why =
    failure?.status === 401 ? "does not accept the server's credentials" : "did not answer";
  const detail = `The cluster ${why} when it was to ${doing}. Try again later.`;
  return runtimeErrors.unavailable({ cause: error, detail, headers });
}
