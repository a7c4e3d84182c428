import { Problem } from "#kernel/errors.ts";
import { runtimeErrors } from "../runtimes/errors.ts";

/** What a step's failure means for the lease. */
export interface Failure {
  /** `later`: it may go well another time. `never`: it can't. `look`: the container is not as it
   * was thought to be, so somebody has to look at it. */
  readonly kind: "later" | "never" | "look";
  readonly code: string;
  /** For people; never a private cause. */
  readonly message: string;
}

const never = new Set([
  runtimeErrors.image_missing.code,
  runtimeErrors.refused.code,
  runtimeErrors.disk_full.code,
]);
const look = new Set([runtimeErrors.conflict.code, runtimeErrors.gone.code]);

/** Sorts what a runtime, or something on the way to it, has thrown. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Problem)) {
    const message = "Something unexpected stood in the way; it is tried again.";
    return { kind: "later", code: "unknown", message };
  }
  const { code, message } = error;
  if (never.has(code)) return { kind: "never", code, message };
  return { kind: look.has(code) ? "look" : "later", code, message };
}
