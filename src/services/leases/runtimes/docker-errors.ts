import { Problem } from "#kernel/errors.ts";
import { refusedForMs } from "#kernel/resilience/policy-types.ts";
import { runtimeErrors } from "./errors.ts";

/** What docker-modem rejects with; without a status where there was no answer at all. */
interface EngineFailure extends Error {
  statusCode?: number;
  code?: string;
}

/** What the engine's words mean, where its status says too little. The first that fits counts. */
const meanings = [
  [/no such image|pull access denied|manifest.*unknown|manifest.*not found/i, "image_missing"],
  [/executable file not found|no such file or directory.*unknown|exec format error/i, "refused"],
  [/permission denied: unknown|unable to find user|no command specified/i, "refused"],
  [/unknown.*runtime|requested cpus are not available|invalid reference format/i, "refused"],
  [/no space left on device|disk quota exceeded/i, "disk_full"],
  [/oci runtime create failed|failed to create (shim|task)/i, "refused"],
  [/is not running|is paused|is not paused|already paused|already in use/i, "conflict"],
  [
    /in progress|already in progress|is restarting|cannot be started|marked for removal/i,
    "conflict",
  ],
] as const satisfies readonly (readonly [RegExp, keyof typeof runtimeErrors])[];

const byStatus: Record<number, keyof typeof runtimeErrors> = {
  400: "refused",
  403: "refused",
  404: "gone",
  406: "conflict",
  409: "conflict",
};

/** The engine's own words, without what docker-modem puts around them. */
export function wordsOf(error: unknown): string {
  const { message = "" } = error as Partial<Error>;
  return message.replace(/^\(HTTP code \d+\) [^-]* - /, "").trim();
}

/** The status of the engine's answer; null where it gave none. */
export function statusOf(error: unknown): number | null {
  const seen = error instanceof Problem ? error.options.cause : error;
  return (seen as Partial<EngineFailure> | undefined)?.statusCode ?? null;
}

/** Whether an error says that asking later may help. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof Problem && error.code === runtimeErrors.unavailable.code;
}

/** Whether the engine itself did not answer. What it answers may be one container's fault alone. */
export function isSilent(error: unknown): boolean {
  return isUnavailable(error) && statusOf(error) === null;
}

/**
 * Why a program can't be started, in words that name nothing of the host; null for other faults.
 */
export function startFault(words: string): string | null {
  const program = /exec: ("[^"]*")/.exec(words)?.[1] ?? "";
  if (/executable file not found|exec.*no such file or directory/i.test(words)) {
    return `the program ${program} is not in the container`;
  }
  if (/permission denied/i.test(words)) return `the program ${program} must not be run`;
  if (/exec format error/i.test(words)) return "the program is for another kind of machine";
  if (/no command specified/i.test(words)) return "neither the image nor the lease names a program";
  if (/unable to find user/i.test(words)) return "the image names a user that it does not have";
  return null;
}

/**
 * What became of a call as one of `runtimeErrors`. The engine's words may name paths of the host,
 * so they are the cause and never the detail. `doing` completes "The container engine could not …".
 */
export function problemOf(doing: string, error: unknown): Problem {
  const waitMs = refusedForMs(error);
  if (error instanceof Problem && waitMs === null) return error;
  const status = statusOf(error);
  if (status === null) {
    const { headers = {} } = error instanceof Problem ? error.options : {};
    const detail = `The container engine did not answer when it was to ${doing}. Try again later.`;
    return runtimeErrors.unavailable({ cause: error, detail, headers });
  }
  const words = wordsOf(error);
  const meant = meanings.find(([pattern]) => pattern.test(words))?.[1];
  const name = meant ?? byStatus[status] ?? "unavailable";
  const why = startFault(words);
  const detail = `The container engine could not ${doing}${why === null ? "" : `: ${why}`}.`;
  return runtimeErrors[name]({ cause: error, detail });
}
