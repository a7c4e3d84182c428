import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** True while the process lives; one that is dead and not yet collected counts as dead on Linux. */
export function isAlive(pid: number): boolean {
  if (process.platform === "linux") return commandLine(pid) !== null;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** The command line of a living process; null when it is gone, "" when the system won't say. */
export function commandLine(pid: number): string | null {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return null;
  }
  if (process.platform === "linux") {
    try {
      // Of a process that is dead and only not yet collected by its parent this is empty.
      const text = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return text === "" ? null : text.replaceAll("\0", " ");
    } catch (error) {
      // ESRCH: it was collected between the opening of the file and the reading.
      const { code = "" } = error as NodeJS.ErrnoException;
      return ["ENOENT", "ESRCH"].includes(code) ? null : "";
    }
  }
  const { status, stdout } = spawnSync("ps", ["-o", "command=", "-p", String(pid)], {
    encoding: "utf8",
  });
  return status === 0 ? stdout : null;
}

/**
 * When the process began, in the system's own terms, to tell it from a later one of the same id.
 */
function birth(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

export interface Holders {
  /** Says that this process uses the cluster. */
  enter(): void;
  /** Takes that back; true when no other living process uses the cluster. */
  leave(): boolean;
}

let entries = 0;

/**
 * Who uses a cluster: one file per use, `<pid>.<birth>.<n>`. A process that was killed leaves its
 * file behind, which then names a process that is not there, and is removed. Synchronous, so that
 * it works while a process exits.
 */
export function holders(folder: string): Holders {
  entries += 1;
  const own = `${process.pid}.${birth(process.pid)}.${entries}`;
  const isHeld = (name: string) => {
    const [pid, born] = name.split(".");
    return isAlive(Number(pid)) && birth(Number(pid)) === born;
  };
  return {
    enter() {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, own), "");
    },
    leave() {
      rmSync(join(folder, own), { force: true });
      const others = existsSync(folder) ? readdirSync(folder) : [];
      for (const name of others) if (!isHeld(name)) rmSync(join(folder, name), { force: true });
      return !others.some(isHeld);
    },
  };
}
