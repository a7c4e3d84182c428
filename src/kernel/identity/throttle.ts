import { createHash } from "node:crypto";
import ipaddr from "ipaddr.js";
import { type Clock, isoOf } from "../clock.ts";
import type { Db, Transaction } from "../db/types.ts";
import { identityErrors } from "./errors.ts";
import {
  lockThrottles,
  type ThrottleRow,
  touchThrottle,
  writeThrottles,
} from "./throttle-store.ts";

type Counter = "pair" | "account" | "address";

/**
 * From the `free`th failure on each one blocks for longer, doubling from a second up to `capMs`.
 * `pair` is one account from one address and grows as far as it can. `address` meets many accounts
 * tried from one place; an office behind one address needs room. `account` meets many places trying
 * one account; it stays short and spares addresses where its owner has signed in before, so that a
 * stranger can slow the owner down somewhere new, and never lock them out.
 */
const rules: Readonly<Record<Counter, { free: number; capMs: number }>> = {
  pair: { free: 10, capMs: 15 * 60_000 },
  address: { free: 50, capMs: 15 * 60_000 },
  account: { free: 100, capMs: 30_000 },
};
const firstBlockMs = 1_000;
const forgetMs = 60 * 60_000;
const trustMs = 30 * 24 * 60 * 60_000;

/** An attempt that has been counted before anybody knows how it ends. */
export interface Attempt {
  readonly keys: ReadonlyMap<Counter, Buffer>;
  /** What each counter stood at with it. */
  readonly failures: ReadonlyMap<Counter, number>;
}

export interface Throttle {
  /**
   * Counts an attempt as a failure up front, so that many at once can't slip by. Throws
   * ERR_IDENTITY_TOO_MANY_ATTEMPTS with Retry-After while one of the counters blocks; such an
   * attempt is not counted, so waiting always helps.
   */
  begin(account: string, address: string): Promise<Attempt>;
  /** The attempt was good: clears the account's counters and trusts the address. */
  succeed(tx: Transaction, attempt: Attempt): Promise<void>;
  /**
   * The attempt was bad, which is counted already. Writes all the same: a failure of an account
   * that exists writes an audit record, and one that does not exist must not answer sooner.
   */
  fail(tx: Transaction, attempt: Attempt): void;
  /**
   * The attempt proved nothing (the server was busy, a second factor is missing): uncounts it, in a
   * transaction of its own unless one is given.
   */
  forgive(attempt: Attempt, tx?: Transaction): Promise<void>;
}

/**
 * Runs work between counting an attempt and knowing how it ends. An error proves nothing, unless it
 * is one of those that say the guess was `wrong`.
 */
export async function orForgive<T>(
  throttle: Throttle,
  attempt: Attempt,
  work: () => Promise<T>,
  wrong: readonly { code: string }[] = [],
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (!wrong.some((one) => one.code === code)) await throttle.forgive(attempt);
    throw error;
  }
}

/** Counts in the database, so that all servers count together. */
export function createThrottle({ db, clock }: { db: Db; clock: Clock }): Throttle {
  const lock = async (tx: Transaction, attempt: Pick<Attempt, "keys">) => {
    const nowMs = clock.nowMs();
    const keys = [...attempt.keys.values()].sort(Buffer.compare);
    const times = { now: isoOf(nowMs), forgetAt: isoOf(nowMs + forgetMs) };
    const rows = await lockThrottles(tx, { keys, ...times });
    const found = new Map<Counter, ThrottleRow>();
    for (const [counter, key] of attempt.keys) {
      const row = rows.find((candidate) => candidate.key.equals(key));
      if (row) found.set(counter, row);
    }
    return { nowMs, found };
  };

  const uncount = async (tx: Transaction, attempt: Attempt, success: boolean) => {
    const { nowMs, found } = await lock(tx, attempt);
    const changes = [...found].map(([counter, row]) => {
      const cleared = success && counter !== "address";
      const failures = cleared ? 0 : Math.max(0, row.failures - 1);
      // It began unblocked: where nobody has failed since, the block is its own.
      const isOwn = row.failures === attempt.failures.get(counter);
      const isFree = failures < rules[counter].free || isOwn;
      const trusted = row.trusted || (success && counter === "pair");
      return {
        key: row.key,
        failures,
        blockedUntil: isoOf(isFree ? nowMs : row.blockedUntilMs),
        trusted,
        forgetAt: isoOf(nowMs + (trusted ? trustMs : forgetMs)),
      };
    });
    await writeThrottles(tx, changes);
  };

  return {
    async begin(account, address) {
      const keys = keysOf(account, address);
      const { before, waitMs } = await db.inPlatform(async (tx) => {
        const { nowMs, found } = await lock(tx, { keys });
        const blockedMs = blockedForMs(found, nowMs);
        if (blockedMs === 0) await writeThrottles(tx, countFailure(found, nowMs));
        return { before: found, waitMs: blockedMs };
      });
      if (waitMs === 0) {
        const counted = [...before].map(([counter, row]) => [counter, row.failures + 1] as const);
        return { keys, failures: new Map(counted) };
      }
      const seconds = Math.ceil(waitMs / 1000);
      throw identityErrors.too_many_attempts({
        detail: `Try again in ${seconds} s`,
        headers: { "retry-after": String(seconds) },
      });
    },
    fail: (tx, attempt) => tx.defer(touchThrottle(attempt.keys.get("pair") as Buffer)),
    succeed: (tx, attempt) => uncount(tx, attempt, true),
    forgive: (attempt, tx) =>
      tx ? uncount(tx, attempt, false) : db.inPlatform((own) => uncount(own, attempt, false)),
  };
}

function countFailure(found: ReadonlyMap<Counter, ThrottleRow>, nowMs: number) {
  return [...found].map(([counter, row]) => {
    const failures = row.failures + 1;
    return {
      key: row.key,
      failures,
      blockedUntil: isoOf(nowMs + blockMs(counter, failures)),
      trusted: row.trusted,
      forgetAt: isoOf(nowMs + (row.trusted ? trustMs : forgetMs)),
    };
  });
}

/** How long the failure number `failures` blocks. */
export function blockMs(counter: Counter, failures: number): number {
  const { free, capMs } = rules[counter];
  if (failures < free) return 0;
  return Math.min(capMs, firstBlockMs * 2 ** Math.min(failures - free, 30));
}

function blockedForMs(found: ReadonlyMap<Counter, ThrottleRow>, nowMs: number): number {
  const trusted = found.get("pair")?.trusted === true;
  let waitMs = 0;
  for (const [counter, row] of found) {
    if (trusted && counter === "account") continue;
    waitMs = Math.max(waitMs, row.blockedUntilMs - nowMs);
  }
  return waitMs;
}

function keysOf(account: string, address: string): ReadonlyMap<Counter, Buffer> {
  const network = networkOf(address);
  const key = (text: string) => createHash("sha256").update(text).digest();
  return new Map([
    ["pair", key(`pair\n${account}\n${network}`)],
    ["account", key(`account\n${account}`)],
    ["address", key(`address\n${network}`)],
  ]);
}

/** An IPv4 address, or the /64 of an IPv6 one, since every subscriber has at least so many. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return "unknown";
  const parsed = ipaddr.process(address);
  if (parsed.kind() === "ipv4") return parsed.toString();
  return (parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(":");
}
