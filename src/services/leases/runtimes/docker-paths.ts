import { posix } from "node:path";
import { kernelFolders, workspace } from "./docker-spec.ts";
import { runtimeErrors } from "./errors.ts";

const pathBytesMax = 4_096;
const nameBytesMax = 255;

const isBelow = (path: string, folder: string): boolean =>
  folder === "/" || `${path}/`.startsWith(`${folder}/`);

/** Where in a container a file may be. */
export interface Reach {
  /** One of these the path is in. */
  readonly inside: readonly string[];
  /** And in none of these. */
  readonly outside: readonly string[];
}

/** Where files can be read: everywhere but in what is no file. */
export const readable: Reach = { inside: ["/"], outside: kernelFolders };

/** Where files can be written: the places in memory of a read-only container, else everywhere. */
export function writableReach(tmpfs: Readonly<Record<string, string>> | null): Reach {
  const inside = tmpfs === null ? ["/"] : Object.keys(tmpfs).sort();
  return { inside, outside: kernelFolders };
}

/** Whether a path, free of `..` and of links, is where it may be. */
export function isWithin(path: string, { inside, outside }: Reach): boolean {
  const isIn = inside.some((folder) => isBelow(path, folder));
  return isIn && !outside.some((folder) => isBelow(path, folder));
}

/**
 * The path as it is meant: relative ones begin in the workspace. Refuses `..` in it, whether or not
 * it would lead out, a folder, and what is not where it may be.
 */
export function checkedPath(path: string, reach: Reach): string {
  const refuse = (why: string) => runtimeErrors.path_refused({ detail: `The path ${why}.` });
  const parts = path.split("/");
  if (path === "" || path.includes("\0") || Buffer.byteLength(path) > pathBytesMax) {
    throw refuse(`is empty, has a zero byte or more than ${pathBytesMax} bytes`);
  }
  if (parts.includes("..")) throw refuse('has ".." in it');
  if (parts.some((part) => Buffer.byteLength(part) > nameBytesMax)) {
    throw refuse(`has a name of more than ${nameBytesMax} bytes`);
  }
  const whole = posix.normalize(path.startsWith("/") ? path : `${workspace}/${path}`);
  if (["", "."].includes(parts.at(-1) ?? "") || reach.inside.includes(whole)) {
    throw refuse("names a folder");
  }
  if (!isWithin(whole, reach)) {
    throw refuse(`is not below ${reach.inside.join(" or ")}, or is in ${kernelFolders.join(", ")}`);
  }
  return whole;
}
