import * as store from "./breaker-store.ts";
import type { BreakerRow } from "./breaker-store.ts";
import type { Clock } from "./clock.ts";
import type { Db, Transaction } from "./db/types.ts";
import { type Loop, startLoop } from "./jobs/loop.ts";
import type { Policies } from "./resilience/policies.ts";
import type { Logger } from "./telemetry/logger.ts";

/** An operator's hand on the breakers of every process; the database keeps what it did. */
export interface BreakerBoard {
  /** What was done to it; null where no process has told of such a dependency. */
  find(tx: Transaction, name: string): Promise<BreakerRow | null>;
  /** Those that are held open, here or in processes that this one knows nothing of. */
  held(tx: Transaction): Promise<BreakerRow[]>;
  /**
   * Holds the breakers of that name open until they are reset, also those that are made later: here
   * once the transaction has committed, in other processes within 5 s.
   */
  isolate(tx: Transaction, name: string): Promise<void>;
  /** Closes them and forgets their failures, in the same time. */
  reset(tx: Transaction, name: string): Promise<void>;
  /** Reads what holds now. */
  load(): Promise<void>;
  /** Reads it every few seconds until `stop`. */
  start(): void;
  stop(): Promise<void>;
}

export interface BreakerBoardOptions {
  policies: Pick<Policies, "list" | "isolate" | "reset" | "hasBreaker">;
  /** The kernel's own tables. */
  db: Db;
  clock: Clock;
  log: Logger;
}

const refreshMs = 4_000;

/** What this process has seen of the rows, and done about it. */
function seenHere({ policies, db }: BreakerBoardOptions) {
  /** Null until they were read for the first time: resets of before are nobody's any more. */
  let seen: Map<string, BreakerRow> | null = null;
  let changes = 0;

  const apply = (row: BreakerRow, before: BreakerRow | undefined, isFirst: boolean) => {
    const isReset = !isFirst && row.resets > (before?.resets ?? 0);
    if (isReset) policies.reset(row.name);
    if (row.isHeld && (isReset || !before?.isHeld)) policies.isolate(row.name);
  };

  return {
    knows: (name: string) => seen?.has(name) === true,
    async load(): Promise<void> {
      const at = changes;
      const rows = await db.inPlatform(store.readBreakers);
      // A change that was committed here meanwhile may be missing from what was read.
      if (changes !== at) return;
      const before = seen;
      for (const row of rows) apply(row, before?.get(row.name), before === null);
      seen = new Map(rows.map((row) => [row.name, row]));
    },
    replace(row: BreakerRow): void {
      changes += 1;
      apply(row, seen?.get(row.name), false);
      seen?.set(row.name, row);
    },
  };
}

/** Keeps the breakers of this process as operators want those of all. */
export function createBreakerBoard(options: BreakerBoardOptions): BreakerBoard {
  const { policies, db, clock, log } = options;
  const { knows, load, replace } = seenHere(options);
  let loop: Loop | null = null;

  /** Those that the code names; there are few. Others are named by tenants, and there are many. */
  const announce = async () => {
    const unknown = policies
      .list()
      .filter(({ name, group }) => group === null && !knows(name) && policies.hasBreaker(name))
      .map(({ name }) => name);
    if (unknown.length > 0) await db.inPlatform((tx) => store.announceBreakers(tx, unknown));
  };

  const change = async (tx: Transaction, row: BreakerRow, what: string) => {
    log.warn({ dependency: row.name }, what);
    tx.afterCommit(() => replace(row));
  };

  return {
    find: store.readBreaker,
    held: async (tx) => (await store.readBreakers(tx)).filter(({ isHeld }) => isHeld),
    isolate: async (tx, name) => change(tx, await store.holdBreaker(tx, name), "breakers isolated"),
    reset: async (tx, name) => change(tx, await store.resetBreaker(tx, name), "breakers reset"),
    load,
    start() {
      loop ??= startLoop({
        name: "breaker board",
        everyMs: refreshMs,
        clock,
        log,
        async run() {
          await load();
          await announce();
          return false;
        },
      });
    },
    stop: async () => loop?.stop(),
  };
}
