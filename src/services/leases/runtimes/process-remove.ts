import { execFile } from "node:child_process";
import { existsSync, readdirSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Clock } from "#kernel/clock.ts";
import { runtimeErrors } from "./errors.ts";
import { hostEnv } from "./process-chain.ts";
import { goneMark, type LiveFile, readPart, type Run } from "./process-folder.ts";
import { isAlive, type Proc, signalProc } from "./process-proc.ts";

const run = promisify(execFile);
const pollMs = 10;
const deadlineMs = 10_000;
/** How long the supervisor has for collecting its dead, which nobody else may do. */
const collectMs = 1_000;

/** Ends whoever is left; resolves when nobody is. */
async function endAll(folder: string, clock: Clock): Promise<void> {
  const startMs = clock.monotonicMs();
  for (;;) {
    const supervisor = readPart<Run>(folder, "run")?.supervisor;
    const live = readPart<LiveFile>(folder, "live");
    const left = [supervisor, live?.outer, live?.init].filter((proc): proc is Proc => {
      return proc !== undefined && isAlive(proc);
    });
    if (left.length === 0) return;
    const waitedMs = clock.monotonicMs() - startMs;
    if (waitedMs > deadlineMs) {
      const detail = `The processes ${left.map(({ pid }) => pid).join(", ")} do not end.`;
      throw runtimeErrors.unavailable({ detail });
    }
    const isLate = waitedMs > collectMs || live === null;
    for (const proc of isLate ? left : [live.init]) signalProc(proc, "SIGKILL");
    await clock.sleep(pollMs);
  }
}

async function deleteFolder(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    // Folders that the container has closed to its own user, who is ours as well.
    await run("chmod", ["-R", "u+rwX", folder], { env: hostEnv });
    await rm(folder, { recursive: true, force: true });
  }
}

/** Finishes the removals that somebody began. `id`: that container's only. */
export async function sweepGone(containers: string, clock: Clock, id?: string): Promise<void> {
  for (const name of readdirSync(containers)) {
    const isMeant = id === undefined ? name.startsWith(goneMark) : name === `${goneMark}${id}`;
    if (!isMeant) continue;
    const folder = join(containers, name);
    await endAll(folder, clock);
    await deleteFolder(folder);
  }
}

/**
 * Removes a container and all its processes. Its folder loses its name first: from then on nobody
 * can start it any more, and a removal that is broken off is finished by the next look.
 */
export async function removeContainer(
  containers: string,
  folder: string,
  id: string,
  clock: Clock,
): Promise<void> {
  const gone = join(containers, `${goneMark}${id}`);
  try {
    renameSync(folder, gone);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    // Somebody else was faster; what is left of it is ours to finish.
  }
  await sweepGone(containers, clock, id);
  if (existsSync(gone)) {
    throw runtimeErrors.unavailable({ detail: `"${gone}" could not be deleted.` });
  }
}
