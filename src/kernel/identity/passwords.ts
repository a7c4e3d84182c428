import { type Argon2Parameters, argon2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import bcrypt from "bcryptjs";
import type { Random } from "../random.ts";
import { identityErrors } from "./errors.ts";

const argon2Async = promisify(argon2) as (
  algorithm: "argon2id",
  parameters: Argon2Parameters,
) => Promise<Buffer>;

/** The floor that OWASP's password storage cheat sheet names for argon2id. */
const floor = { memoryKiB: 19_456, passes: 2, parallelism: 1 } as const;
/** A stored hash beyond these is refused, so that an imported one can't exhaust the server. */
const ceiling = { memoryKiB: 262_144, passes: 10, parallelism: 4, bcryptCost: 14 } as const;
const tagBytes = 32;
const saltBytes = 16;
const minCharacters = 8;
const maxBytes = 256;

export interface Verdict {
  readonly ok: boolean;
  /** A stronger hash of the same password to store instead; only with `ok`. */
  readonly upgraded: string | null;
}

/** Hashes and checks passwords, a few at a time. */
export interface Passwords {
  /** An argon2id hash in PHC string format. Throws ERR_IDENTITY_BUSY when the queue is full. */
  hash(password: string): Promise<string>;
  /**
   * Checks a password; null stands for a user that does not exist or has no password, and takes as
   * long as a wrong one. Throws ERR_IDENTITY_BUSY when the queue is full.
   */
  verify(password: string, stored: string | null): Promise<Verdict>;
  stats(): { running: number; queued: number };
}

export interface PasswordOptions {
  random: Random;
  /** Hashes under way at once; each takes a thread of libuv's pool and 19 MiB. */
  maxConcurrent?: number;
  /** Hashes waiting; the next one is refused at once. */
  maxQueued?: number;
}

/** Throws ERR_IDENTITY_WEAK_PASSWORD unless it has 8 characters and at most 256 bytes of UTF-8. */
export function assertPassword(password: string, path = "/password"): void {
  const message =
    [...password].length < minCharacters
      ? `must have at least ${minCharacters} characters`
      : Buffer.byteLength(normalised(password)) > maxBytes
        ? `must have at most ${maxBytes} bytes`
        : null;
  if (message) throw identityErrors.weak_password({ errors: [{ path, message }] });
}

/** Whether two texts are one password to `verify`. */
export function isSamePassword(one: string, other: string): boolean {
  return normalised(one) === normalised(other);
}

/** The same password typed on another keyboard may be other code points (NIST SP 800-63B, NFKC). */
function normalised(password: string): string {
  return password.normalize("NFKC");
}

/** Makes the one queue through which a process hashes. */
export function createPasswords(options: PasswordOptions): Passwords {
  const { random, maxConcurrent = 2, maxQueued = 64 } = options;
  const queue = boundedQueue(maxConcurrent, maxQueued);
  const dummy = {
    ...floor,
    salt: random.bytes(saltBytes),
    tag: random.bytes(tagBytes),
  };

  const hashNow = async (password: string) => {
    const salt = random.bytes(saltBytes);
    return formatPhc({ ...floor, salt, tag: await derive(password, { ...floor, salt }) });
  };

  return {
    hash: (password) => queue.run(() => hashNow(password)),
    verify: (password, stored) =>
      queue.run(async () => {
        const tooLong = Buffer.byteLength(password) > 4 * maxBytes;
        const parsed = stored === null || tooLong ? null : parseStored(stored);
        if (parsed?.kind === "bcrypt") {
          const ok = await bcrypt.compare(password, parsed.hash);
          return { ok, upgraded: ok ? await hashNow(password) : null };
        }
        const known = parsed ?? dummy;
        const tag = await derive(tooLong ? "" : password, known);
        const ok = tag.length === known.tag.length && timingSafeEqual(tag, known.tag);
        if (!parsed || !ok) return { ok: false, upgraded: null };
        return { ok, upgraded: isBelowFloor(parsed) ? await hashNow(password) : null };
      }),
    stats: queue.stats,
  };
}

interface Argon2Hash {
  memoryKiB: number;
  passes: number;
  parallelism: number;
  salt: Buffer;
  tag: Buffer;
}

function derive(password: string, hash: Omit<Argon2Hash, "tag"> & { tag?: Buffer }) {
  return argon2Async("argon2id", {
    message: normalised(password),
    nonce: hash.salt,
    memory: hash.memoryKiB,
    passes: hash.passes,
    parallelism: hash.parallelism,
    tagLength: hash.tag?.length ?? tagBytes,
  });
}

function isBelowFloor(hash: Argon2Hash): boolean {
  return (
    hash.memoryKiB < floor.memoryKiB || hash.passes < floor.passes || hash.tag.length < tagBytes
  );
}

function formatPhc(hash: Argon2Hash): string {
  const { memoryKiB, passes, parallelism, salt, tag } = hash;
  const text = (bytes: Buffer) => bytes.toString("base64").replace(/=+$/, "");
  return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=${parallelism}$${text(salt)}$${text(tag)}`;
}

type Stored = ({ kind: "argon2id" } & Argon2Hash) | { kind: "bcrypt"; hash: string };

const phcParameters = /^m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})$/;
const phcSalt = /^[A-Za-z0-9+/]{11,86}$/;
const phcTag = /^[A-Za-z0-9+/]{22,86}$/;
const bcryptPattern = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** Null for a hash that is not understood or would cost too much: nobody signs in with it. */
function parseStored(stored: string): Stored | null {
  const bcryptCost = bcryptPattern.exec(stored)?.[1];
  if (bcryptCost) {
    return Number(bcryptCost) <= ceiling.bcryptCost ? { kind: "bcrypt", hash: stored } : null;
  }
  const [, name, version, parameters = "", salt = "", tag = "", ...more] = stored.split("$");
  if (name !== "argon2id" || version !== "v=19" || more.length > 0) return null;
  const [, memory, passes, parallelism] = phcParameters.exec(parameters) ?? [];
  if (!memory || !phcSalt.test(salt) || !phcTag.test(tag)) return null;
  const hash = {
    memoryKiB: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, "base64"),
    tag: Buffer.from(tag, "base64"),
  };
  const payable =
    hash.memoryKiB <= ceiling.memoryKiB &&
    hash.memoryKiB >= 8 * hash.parallelism &&
    hash.passes >= 1 &&
    hash.passes <= ceiling.passes &&
    hash.parallelism >= 1 &&
    hash.parallelism <= ceiling.parallelism;
  return payable ? { kind: "argon2id", ...hash } : null;
}

/** Whether `stored` is a hash that `verify` understands; imports check with it. */
export function isPasswordHash(stored: string): boolean {
  return parseStored(stored) !== null;
}

/** What one hash takes on a slow core; only used to say when to come back. */
const assumedHashMs = 60;

function boundedQueue(maxConcurrent: number, maxQueued: number) {
  const waiting: (() => void)[] = [];
  let running = 0;
  const release = () => {
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  };
  return {
    stats: () => ({ running, queued: waiting.length }),
    async run<T>(work: () => Promise<T>): Promise<T> {
      if (running < maxConcurrent) {
        running += 1;
      } else if (waiting.length < maxQueued) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      } else {
        const waitMs = ((waiting.length + running) * assumedHashMs) / maxConcurrent;
        const retryAfter = String(Math.max(1, Math.ceil(waitMs / 1000)));
        throw identityErrors.busy({ headers: { "retry-after": retryAfter } });
      }
      try {
        return await work();
      } finally {
        release();
      }
    },
  };
}
