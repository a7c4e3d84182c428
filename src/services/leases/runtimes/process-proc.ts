import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Clock } from "#kernel/clock.ts";

/** A process that can't be taken for a later one of the same id. */
export interface Proc {
  readonly pid: number;
  /** The boot, the space of process ids, and when it began in the kernel's ticks. */
  readonly birth: string;
}

export interface ProcStat {
  /** One letter, such as R, S, T for stopped and Z for dead but not collected. */
  readonly state: string;
  readonly parent: number;
  readonly session: number;
  /** Of the process and of the children that it has collected, in ticks. */
  readonly cpuTicks: number;
  readonly threads: number;
  readonly startTicks: string;
}

/** What USER_HZ is on every architecture that Node runs on. */
const ticksPerSecond = 100;

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Gone between two looks, or another user's: both mean that it is none of ours.
    return null;
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // As above.
    return null;
  }
}

function numbered(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    // The process whose /proc it is has ended.
    return [];
  }
}

let here: string | null = null;

/** Process ids mean something within one boot and one space of ids. */
function spaceOfIds(): string {
  const boot = () => read("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  here ??= `${boot()}/${link("/proc/self/ns/pid") ?? ""}`;
  return here;
}

/** What /proc/<pid>/stat says; null when there is no such process. `proc` is /proc by default. */
export function statOf(pid: number, proc = "/proc"): ProcStat | null {
  const text = read(`${proc}/${pid}/stat`);
  if (text === null) return null;
  // The name in brackets may hold anything, brackets too.
  const words = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const number = (at: number) => Number(words[at]);
  return {
    state: words[0] ?? "",
    parent: number(1),
    session: number(3),
    cpuTicks: number(11) + number(12) + number(13) + number(14),
    threads: number(17),
    startTicks: words[19] ?? "",
  };
}

/** The process of this id now; null when there is none, or it is dead and not yet collected. */
export function procOf(pid: number): Proc | null {
  const stat = statOf(pid);
  if (stat === null || stat.state === "Z" || stat.state === "X") return null;
  return { pid, birth: `${spaceOfIds()}/${stat.startTicks}` };
}

/** True while this very process lives. */
export const isAlive = (proc: Proc): boolean => procOf(proc.pid)?.birth === proc.birth;

/** Signals this very process; false when it is gone, and then nobody else gets the signal. */
export function signalProc(proc: Proc, name: NodeJS.Signals): boolean {
  if (!isAlive(proc)) return false;
  try {
    process.kill(proc.pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** Its children, oldest first. */
export function childrenOf(pid: number): number[] {
  const listed = read(`/proc/${pid}/task/${pid}/children`);
  if (listed !== null) return listed.split(" ").filter(Boolean).map(Number);
  return numbered("/proc").filter((other) => statOf(other)?.parent === pid);
}

/**
 * Whoever lives in the space of process ids that `init` leads, itself included; with `waiting`,
 * also the programs outside that wait for one inside.
 */
export function membersOf(init: Proc, waiting = false): Proc[] {
  const space = link(`/proc/${init.pid}/ns/pid`);
  if (space === null || !isAlive(init)) return [];
  const names = waiting ? ["pid", "pid_for_children"] : ["pid"];
  return numbered("/proc").flatMap((pid) => {
    const isMember = names.some((name) => link(`/proc/${pid}/ns/${name}`) === space);
    const proc = isMember ? procOf(pid) : null;
    return proc === null ? [] : [proc];
  });
}

/** A process, all that descend from it, and all in a session of one of them. */
export function treeOf(root: Proc): Proc[] {
  const all = numbered("/proc").flatMap((pid) => {
    const stat = statOf(pid);
    return stat === null ? [] : [{ pid, ...stat }];
  });
  if (!isAlive(root)) return [];
  const found = new Set([root.pid]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const { pid, parent, session } of all) {
      if (found.has(parent) || found.has(session)) found.add(pid);
    }
  }
  return [...found].flatMap((pid) => procOf(pid) ?? []);
}

/** How often a tree is looked over for processes that were born meanwhile. */
const passesAtMost = 20;
const settleMs = 5;
const settlesAtMost = 200;

const isStopped = ({ pid }: Proc): boolean => statOf(pid)?.state === "T";

/** Stops processes, and waits until they stand: the signal alone says nothing of when. */
async function halt(procs: readonly Proc[], clock: Clock): Promise<void> {
  for (const proc of procs) signalProc(proc, "SIGSTOP");
  for (let look = 0; look < settlesAtMost; look += 1) {
    if (procs.every((proc) => !isAlive(proc) || isStopped(proc))) return;
    await clock.sleep(settleMs);
  }
}

/**
 * Ends all that descend from a process, which waits for them and then ends itself: killed, it would
 * leave them to be collected by whoever does that on the host. Stopped first, it before the others,
 * so that nothing is born meanwhile and it does not stop itself with them. One that has no children
 * yet is ended itself.
 */
export async function killTree(root: Proc, clock: Clock): Promise<void> {
  await halt([root], clock);
  let known = 0;
  let tree = treeOf(root);
  for (let pass = 0; pass < passesAtMost && tree.length !== known; pass += 1) {
    known = tree.length;
    for (const proc of tree) signalProc(proc, "SIGSTOP");
    tree = treeOf(root);
  }
  const others = tree.filter(({ pid }) => pid !== root.pid);
  for (const proc of others) signalProc(proc, "SIGKILL");
  signalProc(root, others.length > 0 ? "SIGCONT" : "SIGKILL");
}

/** Who waits outside for a process that `init` leads: they stop and go on with it. */
function waitersOf(init: Proc): Proc[] {
  const inside = new Set(membersOf(init).map(({ pid }) => pid));
  return membersOf(init, true).filter(({ pid }) => !inside.has(pid));
}

/** Stops all that `init` leads, it last: that it stands says that all stand. */
export async function freeze(init: Proc, clock: Clock): Promise<void> {
  await halt(waitersOf(init), clock);
  for (let pass = 0; pass < passesAtMost; pass += 1) {
    const moving = membersOf(init).filter((proc) => proc.pid !== init.pid && !isStopped(proc));
    if (moving.length === 0) break;
    await halt(moving, clock);
  }
  await halt([init], clock);
}

/** Lets all go on again, `init` last. */
export function thaw(init: Proc): void {
  const waiters = waitersOf(init);
  const others = membersOf(init).filter(({ pid }) => pid !== init.pid);
  for (const proc of [...others, ...waiters]) signalProc(proc, "SIGCONT");
  signalProc(init, "SIGCONT");
}

export interface Usage {
  cpuSeconds: number;
  /** Memory of their own; what is shared with files is counted for nobody. */
  memoryBytes: number;
  pids: number;
}

/** What a container uses, by the /proc that it has itself, which lists nobody else. */
export function usageOf(init: Proc): Usage {
  const proc = `/proc/${init.pid}/root/proc`;
  const usage = { cpuSeconds: 0, memoryBytes: 0, pids: 0 };
  for (const pid of numbered(proc)) {
    const stat = statOf(pid, proc);
    if (stat === null) continue;
    const own = /^RssAnon:\s+(\d+) kB$/m.exec(read(`${proc}/${pid}/status`) ?? "")?.[1];
    usage.cpuSeconds += stat.cpuTicks / ticksPerSecond;
    usage.memoryBytes += Number(own ?? 0) * 1_024;
    usage.pids += stat.threads;
  }
  return usage;
}

/** Whether something listens on a TCP port of the network that the process is in. */
export function listens(pid: number, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return ["tcp", "tcp6"].some((table) => {
    const rows = (read(`/proc/${pid}/net/${table}`) ?? "").split("\n").slice(1);
    return rows.some((row) => {
      const [, local = "", , state] = row.trim().split(/\s+/);
      return state === "0A" && local.endsWith(`:${hex}`);
    });
  });
}
