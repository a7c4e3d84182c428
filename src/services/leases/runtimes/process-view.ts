import type { Way } from "./process-chain.ts";
import { type EndFile, type Kept, type LiveFile, readPart, type Run } from "./process-folder.ts";
import { userOf } from "./process-limits.ts";
import { isAlive, statOf } from "./process-proc.ts";
import type { Container, ContainerState, Isolation } from "./types.ts";

/** What a container's folder says at one moment. */
export interface Seen {
  readonly folder: string;
  readonly kept: Kept;
  readonly run: Run | null;
  readonly live: LiveFile | null;
  readonly end: EndFile | null;
  readonly state: ContainerState;
}

/**
 * It is running for as long as somebody looks after it: only then is its end yet to be told. One
 * that was left without its supervisor has ended in a way that nobody saw.
 */
function stateOf(run: Run | null, live: LiveFile | null, end: EndFile | null): ContainerState {
  if (run === null) return "created";
  if (end !== null || !isAlive(run.supervisor)) return "exited";
  if (live === null) return "created";
  return isAlive(live.init) && statOf(live.init.pid)?.state === "T" ? "paused" : "running";
}

/** Null where the container is gone, or another installation's. */
export function look(folder: string, installId: string): Seen | null {
  const kept = readPart<Kept>(folder, "kept");
  if (kept === null || kept.spec.identity.installId !== installId) return null;
  const run = readPart<Run>(folder, "run");
  const state = stateOf(run, readPart(folder, "live"), readPart(folder, "end"));
  // Read again: what ended between two looks must not be seen half ended.
  const live = readPart<LiveFile>(folder, "live");
  const end = readPart<EndFile>(folder, "end");
  return { folder, kept, run, live, end, state: end === null ? state : "exited" };
}

function notesOf({ spec, way }: Kept, ownNetwork: boolean): string[] {
  const pinned = way.cpus?.split(",").length;
  return [
    "Development only: weak isolation. No seccomp filter, and the kernel is the host's.",
    `The programs are this host's own; nothing of the image "${spec.image}" was fetched.`,
    "The memory of all processes together is looked at ten times a second, the disk every 5 s.",
    pinned === undefined
      ? "The processor is shared without a limit."
      : `It runs on ${pinned} processor${pinned === 1 ? "" : "s"}, and may use all of their time.`,
    ...(ownNetwork ? [] : ["The network is the host's: the kernel refuses one of its own."]),
    ...(ownNetwork && spec.egress === "internet"
      ? ["The internet was asked for and can't be given without the host's own network."]
      : []),
    ...(way.mode === "root" ? ["There is no user namespace: the kernel refuses them."] : []),
  ];
}

/** What is in force; `ownNetwork` is a guess before it runs, and a fact after. */
export function isolationOf(kept: Kept, ownNetwork: boolean, processors: number): Isolation {
  const { spec, way, diskMb } = kept;
  const { uid, gid } = userOf(spec);
  const user = (mode: Way["mode"]) =>
    mode === "user" ? `${uid}:${gid}` : `${way.hostUid}:${way.hostUid}`;
  return {
    runtime: "process",
    strength: "weak",
    user: user(way.mode),
    readOnlyRoot: true,
    capabilities: [],
    noNewPrivileges: true,
    seccomp: "none",
    userNamespace: way.mode === "user",
    network: ownNetwork ? "own, loopback only" : "the host's",
    egress: ownNetwork ? "none" : "internet",
    memoryMb: spec.memoryMb,
    cpuMillis: 1_000 * (way.cpus?.split(",").length ?? processors),
    pidsMax: spec.pidsMax,
    diskMb,
    notes: notesOf(kept, ownNetwork),
  };
}

/** The container as the engine sees it. */
export function containerOf(seen: Seen, guess: boolean, processors: number): Container {
  const { kept, live, end, state } = seen;
  const hasRun = end === null || end.failure === null;
  return {
    id: kept.id,
    name: kept.spec.name,
    identity: kept.spec.identity,
    state,
    createdAt: kept.createdAt,
    startedAt: live?.startedAt ?? end?.startedAt ?? null,
    exitedAt: end?.endedAt ?? null,
    exitCode: hasRun ? (end?.exitCode ?? null) : null,
    outOfMemory: end?.outOfMemory ?? false,
    isolation: isolationOf(kept, live?.ownNetwork ?? guess, processors),
  };
}
