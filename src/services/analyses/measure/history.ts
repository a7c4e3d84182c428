import { spawn } from "node:child_process";
import type { Hotspot } from "./types.ts";

export interface Churn {
  commits: number;
  /** By path: in how many commits a file was changed, and how many lines. */
  files: Map<string, { commits: number; changedLines: number }>;
}

const commitsAtMost = 5_000;
const outputBytesAtMost = 32 * 2 ** 20;
const timeoutMs = 30_000;
const hotspotsKept = 20;

/**
 * Nothing that a repository's own configuration says may start a program, reach a network or ask
 * somebody; what it may set is overridden one by one.
 */
const distrustful = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["core.attributesFile", "/dev/null"],
  ["core.pager", "cat"],
  ["core.sshCommand", "false"],
  ["log.showSignature", "false"],
  ["gpg.program", "false"],
  ["gpg.openpgp.program", "false"],
  ["gpg.x509.program", "false"],
  ["gpg.ssh.program", "false"],
  ["diff.external", ""],
  ["protocol.allow", "never"],
].flatMap(([name, value]) => ["-c", `${name}=${value}`]);

/** The commit that is checked out, else null: no repository, no commit, or no Git. */
export async function headCommit(folder: string, path: string): Promise<string | null> {
  const text = await git(folder, path, ["rev-parse", "--verify", "HEAD"]);
  const commit = text?.trim() ?? "";
  return /^[0-9a-f]{40,64}$/.test(commit) ? commit : null;
}

/** How often and how much each file changed in the last 5,000 commits; null without a history. */
export async function readChurn(folder: string, path: string): Promise<Churn | null> {
  const text = await git(folder, path, [
    "log",
    "--numstat",
    "--format=%x00",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--relative",
    `--max-count=${commitsAtMost}`,
    "--",
    ".",
  ]);
  if (text === null) return null;
  const churn: Churn = { commits: 0, files: new Map() };
  for (const line of text.split("\n")) {
    if (line.startsWith("\0")) churn.commits += 1;
    const match = /^(\d+|-)\t(\d+|-)\t(.+)$/.exec(line);
    if (!match) continue;
    const [, added, removed, name = ""] = match;
    const file = churn.files.get(name) ?? { commits: 0, changedLines: 0 };
    file.commits += 1;
    file.changedLines += (Number(added) || 0) + (Number(removed) || 0);
    churn.files.set(name, file);
  }
  return churn.commits === 0 ? null : churn;
}

/** Runs Git in a folder; null when it fails, takes too long or says too much. */
function git(folder: string, path: string, args: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    const safe = ["-c", `safe.directory=${folder}`, "-c", "safe.directory=*"];
    const child = spawn("git", ["--no-pager", ...distrustful, ...safe, "-C", folder, ...args], {
      stdio: ["ignore", "pipe", "ignore"],
      // Not `timeout`, whose timer outlives a Git that could not be started.
      signal: AbortSignal.timeout(timeoutMs),
      killSignal: "SIGKILL",
      env: {
        PATH: path,
        HOME: "/nonexistent",
        LC_ALL: "C",
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_CONFIG_GLOBAL: "/dev/null",
        GIT_NO_LAZY_FETCH: "1",
        GIT_TERMINAL_PROMPT: "0",
        GIT_OPTIONAL_LOCKS: "0",
        GIT_ALLOW_PROTOCOL: "none",
      },
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > outputBytesAtMost) child.kill("SIGKILL");
      else chunks.push(chunk);
    });
    child.once("error", () => resolve(null));
    child.once("close", (code) => {
      resolve(code === 0 ? Buffer.concat(chunks).toString("utf8") : null);
    });
  });
}

/**
 * Files that are both complex and often changed (Tornhill, "Your Code as a Crime Scene", 2015): the
 * score is commits × cyclomatic complexity.
 */
export function findHotspots(
  complexity: ReadonlyMap<string, number>,
  churn: Churn | null,
): Hotspot[] {
  const spots: Hotspot[] = [];
  for (const [file, { commits, changedLines }] of churn?.files ?? []) {
    const complex = complexity.get(file) ?? 0;
    if (complex > 0 && commits > 1) {
      spots.push({ file, commits, changedLines, complexity: complex, score: commits * complex });
    }
  }
  spots.sort((a, b) => b.score - a.score || (a.file < b.file ? -1 : 1));
  return spots.slice(0, hotspotsKept);
}
