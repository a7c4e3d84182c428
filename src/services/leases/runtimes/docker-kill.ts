import { readdir, readFile, readlink } from "node:fs/promises";
import { systemClock } from "#kernel/clock.ts";
import type { Engine } from "./docker-engine.ts";
import type { Inspection } from "./docker-isolation.ts";

/**
 * The engine's API can't end what an exec has started. So each exec has a mark of its own in its
 * environment, which children inherit; whoever carries it is ended.
 */
export const markName = "PLIMSOLL_EXEC";

const passesMax = 50;
const betweenPassesMs = 20;

interface Marked {
  readonly mark: string;
  /** Of the program itself, as the host numbers it; null where it is over. */
  readonly pid: number | null;
}

/** What of a container's processes can be seen and done from the host. */
interface Host {
  /** Numbers of the container's processes that carry the mark or descend from one that does. */
  marked(): Promise<number[]>;
  signal(pid: number, name: "SIGSTOP" | "SIGKILL" | "SIGCONT"): void;
}

const read = (path: string): Promise<Buffer | null> =>
  // A process that is gone, or not ours to read, is none of those we look for.
  readFile(path).catch(() => null);

const linkOf = (path: string): Promise<string | null> =>
  // As above.
  readlink(path).catch(() => null);

async function hasMark(pid: number, mark: string): Promise<boolean> {
  const environment = await read(`/proc/${pid}/environ`);
  return environment?.toString("latin1").split("\0").includes(`${markName}=${mark}`) ?? false;
}

/** The parent's number in the text of /proc/[pid]/stat, whose second member may hold anything. */
export function parentIn(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
}

async function markedIn(namespace: string, { mark, pid: first }: Marked): Promise<number[]> {
  const pids = (await readdir("/proc")).map(Number).filter(Number.isSafeInteger);
  const parents = new Map<number, number>();
  const found = new Set<number>();
  for (const pid of pids) {
    if ((await linkOf(`/proc/${pid}/ns/pid`)) !== namespace) continue;
    parents.set(pid, parentIn((await read(`/proc/${pid}/stat`))?.toString("latin1") ?? ""));
    if (pid === first || (await hasMark(pid, mark))) found.add(pid);
  }
  // Programs may clear their children's environment, but not whose children they are.
  for (let grew = found.size > 0; grew; ) {
    const children = [...parents].filter(([pid, parent]) => found.has(parent) && !found.has(pid));
    for (const [pid] of children) found.add(pid);
    grew = children.length > 0;
  }
  return [...found];
}

/** A look at the container from the host; null where this process is elsewhere, or not its root. */
async function hostOf(container: Inspection, marked: Marked): Promise<Host | null> {
  const { Pid: pid } = container.State;
  if (pid <= 0) return null;
  const cgroups = await read(`/proc/${pid}/cgroup`);
  const namespace = await linkOf(`/proc/${pid}/ns/pid`);
  // The container's own id in its first process's groups proves that this is the engine's host.
  if (namespace === null || !cgroups?.toString("latin1").includes(container.Id)) return null;
  if (namespace === (await linkOf("/proc/self/ns/pid"))) return null;
  return {
    marked: () => markedIn(namespace, marked),
    signal(target, name) {
      try {
        process.kill(target, name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    },
  };
}

/**
 * Stops all first, so that none starts another while the rest are ended, and looks again before it
 * kills: a number may have become another process's, but not while that process stands still.
 */
async function killFromHost({ marked, signal }: Host): Promise<boolean> {
  const stopped = new Set<number>();
  for (let pass = 0; pass < passesMax; pass += 1) {
    const fresh = (await marked()).filter((pid) => !stopped.has(pid));
    for (const pid of fresh) {
      signal(pid, "SIGSTOP");
      stopped.add(pid);
    }
    if (fresh.length > 0) continue;
    const sure = new Set(await marked());
    for (const pid of stopped) signal(pid, sure.has(pid) ? "SIGKILL" : "SIGCONT");
    if (sure.size === 0) return true;
    stopped.clear();
    await systemClock.sleep(betweenPassesMs);
  }
  return false;
}

/**
 * For a shell inside the container: looks for the mark ($1) and ends who carries it, until none
 * does.
 */
const script = `
pass=0
while [ $pass -lt ${passesMax} ]; do
  found=
  for folder in /proc/[0-9]*; do
    if tr '\\0' '\\n' <"$folder/environ" 2>/dev/null | grep -qxF "${markName}=$1"; then
      kill -9 "\${folder#/proc/}" 2>/dev/null
      found=1
    fi
  done
  [ -z "$found" ] && exit 0
  pass=$((pass + 1))
done
exit 1
`;

/** The command that ends, from inside the container, all that carries the mark. */
export function killCommand(mark: string): string[] {
  return ["/bin/sh", "-c", script, "sh", mark];
}

export interface KillRequest extends Marked {
  readonly containerId: string;
}

/**
 * Ends all that carries the mark from the host, which needs nothing of the image and no free
 * process in the container. False where this process is not the root of the engine's host, or
 * something carries it still. A kernel of the container's own, as gVisor's, hides its processes:
 * whether the program is over the engine has to be asked.
 */
export async function killFromOutside(
  engine: Engine,
  { containerId, ...marked }: KillRequest,
): Promise<boolean> {
  const { status, body } = await engine.ask<Inspection>("look at the container", {
    method: "GET",
    path: `/containers/${containerId}/json`,
    accept: [200, 404],
  });
  if (status === 404 || body.State.Pid <= 0) return true;
  const host = await hostOf(body, marked);
  return host === null ? false : killFromHost(host);
}
