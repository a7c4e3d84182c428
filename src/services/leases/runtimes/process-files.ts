import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { type FileHandle, lstat, mkdir, open, rename, rm } from "node:fs/promises";
import { posix } from "node:path";
import type { Readable } from "node:stream";
import type { Random } from "#kernel/random.ts";
import { workspace } from "./docker-spec.ts";
import { runtimeErrors } from "./errors.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
const folderMode = 0o755;
const fileMode = 0o644;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";

/** The names below the workspace that lead to a file; refuses what would lead out of it. */
function stepsOf(path: string): string[] {
  const whole = posix.normalize(posix.resolve(workspace, path));
  const isBelow = whole.startsWith(`${workspace}/`);
  const climbs = path.split("/").includes("..");
  if (!isBelow || climbs || path.includes("\0") || path.endsWith("/")) {
    const detail = `"${path}" is no file below ${workspace}, the folder that can be reached.`;
    throw runtimeErrors.path_refused({ detail });
  }
  return whole.slice(workspace.length + 1).split("/");
}

/** What an open folder holds by this name, whatever becomes of the folder's own name meanwhile. */
const inside = (folder: FileHandle, name: string): string => `/proc/self/fd/${folder.fd}/${name}`;

function refuseLink(path: string, name: string, error: unknown): never {
  if (!["ELOOP", "ENOTDIR", "EMLINK"].includes(codeOf(error))) throw error;
  const detail = `"${name}" in "${path}" is a link or no folder; links are not followed.`;
  throw runtimeErrors.path_refused({ detail });
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

async function makeFolder(folder: FileHandle, name: string, owner: Owner | null) {
  try {
    await mkdir(inside(folder, name), { mode: folderMode });
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    throw error;
  }
  if (owner === null) return;
  const made = await open(inside(folder, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    await made.chown(owner.uid, owner.gid);
  } finally {
    await made.close();
  }
}

/**
 * Opens the folder of a file, one step after the other, following no link: what runs in there may
 * put a link in any place at any moment, and it would be followed with the server's rights. Null
 * where there is no such folder.
 */
async function openFolder(
  root: string,
  path: string,
  steps: readonly string[],
  make: { owner: Owner | null } | null,
): Promise<FileHandle | null> {
  const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  let folder = await open(root, flags);
  for (const name of steps) {
    const parent = folder;
    try {
      if (make !== null) await makeFolder(parent, name, make.owner);
      folder = await open(inside(parent, name), flags);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      return refuseLink(path, name, error);
    } finally {
      await parent.close();
    }
  }
  return folder;
}

async function copy(content: Readable, file: FileHandle, path: string, sizeBytesMax: number) {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of content as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > sizeBytesMax) {
      const detail = `"${path}" is larger than ${sizeBytesMax} bytes.`;
      throw runtimeErrors.file_too_large({ detail });
    }
    hash.update(chunk);
    await file.writeFile(chunk);
  }
  return hash.digest("hex");
}

/** A link or folder in the file's place is not what the caller takes it for. */
async function refuseOccupied(at: string, path: string): Promise<void> {
  const there = await lstat(at).catch((error) => {
    if (codeOf(error) !== "ENOENT") throw error;
    return null;
  });
  if (there === null || there.isFile()) return;
  const detail = `"${path}" is a link or no plain file; links are not followed.`;
  throw runtimeErrors.path_refused({ detail });
}

function explainWrite(path: string, error: unknown): never {
  const code = codeOf(error);
  if (code === "EISDIR" || code === "ENOTEMPTY") {
    throw runtimeErrors.path_refused({ detail: `"${path}" is a folder.` });
  }
  if (code === "ENOSPC" || code === "EDQUOT") {
    throw runtimeErrors.disk_full({ detail: `There is no room for "${path}".`, cause: error });
  }
  throw error;
}

/**
 * Writes a file below a workspace, whole or not at all; folders on the way are made. `owner` is
 * whom it is given to. Resolves to its SHA-256 in hex.
 */
export async function writeFileBelow(
  root: string,
  path: string,
  content: Readable,
  sizeBytesMax: number,
  owner: Owner | null,
  random: Random,
): Promise<string> {
  const steps = stepsOf(path);
  const name = steps.pop() as string;
  const folder = await openFolder(root, path, steps, { owner });
  if (folder === null) throw runtimeErrors.gone({ detail: "The container has been removed." });
  const draft = inside(folder, `.upload-${random.bytes(8).toString("hex")}`);
  try {
    const file = await open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, fileMode);
    try {
      const sum = await copy(content, file, path, sizeBytesMax);
      if (owner !== null) await file.chown(owner.uid, owner.gid);
      await refuseOccupied(inside(folder, name), path);
      await rename(draft, inside(folder, name));
      return sum;
    } finally {
      await file.close();
    }
  } catch (error) {
    content.destroy();
    await rm(draft, { force: true });
    return explainWrite(path, error);
  } finally {
    await folder.close();
  }
}

/** Reads a file below a workspace. */
export async function readFileBelow(
  root: string,
  path: string,
): Promise<{ content: Readable; sizeBytes: number }> {
  const steps = stepsOf(path);
  const name = steps.pop() as string;
  const missing = () => runtimeErrors.file_missing({ detail: `There is no file "${path}".` });
  const folder = await openFolder(root, path, steps, null);
  if (folder === null) throw missing();
  let file: FileHandle;
  try {
    // Without waiting: it might be a pipe that nobody writes to.
    file = await open(inside(folder, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === "ENOENT") throw missing();
    return refuseLink(path, name, error);
  } finally {
    await folder.close();
  }
  const stat = await file.stat();
  if (!stat.isFile()) {
    await file.close();
    throw runtimeErrors.path_refused({ detail: `"${path}" is no plain file.` });
  }
  const end = stat.size - 1;
  const content = createReadStream("", { fd: file, start: 0, ...(end >= 0 ? { end } : {}) });
  return { content, sizeBytes: stat.size };
}
