import type { Clock } from "./clock.ts";
import type { Db, Transaction } from "./db/types.ts";
import * as store from "./fault-store.ts";
import type { FaultRow } from "./fault-store.ts";
import { type Loop, startLoop } from "./jobs/loop.ts";
import { nearest } from "./nearest.ts";
import type { FaultPoint, PlacedPoint } from "./resilience/fault-points.ts";
import {
  type ArmedFault,
  faultErrors,
  type FaultKind,
  faultKinds,
  type FaultSwitch,
} from "./resilience/faults.ts";
import type { Logger } from "./telemetry/logger.ts";

/** What is to happen at a point. */
export interface FaultSetting {
  kind: FaultKind;
  /** 0 to 1; 1 by default. */
  probability?: number;
  /** How often it strikes, in all processes together; without limit by default, a crash once. */
  count?: number;
  /** How long "latency" waits (1 s by default), and "timeout" before it fails (60 s). */
  latencyMs?: number;
}

/** A declared point and what is armed there. */
export interface FaultStatus extends FaultPoint {
  point: string;
  /** Who declares it; "kernel" for the kernel's own. */
  service: string;
  armed: { kind: FaultKind; probability: number; count: number | null; latencyMs: number } | null;
  version: number;
}

/** With how often the last arming has struck and still will; that is no part of its version. */
export interface CountedFault extends FaultStatus {
  struck: number;
  remaining: number | null;
}

/** What is armed in every process; the database keeps it. */
export interface FaultBoard {
  /** False where faults are refused: in production without FLAG_FAULTS=1. */
  readonly allowed: boolean;
  /** Every declared point, by name. */
  list(tx: Transaction): Promise<CountedFault[]>;
  /** With a lock. Throws `ERR_FAULTS_UNKNOWN_POINT`, with the points there are. */
  lock(tx: Transaction, point: string): Promise<FaultStatus>;
  /**
   * Arms a point, here once the transaction has committed and in other processes within 5 s. Throws
   * `ERR_FAULTS_NOT_ALLOWED`, `_BAD_SETTING` or `_UNKNOWN_POINT`.
   */
  arm(tx: Transaction, point: string, setting: FaultSetting): Promise<FaultStatus>;
  /** Lets a point work again, in the same time. */
  clear(tx: Transaction, point: string): Promise<void>;
  /** Reads what is armed now. */
  load(): Promise<void>;
  /** Reads it every few seconds until `stop`. */
  start(): void;
  stop(): Promise<void>;
}

export interface FaultBoardOptions {
  allowed: boolean;
  points: ReadonlyMap<string, PlacedPoint>;
  faults: Pick<FaultSwitch, "arm">;
  /** The kernel's own tables. */
  db: Db;
  clock: Clock;
  log: Logger;
}

const refreshMs = 4_000;
const latencyMostMs = 600_000;
const countMost = 1_000_000;
const defaultLatencyMs = { latency: 1_000, timeout: 60_000 };

/** What this process believes to be armed. */
function armedHere({ points, faults, db }: FaultBoardOptions) {
  let armed: readonly ArmedFault[] = [];
  let changes = 0;
  const apply = (rows: readonly Pick<FaultRow, "kind" | "point">[]) => {
    armed = rows.filter(({ kind, point }) => kind && points.has(point)) as ArmedFault[];
    faults.arm(armed);
  };
  return {
    async load(): Promise<void> {
      const before = changes;
      const rows = await db.inPlatform(store.readFaults);
      // A change that was committed here meanwhile may be missing from what was read.
      if (changes === before) apply(rows);
    },
    replace(name: string, row: FaultRow | null): void {
      changes += 1;
      apply([...armed.filter(({ point }) => point !== name), ...(row ? [row] : [])]);
    },
  };
}

/** Keeps the points of this process armed as the database says. */
export function createFaultBoard(options: FaultBoardOptions): FaultBoard {
  const { allowed, points, clock, log } = options;
  let loop: Loop | null = null;

  const pointOf = (name: string): PlacedPoint => {
    const point = points.get(name);
    if (point) return point;
    const near = nearest(name, points.keys(), 1);
    const all = [...points.keys()].join(", ");
    throw faultErrors.unknown_point({
      detail: `There is no point "${name}"; do you mean ${near}? There are ${all}.`,
    });
  };

  const { load, replace } = armedHere(options);

  return {
    allowed,
    async list(tx) {
      const rows = await store.readFaults(tx);
      const byPoint = new Map(rows.map((row) => [row.point, row]));
      return [...points].map(([name, point]) => counted(name, point, byPoint.get(name)));
    },
    async lock(tx, name) {
      const point = pointOf(name);
      return statusOf(name, point, (await store.lockFault(tx, name)) ?? undefined);
    },
    async arm(tx, name, setting) {
      const point = pointOf(name);
      if (!allowed) {
        throw faultErrors.not_allowed({
          detail: "Start the server with FLAG_FAULTS=1 to allow it.",
        });
      }
      const row = await store.armFault(tx, { point: name, ...settle(point, setting) });
      log.warn({ ...row }, "fault armed");
      tx.afterCommit(() => replace(name, row));
      return statusOf(name, point, row);
    },
    async clear(tx, name) {
      pointOf(name);
      await store.clearFault(tx, name);
      tx.afterCommit(() => replace(name, null));
    },
    load,
    start() {
      // Where faults are refused, what others may have armed is not even read.
      if (!allowed) return;
      loop ??= startLoop({
        name: "fault board",
        everyMs: refreshMs,
        clock,
        log,
        async run() {
          await load();
          return false;
        },
      });
    },
    stop: async () => loop?.stop(),
  };
}

function statusOf(name: string, point: PlacedPoint, row: FaultRow | undefined): FaultStatus {
  const { kind, probability, count, latencyMs } = row ?? {};
  return {
    point: name,
    ...point,
    armed: kind ? ({ kind, probability, count, latencyMs } as FaultStatus["armed"]) : null,
    version: row?.version ?? 1,
  };
}

function counted(name: string, point: PlacedPoint, row: FaultRow | undefined): CountedFault {
  const { kind = null, count = null, struck = 0 } = row ?? {};
  const remaining = kind && count !== null ? count - struck : null;
  return { ...statusOf(name, point, row), struck, remaining };
}

/** Throws `ERR_FAULTS_BAD_SETTING`, naming all that is wrong. */
function settle(point: FaultPoint, setting: FaultSetting): Omit<store.NewFault, "point"> {
  const { kind, probability = 1 } = setting;
  const count = setting.count ?? (kind === "crash" ? 1 : null);
  const { latency, timeout } = defaultLatencyMs;
  const latencyMs = setting.latencyMs ?? (kind === "timeout" ? timeout : latency);
  const isWhole = (value: number, least: number, most: number) =>
    Number.isInteger(value) && value >= least && value <= most;
  const checks = [
    ["/kind", faultKinds.includes(kind), `must be one of ${faultKinds.join(", ")}`],
    [
      "/kind",
      kind !== "corruption" || point.corrupts,
      "no data passes this point that could be corrupted",
    ],
    ["/probability", probability > 0 && probability <= 1, "must be more than 0 and at most 1"],
    [
      "/count",
      count === null || isWhole(count, 1, countMost),
      `must be a whole number from 1 to ${countMost}`,
    ],
    [
      "/latencyMs",
      isWhole(latencyMs, 0, latencyMostMs),
      `must be a whole number from 0 to ${latencyMostMs}`,
    ],
  ] as const;
  const errors = checks
    .filter(([, holds]) => !holds)
    .map(([path, , message]) => ({ path, message }));
  if (errors.length > 0) throw faultErrors.bad_setting({ errors });
  return { kind, probability, count, latencyMs };
}
