import { execFile } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Random } from "../random.ts";
import {
  binaries,
  clusterHome,
  type DatabaseUser,
  databaseUser,
  halfOf,
  makeOpenFolder,
  removeAbandoned,
  systemHome,
} from "./embedded-system.ts";

/** A cluster on disk, made and ready to be started. */
export interface Cluster {
  /** Folder of everything that belongs to the cluster: data, credentials, log, holders. */
  readonly home: string;
  /** PGDATA. */
  readonly data: string;
  readonly bin: string;
  readonly user: DatabaseUser | null;
  /** Passwords of the bootstrap superuser `postgres` and of the owner `plimsoll`. */
  readonly passwords: { readonly admin: string; readonly owner: string };
}

/** Nothing of our own environment reaches PostgreSQL: neither PGDATA nor a secret. */
export const databaseEnv = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

async function initialise(
  home: string,
  bin: string,
  user: DatabaseUser | null,
  random: Random,
): Promise<void> {
  const passwords = {
    admin: random.bytes(24).toString("base64url"),
    owner: random.bytes(24).toString("base64url"),
  };
  mkdirSync(home, { recursive: true });
  chmodSync(home, user ? 0o711 : 0o700);
  const data = join(home, "data");
  mkdirSync(data, { mode: 0o700 });
  const passwordFile = join(home, "initdb-password");
  writeFileSync(passwordFile, passwords.admin, { mode: 0o600 });
  if (user) for (const path of [data, passwordFile]) chownSync(path, user.uid, user.gid);
  await promisify(execFile)(
    join(bin, "initdb"),
    [
      `--pgdata=${data}`,
      `--pwfile=${passwordFile}`,
      "--username=postgres",
      "--auth=scram-sha-256",
      // PostgreSQL's own C.UTF-8 needs no locale of the system, so it is the same in every
      // container.
      "--encoding=UTF8",
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--no-instructions",
    ],
    { cwd: data, env: databaseEnv, ...user },
  ).catch((error: Error & { stderr?: string }) => {
    const text = error.stderr?.trim() || error.message;
    const hint = text.includes("look up effective user ID")
      ? " Give this user an entry in /etc/passwd, or set DATABASE_URL."
      : "";
    throw new Error(`initdb failed: ${text}.${hint}`, { cause: error });
  });
  rmSync(passwordFile);
  writeFileSync(join(home, "credentials.json"), JSON.stringify(passwords), { mode: 0o600 });
}

/**
 * Made aside and renamed, so that a cluster is there as a whole or not at all, however many try.
 */
async function makeCluster(
  home: string,
  link: string | null,
  bin: string,
  user: DatabaseUser | null,
  random: Random,
): Promise<void> {
  const half = halfOf(home, random);
  removeAbandoned(home);
  makeOpenFolder(dirname(home));
  try {
    await initialise(half, bin, user, random);
    renameSync(half, home);
    if (link) symlinkSync(home, link);
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    if (link) rmSync(home, { recursive: true, force: true });
    const lostRace = ["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "");
    if (!lostRace) throw error;
  }
}

function checkVersion(cluster: { data: string; bin: string }): void {
  const made = readFileSync(join(cluster.data, "PG_VERSION"), "utf8").trim();
  const share = join(dirname(cluster.bin), "share/postgresql/postgres.bki");
  const shipped = /^# PostgreSQL (\d+)/.exec(readFileSync(share, "utf8"))?.[1];
  if (made === shipped) return;
  throw new Error(
    `The data in ${cluster.data} was made by PostgreSQL ${made}, and this release brings ` +
      `PostgreSQL ${shipped}. Take a backup with the old release and restore it with this one.`,
  );
}

function readPasswords(home: string): Cluster["passwords"] {
  const file = join(home, "credentials.json");
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new Error(`The database's passwords in ${file} can't be read by this user.`, { cause });
  }
}

/** Finds the cluster of `dataDir`, making it when there is none. */
export async function openCluster(dataDir: string, random: Random): Promise<Cluster> {
  let user = databaseUser();
  const bin = () => binaries(user, user ? systemHome : join(dataDir, "binaries"), random);
  let place = clusterHome(dataDir, user, random);
  if (!existsSync(place.home)) {
    await makeCluster(place.home, place.link, bin(), user, random);
    place = clusterHome(dataDir, user, random);
  }
  const data = join(place.home, "data");
  const { uid, gid } = statSync(data);
  // Data that a normal user made goes on belonging to it when root starts the server.
  if (user && uid !== 0) user = { uid, gid };
  const cluster = {
    home: place.home,
    data,
    bin: bin(),
    user,
    passwords: readPasswords(place.home),
  };
  checkVersion(cluster);
  return cluster;
}
