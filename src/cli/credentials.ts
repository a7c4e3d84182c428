import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#kernel/clock.ts";
import { CommandError } from "./errors.ts";

/** Who is signed in to one API. */
export interface Credentials {
  accessToken: string;
  refreshToken: string;
  /** When the access token ends, by this machine's clock. */
  expiresAtMs: number;
  email: string;
  tenant: { id: string; slug: string; name: string };
}

export interface CredentialStore {
  get(api: string): Promise<Credentials | null>;
  set(api: string, credentials: Credentials): Promise<void>;
  /** True when somebody was signed in. */
  remove(api: string): Promise<boolean>;
  /** Runs `work` while no other command line of this user does. */
  locked<T>(work: () => Promise<T>): Promise<T>;
}

const lockPollMs = 50;
const lockWaitMs = 20_000;
/** A lock this old belongs to a command that was killed; a refresh takes well under a second. */
const lockStaleMs = 15_000;

/**
 * Credentials in `credentials.json` of `folder`, readable by its owner only, by address of the API.
 * A change replaces the whole file at once, so that a reader never sees half of one.
 */
export function createCredentialStore(folder: string, clock: Clock): CredentialStore {
  const file = join(folder, "credentials.json");
  const lock = join(folder, "credentials.lock");

  async function readAll(): Promise<Record<string, Credentials>> {
    try {
      return JSON.parse(await readFile(file, "utf8"));
    } catch (error) {
      if (isCode(error, "ENOENT")) return {};
      if (!(error instanceof SyntaxError)) throw error;
      throw new CommandError(`${file} is damaged`, "Delete it and sign in again: plimsoll login");
    }
  }

  async function writeAll(all: Record<string, Credentials>): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const draft = `${file}.${process.pid}`;
    await writeFile(draft, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 });
    await chmod(draft, 0o600);
    await rename(draft, file);
  }

  return {
    get: async (api) => (await readAll())[api] ?? null,
    set: async (api, credentials) => writeAll({ ...(await readAll()), [api]: credentials }),
    async remove(api) {
      const { [api]: removed, ...others } = await readAll();
      if (removed) await writeAll(others);
      return removed !== undefined;
    },
    async locked(work) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await takeLock(lock, clock);
      try {
        return await work();
      } finally {
        await rm(lock, { force: true });
      }
    },
  };
}

async function takeLock(lock: string, clock: Clock): Promise<void> {
  const deadlineMs = clock.monotonicMs() + lockWaitMs;
  while (!(await tryLock(lock))) {
    if (await isStale(lock, clock)) await rm(lock, { force: true });
    else if (clock.monotonicMs() > deadlineMs) {
      throw new CommandError("Another plimsoll command holds the credentials", `Delete ${lock}`);
    } else await clock.sleep(lockPollMs);
  }
}

async function tryLock(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, `${process.pid}`, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (isCode(error, "EEXIST")) return false;
    throw error;
  }
}

async function isStale(lock: string, clock: Clock): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(lock);
    if (clock.nowMs() - mtimeMs > lockStaleMs) return true;
    const pid = Number(await readFile(lock, "utf8"));
    return pid > 0 && !isAlive(pid);
  } catch (error) {
    if (isCode(error, "ENOENT")) return false;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return isCode(error, "EPERM");
  }
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
