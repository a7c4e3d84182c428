import type { CheckSummary } from "../schemas/checks.ts";
import type { Run } from "../schemas/runs.ts";

const lostAfterMs = 10 * 60_000;

/** A check that runs for so long has lost its process, and is not shown as one that runs. */
export function shownCheck<Shown extends CheckSummary>(check: Shown, nowMs: number): Shown {
  if (check.state !== "running" || nowMs - Date.parse(check.createdAt) < lostAfterMs) return check;
  const message = "The process that checked it is gone; have it checked again.";
  return { ...check, state: "failed", message };
}

const silentAfterMs = 60_000;

/** A run that says nothing for so long has lost its process. */
export function shownRun(run: Run, nowMs: number): Run {
  if (run.state !== "running" || nowMs - Date.parse(run.updatedAt) < silentAfterMs) return run;
  return { ...run, state: "failed", words: "The process that it ran in is gone." };
}
