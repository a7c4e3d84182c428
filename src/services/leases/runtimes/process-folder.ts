import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Way } from "./process-chain.ts";
import type { Proc } from "./process-proc.ts";
import type { ContainerSpec } from "./types.ts";

/** `kept.json`: what a container is, from its making to its removal. */
export interface Kept {
  readonly id: string;
  readonly createdAt: string;
  readonly spec: ContainerSpec;
  readonly way: Way;
  readonly diskMb: number;
}

/** `run.json`: who looks after it; there is one at most, ever. */
export interface Run {
  readonly supervisor: Proc;
}

/** `live.json`: written once it runs. */
export interface LiveFile {
  readonly startedAt: string;
  readonly outer: Proc;
  readonly init: Proc;
  readonly ownNetwork: boolean;
  readonly loopback: boolean;
}

/** `end.json`: written when it is over. */
export interface EndFile {
  /** Null where the program was never started. */
  readonly startedAt: string | null;
  readonly endedAt: string;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  /** Why the program was never started; null when it was. */
  readonly failure: string | null;
}

/** `disk.json`: what the workspace took when it was last looked at. */
export interface DiskFile {
  /** Null where it has too many files to be counted. */
  readonly bytes: number | null;
}

type Part = "kept" | "run" | "live" | "end" | "disk";

/** The name of what supervisors let appear and vanish beside the folders to say "look". */
export const lookMark = ".look.";
/** Names of folders that are being made or removed begin so. */
export const draftMark = ".new.";
export const goneMark = ".gone.";

/** What a file of the container says; null when there is no such file, or it was just removed. */
export function readPart<T>(folder: string, part: Part): T | null {
  let text: string;
  try {
    text = readFileSync(join(folder, `${part}.json`), "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
  return JSON.parse(text) as T;
}

/** Writes a file whole or not at all, readable by nobody else: there may be secrets in it. */
export function writePart(folder: string, part: Exclude<Part, "run">, value: object): void {
  const draft = join(folder, `${part}.json.draft`);
  writeFileSync(draft, JSON.stringify(value), { mode: 0o600 });
  renameSync(draft, join(folder, `${part}.json`));
}

/** True for the one who may look after the container; a link appears whole, and once only. */
export function claimRun(folder: string, supervisor: Proc): boolean {
  const draft = join(folder, `run.json.${supervisor.pid}`);
  try {
    writeFileSync(draft, JSON.stringify({ supervisor }), { mode: 0o600 });
    linkSync(draft, join(folder, "run.json"));
    return true;
  } catch (error) {
    if (["EEXIST", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The folders of all containers, of whichever installation. */
export function containerFolders(containers: string): string[] {
  return readdirSync(containers)
    .filter((name) => !name.startsWith("."))
    .map((name) => join(containers, name));
}
