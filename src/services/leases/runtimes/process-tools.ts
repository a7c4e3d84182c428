import { execFileSync, spawn } from "node:child_process";
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import type { Random } from "#kernel/random.ts";
import { hostEnv, startCommand, tellInit, type Way } from "./process-chain.ts";
import { limitsOf } from "./process-limits.ts";
import { complaintOf, readReport, tell } from "./process-pipe.ts";

const needed =
  "unshare nsenter setpriv prlimit findmnt mount umount pivot_root sh cat env mkfifo chmod".split(
    " ",
  );

export interface Tools {
  /** Null where nothing can be fenced in, and `why` says so. */
  readonly mode: Way["mode"] | null;
  readonly why: string;
  readonly version: string;
  readonly ownNetwork: boolean;
  readonly loopback: boolean;
  readonly canTar: boolean;
  readonly canTerminal: boolean;
  readonly canPin: boolean;
}

function has(program: string): boolean {
  return hostEnv.PATH.split(":").some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      // Not in this folder; the next one may have it.
      return false;
    }
  });
}

const firstOfMany = 2_000_000_000;
const manyUsers = 100_000_000;
const nobody = 65_534;

/** Whether the server may become this user: in a container of its own it may know but few. */
function knowsUser(id: number): boolean {
  return ["uid_map", "gid_map"].every((map) =>
    readFileSync(`/proc/self/${map}`, "utf8")
      .trim()
      .split("\n")
      .some((row) => {
        const [from = 0, , count = 0] = row.trim().split(/\s+/).map(Number);
        return id >= from && id < from + count;
      }),
  );
}

/** A user of the host for one container; null where the server is not root and can't choose. */
export function chooseHostUid(random: Random): number | null {
  if (process.getuid?.() !== 0) return null;
  const one = firstOfMany + (random.bytes(4).readUInt32BE() % manyUsers);
  return knowsUser(one) ? one : nobody;
}

/** The processors that we may use ourselves. */
function allowedCpus(): number[] {
  const status = readFileSync("/proc/self/status", "utf8");
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}

/** So many processors as the share needs, as taskset takes them; null for all there are. */
export function chooseCpus(cpuMillis: number, random: Random): string | null {
  const all = allowedCpus();
  const count = Math.max(1, Math.ceil(cpuMillis / 1_000));
  if (count >= all.length) return null;
  const first = random.bytes(4).readUInt32BE() % all.length;
  const chosen = Array.from({ length: count }, (_, at) => all[(first + at) % all.length]);
  return chosen.join(",");
}

const trial = { memoryMb: 64, pidsMax: 16, user: null };
const trialDeadlineMs = 10_000;

/** Builds a whole fence around a program that does nothing, and says what came of it. */
async function tryOut(folder: string, mode: Way["mode"], random: Random): Promise<string[]> {
  const way: Way = { mode, hostUid: chooseHostUid(random), cpus: null, hidden: [] };
  const place = mkdtempSync(join(folder, ".trial-"));
  try {
    chmodSync(place, 0o711);
    mkdirSync(join(place, "workspace"));
    if (way.hostUid !== null) chownSync(join(place, "workspace"), way.hostUid, way.hostUid);
    const { program, args, setUp } = startCommand(way, limitsOf({ spec: trial, diskMb: 16 }));
    const child = spawn(program, [...args], {
      cwd: place,
      env: hostEnv,
      stdio: ["pipe", "ignore", "pipe", "pipe", "pipe"],
      timeout: trialDeadlineMs,
      killSignal: "SIGKILL",
    });
    const ended = new Promise<number | null>((resolve) => {
      child.on("error", () => resolve(null)).on("exit", resolve);
    });
    tell(child, 0, setUp);
    tell(child, 3, tellInit({}, ["/bin/sh", "-c", "exit 42"]));
    const report = await readReport(child);
    const code = await ended;
    return code === 42 ? report : report.filter((line) => line !== "ready");
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function versionOf(): string {
  const text = execFileSync("unshare", ["--version"], { env: hostEnv, encoding: "utf8" });
  return text.trim().split(" ").at(-1) ?? "";
}

const none = {
  mode: null,
  version: "",
  ownNetwork: false,
  loopback: false,
  canTar: false,
  canTerminal: false,
  canPin: false,
};

/** The ways that can work, best first: only root can do without a user namespace. */
export const possibleModes = (): Way["mode"][] =>
  process.getuid?.() === 0 ? ["user", "root"] : ["user"];

/** Finds out, by doing it, what this machine lets us do. `folder` is for trials. */
export async function findTools(
  folder: string,
  modes: readonly Way["mode"][],
  random: Random,
): Promise<Tools> {
  if (process.platform !== "linux") {
    const why = `Containers as plain processes need Linux, and this is ${process.platform}.`;
    return { ...none, why };
  }
  const missing = needed.filter((program) => !has(program));
  if (missing.length > 0) {
    const why = `These programs are missing: ${missing.join(", ")} (util-linux and coreutils).`;
    return { ...none, why };
  }
  const complaints: string[] = [];
  for (const mode of modes) {
    const report = await tryOut(folder, mode, random);
    if (!report.includes("ready")) {
      complaints.push(complaintOf(report));
      continue;
    }
    return {
      mode,
      why: "",
      version: versionOf(),
      ownNetwork: report.includes("net own"),
      loopback: report.includes("lo up"),
      canTar: has("tar"),
      canTerminal: has("script") && has("stty"),
      canPin: has("taskset"),
    };
  }
  const why = `The kernel refuses what would keep a lease from the server's own files:
${complaints.join("; ")}. User namespaces must be allowed, or the server be root.`;
  return { ...none, why: why.replaceAll("\n", " ") };
}
