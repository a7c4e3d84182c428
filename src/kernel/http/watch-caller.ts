import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "../clock.ts";
import { Problem } from "../errors.ts";
import type { Authenticate, MutatingRequest } from "./types.ts";

/**
 * Credentials are believed for 4 s after they were looked up; looked at each second, they end what
 * lasts within 5 s of having ended themselves.
 */
const RECHECK_MS = 1_000;

/** Why a caller may go on no longer; `unverified`: nobody can tell at the moment. */
export type Lost = "unauthorized" | "forbidden" | "unverified";

/**
 * Looks after the caller of an answer that lasts, until the signal: `onLost` is called when its
 * credentials expire, soon after they were revoked, or once the route's permission was taken from
 * it or narrowed. `request.principal` is what it may do as of the last look. `headers`: what it is
 * known by, where that is not what it sent.
 */
export async function watchCaller(
  { clock, authenticate }: { clock: Clock; authenticate: Authenticate },
  request: MutatingRequest,
  signal: AbortSignal,
  onLost: (why: Lost) => void,
  headers: IncomingHttpHeaders = request.raw.headers,
): Promise<void> {
  const { permission } = request.routeOptions.config;
  if (permission === undefined) return;
  let why: Lost | null = null;
  while (why === null) {
    const leftMs = Math.max(0, request.principal.expiresAtMs - clock.nowMs());
    try {
      await clock.sleep(Math.min(RECHECK_MS, leftMs), signal);
      const principal = await authenticate(headers);
      const scope = principal?.permissions.get(permission);
      if (!principal) why = "unauthorized";
      else if (scope === undefined || (scope === "own" && request.scope === "all")) {
        why = "forbidden";
      } else request.principal = principal;
    } catch (error) {
      if (signal.aborted) return;
      why = error instanceof Problem && error.status < 500 ? "unauthorized" : "unverified";
      request.log.debug({ err: error }, "what a caller may do was not found");
    }
  }
  if (signal.aborted) return;
  request.log.debug({ why }, "the caller of a lasting answer may go on no longer");
  onLost(why);
}
