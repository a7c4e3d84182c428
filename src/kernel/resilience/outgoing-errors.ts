import { errors as undiciErrors } from "undici";
import { defineErrors, Problem } from "../errors.ts";

export const outgoingErrors = defineErrors("outgoing", {
  bad_url: { status: 422, title: "The address is not one that can be requested" },
  bad_request: {
    status: 422,
    title: "The method or a header of the outgoing request is not allowed",
  },
  private_address: { status: 422, title: "The address is not on the open network" },
  unreachable: { status: 502, title: "The other server could not be reached" },
  timeout: { status: 504, title: "The other server took too long" },
  too_large: { status: 502, title: "The other server's answer is larger than allowed" },
  too_many_redirects: { status: 502, title: "The other server redirects too often" },
  bad_response: { status: 502, title: "The other server's answer could not be read" },
  not_json: { status: 502, title: "The other server's answer is not JSON" },
});

/** The deadline of an exchange, as the reason of its abort. */
export class DeadlinePassed extends Error {
  constructor(timeoutMs: number) {
    super(`the exchange took longer than ${timeoutMs} ms`);
    this.name = "DeadlinePassed";
  }
}

const slow = [
  undiciErrors.HeadersTimeoutError,
  undiciErrors.BodyTimeoutError,
  undiciErrors.ConnectTimeoutError,
  DeadlinePassed,
];

function isUnreadable(error: unknown): boolean {
  const { code = "" } = (error ?? {}) as { code?: string };
  return (
    error instanceof undiciErrors.HeadersOverflowError ||
    error instanceof undiciErrors.HTTPParserError ||
    /^(HPE_|UND_ERR_RES_|Z_|ERR_PADDING|ERR__ERROR_FORMAT|ERR_BROTLI|ERR_ZLIB)/.test(code)
  );
}

/** What went wrong in an exchange with `host`, in public words; the error itself stays private. */
export function toOutgoingProblem(error: unknown, host: string): Problem {
  if (error instanceof Problem) return error;
  const saying = (detail: string) => ({ cause: error, detail });
  if (slow.some((kind) => error instanceof kind)) {
    return outgoingErrors.timeout(saying(`${host} took too long.`));
  }
  if (error instanceof undiciErrors.InvalidArgumentError) {
    return outgoingErrors.bad_request(saying(`The request to ${host} can't be made like that.`));
  }
  return isUnreadable(error)
    ? outgoingErrors.bad_response(saying(`The answer of ${host} could not be read.`))
    : outgoingErrors.unreachable(saying(`${host} could not be reached.`));
}
