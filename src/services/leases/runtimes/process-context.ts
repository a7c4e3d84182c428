import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Clock } from "#kernel/clock.ts";
import type { Random } from "#kernel/random.ts";
import { runtimeErrors } from "./errors.ts";
import type { Way } from "./process-chain.ts";
import type { Places } from "./process-create.ts";
import type { Running } from "./process-exec.ts";
import type { Ports } from "./process-ports.ts";
import type { Tools } from "./process-tools.ts";
import { containerOf, look, type Seen } from "./process-view.ts";
import type { Container, ContainerState } from "./types.ts";

const pollMs = 10;

export interface ProcessRuntimeOptions {
  /** Where containers and snapshots are kept. */
  readonly folder: string;
  readonly installId: string;
  /** Real time: it waits for real processes. */
  readonly clock: Clock;
  readonly random: Random;
  /** Refuses to work in production unless it is allowed there. */
  readonly isProduction: boolean;
  readonly isAllowedInProduction: boolean;
  /** Folders that no container may see, besides `folder` and the working directory. */
  readonly hidden: readonly string[];
  /** The ways of fencing in to be tried, best first; by default those that can work. */
  readonly modes?: readonly Way["mode"][];
}

/** What all of the runtime works with. */
export interface Context {
  readonly options: ProcessRuntimeOptions;
  readonly places: Places;
  readonly ports: Ports;
  /** What the machine lets us do; found out once, and again as long as it is nothing. */
  tools(): Promise<Tools>;
}

/** The installation's container of this id or name, at this moment. */
export function find({ places, options }: Context, idOrName: string): Seen | null {
  const [name = "", tag] = idOrName.split(".");
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name)) return null;
  const seen = look(join(places.containers, name), options.installId);
  return seen !== null && (tag === undefined || seen.kept.id === idOrName) ? seen : null;
}

/** The same; throws where there is none. */
export function need(context: Context, id: string): Seen {
  const seen = find(context, id);
  if (seen === null) throw runtimeErrors.gone({ detail: `There is no container "${id}".` });
  return seen;
}

/** The same; throws where it does not run. */
export function needRunning(context: Context, id: string): Running {
  const { kept, live, state, folder } = need(context, id);
  if (state !== "running" || live === null) {
    const detail = `The container is ${state}; it must be running for this.`;
    throw runtimeErrors.conflict({ detail });
  }
  return { kept, live, folder };
}

/** What the runtime says of a container. */
export async function describe(context: Context, seen: Seen): Promise<Container> {
  const { ownNetwork } = await context.tools();
  return containerOf(seen, ownNetwork, availableParallelism());
}

/** Whether a container, which is over where it is gone, comes to such a state within a time. */
export async function waitForState(
  context: Context,
  id: string,
  isIt: (state: ContainerState) => boolean,
  withinMs: number,
): Promise<boolean> {
  const { clock } = context.options;
  const deadlineMs = clock.monotonicMs() + withinMs;
  while (!isIt(find(context, id)?.state ?? "exited")) {
    if (clock.monotonicMs() >= deadlineMs) return false;
    await clock.sleep(pollMs);
  }
  return true;
}
