import { type Dir, type Dirent } from "node:fs";
import { lstat, opendir, realpath } from "node:fs/promises";
import { join } from "node:path";

export interface WalkLimits {
  filesAtMost: number;
  /** Bigger files are counted, not read. */
  readBytesAtMost: number;
  depthAtMost: number;
}

export const usualWalkLimits: WalkLimits = {
  filesAtMost: 100_000,
  readBytesAtMost: 5 * 2 ** 20,
  depthAtMost: 64,
};

export interface WalkedFile {
  path: string;
  sizeBytes: number;
}

export interface Walked {
  root: string;
  /** Sorted by path, so that two runs say the same. */
  files: WalkedFile[];
  leftOut: { path: string; why: string }[];
  isComplete: boolean;
}

const versionControl = new Set([".git", ".hg", ".svn"]);
const vendored = new Set([
  "node_modules",
  "bower_components",
  "vendor",
  "third_party",
  "dist",
  "build",
  "target",
  "out",
  "coverage",
  ".next",
  ".nuxt",
  ".venv",
  "venv",
  "__pycache__",
  ".tox",
  ".gradle",
  ".terraform",
  ".plimsoll",
  "Pods",
]);
const leftOutTold = 1_000;

/**
 * Lists the regular files of a folder. Symbolic links are never followed, whatever they point at;
 * vendored and built folders are left out and told. Throws when the folder itself can't be read.
 */
export async function walkFolder(folder: string, limits = usualWalkLimits): Promise<Walked> {
  const root = await realpath(folder);
  const walked: Walked = { root, files: [], leftOut: [], isComplete: true };
  const pending: { path: string; depth: number }[] = [{ path: "", depth: 0 }];
  while (pending.length > 0) {
    const { path, depth } = pending.pop() as { path: string; depth: number };
    const names = await entriesOf(walked, path);
    for await (const entry of names) {
      const inside = path === "" ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) {
        if (mayEnter(walked, entry.name, inside, depth, limits)) {
          pending.push({ path: inside, depth: depth + 1 });
        }
        continue;
      }
      if (walked.files.length >= limits.filesAtMost) {
        leaveOut(walked, inside, `more than ${limits.filesAtMost.toLocaleString("en")} files`);
        walked.isComplete = false;
        pending.length = 0;
        break;
      }
      await addFile(walked, entry, inside);
    }
  }
  const order = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1);
  walked.files.sort(order);
  walked.leftOut.sort(order);
  return walked;
}

async function entriesOf(walked: Walked, path: string): Promise<AsyncIterable<Dirent> | Dirent[]> {
  let dir: Dir;
  try {
    dir = await opendir(join(walked.root, path), { bufferSize: 256 });
  } catch (error) {
    if (path === "") throw error;
    leaveOut(walked, path, `can't be read: ${(error as NodeJS.ErrnoException).code}`);
    walked.isComplete = false;
    return [];
  }
  return dir;
}

function mayEnter(
  walked: Walked,
  name: string,
  path: string,
  depth: number,
  { depthAtMost }: WalkLimits,
): boolean {
  if (versionControl.has(name)) return false;
  if (vendored.has(name)) leaveOut(walked, path, "vendored or built");
  else if (depth >= depthAtMost) {
    leaveOut(walked, path, `deeper than ${depthAtMost} folders`);
    walked.isComplete = false;
  } else return true;
  return false;
}

async function addFile(walked: Walked, entry: Dirent, path: string): Promise<void> {
  if (entry.isSymbolicLink()) return leaveOut(walked, path, "a symbolic link");
  if (!entry.isFile()) return leaveOut(walked, path, "no regular file");
  try {
    const { size } = await lstat(join(walked.root, path));
    walked.files.push({ path, sizeBytes: size });
  } catch (error) {
    leaveOut(walked, path, `can't be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** So many are told one by one; a hostile folder has no room to fill. */
function leaveOut({ leftOut }: Walked, path: string, why: string): void {
  if (leftOut.length < leftOutTold) leftOut.push({ path, why });
}
