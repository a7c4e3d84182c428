import { systemClock } from "#kernel/clock.ts";
import { inspectContainer } from "./docker-create.ts";
import type { Engine } from "./docker-engine.ts";
import type { Inspection } from "./docker-isolation.ts";
import { identityOf } from "./docker-spec.ts";
import { runtimeErrors } from "./errors.ts";

const removeMsMax = 60_000;
const retryMs = { first: 20, most: 1_000 } as const;
const answerMs = 20_000;

function isOwn({ options }: Engine, { Name, Config }: Inspection): boolean {
  const identity = identityOf(Config.Labels, Name.replace(/^\//, ""));
  return identity?.installId === options.installId;
}

/** What the engine says of one of this installation's containers; null where there is none. */
export async function findOwn(engine: Engine, idOrName: string): Promise<Inspection | null> {
  const seen = await inspectContainer(engine, idOrName);
  return seen !== null && isOwn(engine, seen) ? seen : null;
}

/** As `findOwn`; throws "gone" where there is none. */
export async function getOwn(engine: Engine, idOrName: string): Promise<Inspection> {
  const seen = await findOwn(engine, idOrName);
  if (seen === null) throw runtimeErrors.gone({ detail: "There is no such container any more." });
  return seen;
}

/** Lets a container's processes stand still, or go on; done where they do already. */
export async function setPaused(engine: Engine, id: string, isPaused: boolean): Promise<void> {
  const { status } = await engine.ask(isPaused ? "pause the container" : "resume the container", {
    method: "POST",
    path: `/containers/${id}/${isPaused ? "pause" : "unpause"}`,
    accept: [204, 409, 500],
  });
  if (status === 204) return;
  const { State: state } = await getOwn(engine, id);
  if (state.Status === (isPaused ? "paused" : "running")) return;
  const detail = `The container is ${state.Status}: only a running one can be paused and resumed.`;
  throw runtimeErrors.conflict({ detail });
}

/**
 * Asks the program to end, and ends it after the grace; done where it is over. A paused program
 * could not hear the question, so it is resumed first.
 */
export async function stopContainer(engine: Engine, id: string, graceMs: number): Promise<void> {
  const { State: state } = await getOwn(engine, id);
  if (state.Status === "paused") await setPaused(engine, id, false);
  const graceSeconds = Math.ceil(graceMs / 1_000);
  await engine.ask("stop the container", {
    method: "POST",
    path: `/containers/${id}/stop`,
    query: { t: graceSeconds },
    accept: [204, 304],
    deadlineMs: graceSeconds * 1_000 + answerMs,
    lane: "waits",
  });
}

/**
 * Removes a container with its program; done where there is none. Resolves when the engine knows it
 * no longer: it answers 409 while another removal is under way, and 500 while a mount is busy.
 */
export async function removeContainer(engine: Engine, idOrName: string): Promise<void> {
  const startMs = performance.now();
  const isInTime = () => performance.now() - startMs < removeMsMax;
  const found = await inspectContainer(engine, idOrName);
  if (found === null) return;
  if (!isOwn(engine, found)) {
    throw runtimeErrors.refused({ detail: "The container is not this installation's to remove." });
  }
  for (
    let waitMs: number = retryMs.first;
    isInTime();
    waitMs = Math.min(waitMs * 2, retryMs.most)
  ) {
    await engine.ask("remove the container", {
      method: "DELETE",
      path: `/containers/${found.Id}`,
      query: { force: true, v: true },
      accept: [204, 404, 409, 500],
      deadlineMs: removeMsMax,
      lane: "work",
    });
    if ((await inspectContainer(engine, found.Id)) === null) return;
    await systemClock.sleep(waitMs);
  }
  const detail = "The engine still has the container a minute after it was told to remove it.";
  throw runtimeErrors.unavailable({ detail });
}
