import type { Socket } from "node:net";
import { type Problem, requestErrors } from "../errors.ts";
import type { Random } from "../random.ts";
import { rawProblem } from "./problem.ts";

const tooLateCode = "ERR_HTTP_REQUEST_TIMEOUT";

/** What Node says of a request that took too long to arrive. */
export const tooLate = (): Error => Object.assign(new Error("Too late"), { code: tooLateCode });

/** Whether it says that. */
export const isTooLate = (error: Error & { code?: string }): boolean => error.code === tooLateCode;

/** Node's reasons for giving up on a connection, as problems. */
function problemOfSocket(code: string | undefined): Problem {
  switch (code) {
    case tooLateCode:
      return requestErrors.timeout();
    case "HPE_HEADER_OVERFLOW":
      return requestErrors.malformed({ detail: "The headers are larger than allowed." });
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return requestErrors.too_large();
    default:
      return requestErrors.malformed({ detail: "This is not a request of HTTP/1.1." });
  }
}

/**
 * Answers what was too broken or too slow to become a request, and closes: where one message ends
 * and the next begins is uncertain from here on. A half-sent answer is not added to.
 */
export function answerBrokenRequest(
  error: Error & { code?: string },
  socket: Socket,
  random: Random,
): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  // Node keeps the answer that is on its way over a connection under this name, and no other.
  const { _httpMessage: answer } = socket as { _httpMessage?: { headersSent: boolean } | null };
  if (!socket.writable || answer?.headersSent) {
    socket.destroy();
    return;
  }
  socket.write(rawProblem(problemOfSocket(error.code), random.id()));
  socket.destroySoon();
}
