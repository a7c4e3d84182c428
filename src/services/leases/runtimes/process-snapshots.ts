import { spawn } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "#kernel/random.ts";
import { runtimeErrors } from "./errors.ts";
import { hostEnv } from "./process-chain.ts";
import type { KeptImage, SnapshotRequest, TakenSnapshot } from "./types.ts";

const imagePrefix = "process-snapshot:";
const partPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;
const deadlineMs = 300_000;
const complaintCharsAtMost = 2_000;

/** Whether an image is a snapshot of this runtime. */
export const isSnapshotImage = (image: string): boolean => image.startsWith(imagePrefix);

/** The archive of a snapshot; null where the image's name is no snapshot's. */
function archiveOf(snapshots: string, image: string): { tenantId: string; path: string } | null {
  const [tenantId = "", snapshotId = "", ...rest] = image.slice(imagePrefix.length).split("/");
  const isOne = isSnapshotImage(image) && rest.length === 0;
  if (!isOne || !partPattern.test(tenantId) || !partPattern.test(snapshotId)) return null;
  return { tenantId, path: join(snapshots, tenantId, `${snapshotId}.tar`) };
}

interface TarRun {
  /** What comes before `tar`, to run it as somebody else. */
  readonly before: readonly string[];
  readonly args: readonly string[];
  /** Where it works, so that nobody who runs it needs to reach the folder by its name. */
  readonly cwd: string;
  readonly stdin: number | "ignore";
  readonly stdout: number | "ignore";
}

async function tar({ before, args, cwd, stdin, stdout }: TarRun): Promise<void> {
  const [program = "tar", ...rest] = [...before, "tar", ...args];
  const child = spawn(program, rest, {
    cwd,
    env: hostEnv,
    stdio: [stdin, stdout, "pipe"],
    timeout: deadlineMs,
    killSignal: "SIGKILL",
  });
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint = `${complaint}${chunk.toString("utf8")}`.slice(-complaintCharsAtMost);
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on("error", (error) => {
      complaint = error.message;
      resolve(null);
    });
    child.on("close", resolve);
  });
  if (code === 0) return;
  const detail = `tar ended with ${code}: ${complaint.trim() || "it did not say why"}`;
  throw runtimeErrors.unavailable({ detail });
}

/**
 * Archives a workspace. Environment variables are not in it: they are no file. Whoever asks again
 * for the same snapshot gets it anew.
 */
export async function takeSnapshot(
  snapshots: string,
  workspaceFolder: string,
  { tenantId, snapshotId }: SnapshotRequest,
  random: Random,
): Promise<TakenSnapshot> {
  const image = `${imagePrefix}${tenantId}/${snapshotId}`;
  const archive = archiveOf(snapshots, image);
  if (archive === null) {
    throw runtimeErrors.refused({ detail: `"${snapshotId}" is no name for a snapshot.` });
  }
  mkdirSync(join(snapshots, tenantId), { recursive: true, mode: 0o700 });
  const draft = `${archive.path}.${random.bytes(8).toString("hex")}`;
  const file = await open(draft, "wx", 0o600);
  try {
    const args = ["--create", "--file", "-", "."];
    await tar({ before: [], args, cwd: workspaceFolder, stdin: "ignore", stdout: file.fd });
    await file.sync();
    await rename(draft, archive.path);
    return { image, sizeBytes: (await file.stat()).size };
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** Fills a new workspace from a tenant's snapshot, with the rights of whom it belongs to. */
export async function restoreSnapshot(
  snapshots: string,
  image: string,
  tenantId: string,
  workspaceFolder: string,
  before: readonly string[],
): Promise<void> {
  const archive = archiveOf(snapshots, image);
  const missing = () => runtimeErrors.image_missing({ detail: `There is no snapshot "${image}".` });
  // Another tenant's is as good as none.
  if (archive === null || archive.tenantId !== tenantId) throw missing();
  const file = await open(archive.path, "r").catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" ? missing() : error;
  });
  try {
    const args = ["--extract", "--file", "-", "--no-same-owner"];
    await tar({ before, args, cwd: workspaceFolder, stdin: file.fd, stdout: "ignore" });
  } finally {
    await file.close();
  }
}

/** A file in a tenant's folder: an archive or, with what comes after its name, a draft of one. */
const filePattern = /^([A-Za-z0-9][A-Za-z0-9_-]{0,127})\.tar(?:\.([0-9a-f]{16}))?$/;
const draftPattern = /^(.+)~([0-9a-f]{16})$/;

/** Deletes a snapshot or a draft; one that is not there is deleted already. */
export async function deleteSnapshot(snapshots: string, image: string): Promise<void> {
  const [, whole = image, draft] = draftPattern.exec(image) ?? [];
  const archive = archiveOf(snapshots, whole);
  const suffix = draft === undefined ? "" : `.${draft}`;
  if (archive !== null) await rm(`${archive.path}${suffix}`, { force: true });
}

/** Snapshots and what servers left behind that ended in the middle of one. */
export function listKept(snapshots: string): KeptImage[] {
  return readdirSync(snapshots).flatMap((tenantId) =>
    readdirSync(join(snapshots, tenantId)).flatMap((name) => {
      const [, snapshotId, draft] = filePattern.exec(name) ?? [];
      if (snapshotId === undefined) return [];
      const whole = `${imagePrefix}${tenantId}/${snapshotId}`;
      const image = draft === undefined ? whole : `${whole}~${draft}`;
      return [{ image, tenantId, snapshotId, isDraft: draft !== undefined }];
    }),
  );
}
