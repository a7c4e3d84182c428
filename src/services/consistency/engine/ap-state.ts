import type { Version } from "../rules/history.ts";
import type { Disk } from "./disk.ts";
import { isNewer } from "./protocol.ts";
import type { Timer } from "./scheduler.ts";
import type { Answer, Ask, Cell, Env } from "./types.ts";

/** A write as it was accepted by one replica, its origin: number `count` of that one's writes. */
export interface Accepted {
  readonly id: string;
  readonly origin: number;
  readonly count: number;
  readonly key: string;
  readonly value: unknown;
  readonly version: Version;
  /** How much of each replica's writes it may have seen, which must be applied before it. */
  readonly causes: readonly number[];
}

/** What replicas of an AP store say to each other. */
export type ApMessage =
  | { kind: "digest"; has: readonly number[]; askedMs: number }
  | { kind: "entries"; entries: readonly Accepted[]; count: number; askedMs: number | null };

/** What a crash leaves: of each replica the writes that are known here. */
export interface ApDurable {
  readonly logs: Accepted[][];
}

/** A request that waits. */
export interface ApOpen {
  readonly ask: Ask;
  readonly done: (answer: Answer) => void;
  deadline: Timer | null;
}

/** One replica. */
export interface Ap {
  readonly env: Env<ApMessage>;
  readonly id: number;
  readonly disk: Disk<ApDurable>;
  isUp: boolean;
  life: number;
  /** The writes that are known, by their origins; `stored` counts those that are on the disk. */
  logs: Accepted[][];
  stored: number[];
  /** How many of each are applied. */
  vector: number[];
  cells: Map<string, Cell>;
  newest: Version;
  /** The hybrid clock. */
  clockMs: number;
  ticks: number;
  opens: Map<string, ApOpen>;
  /** Everything that the other had acknowledged before is applied. */
  provenMs: number[];
  proofs: { peer: number; askedMs: number; count: number }[];
}

/** Begins a life with what the disk has. */
export function loadAp(ap: Ap): void {
  ap.isUp = true;
  ap.life += 1;
  ap.logs = ap.disk.image.logs.map((log) => [...log]);
  ap.stored = ap.logs.map(({ length }) => length);
  ap.vector = ap.logs.map(() => 0);
  ap.cells = new Map();
  ap.newest = { term: 0, seq: 0 };
  ap.clockMs = 0;
  ap.ticks = 0;
  ap.opens = new Map();
  ap.provenMs = ap.logs.map(() => Number.NEGATIVE_INFINITY);
  ap.proofs = [];
  applyKnown(ap);
}

/** Runs it later, unless the replica has crashed by then. */
export function laterAp(ap: Ap, ms: number, run: () => void): Timer {
  const { life } = ap;
  return ap.env.after(ms, () => {
    if (ap.isUp && ap.life === life) run();
  });
}

/**
 * Applies what is known and whose causes are applied (causal delivery; Lloyd et al., "COPS",
 * 2011).
 */
export function applyKnown(ap: Ap): void {
  const { protocol } = ap.env;
  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    ap.logs.forEach((log, origin) => {
      for (let at = ap.vector[origin]!; at < ap.stored[origin]!; at += 1) {
        const entry = log[at]!;
        const isReady = entry.causes.every((count, other) => ap.vector[other]! >= count);
        if (!isReady && protocol.waitsForCauses()) break;
        apply(ap, entry);
        isMoving = true;
      }
    });
  }
}

/** Of two writes of a key the one with the newer version stays, wherever they meet. */
function apply(ap: Ap, { origin, count, key, value, version }: Accepted): void {
  ap.vector[origin] = count;
  const cell = ap.cells.get(key);
  if (cell === undefined || isNewer(version, cell.version)) ap.cells.set(key, { value, version });
  if (isNewer(version, ap.newest)) ap.newest = version;
  seeClock(ap, version);
}

/** Moves the hybrid clock past a version. */
export function seeClock(ap: Ap, { term, seq }: Version): void {
  const ticks = Math.floor(seq / replicasAtMost);
  if (term < ap.clockMs || (term === ap.clockMs && ticks <= ap.ticks)) return;
  ap.clockMs = term;
  ap.ticks = ticks;
}

const replicasAtMost = 8;

/**
 * The next version of the hybrid clock (Kulkarni et al., "Logical physical clocks", OPODIS
 * 2014): never before one that was seen, near the clock on the wall where that is not behind.
 * The replica's number makes it unique.
 */
export function nextVersion(ap: Ap): Version {
  const wallMs = Math.floor(ap.env.wallMs(ap.id));
  if (wallMs > ap.clockMs) {
    ap.clockMs = wallMs;
    ap.ticks = 0;
  } else ap.ticks += 1;
  return { term: ap.clockMs, seq: ap.ticks * replicasAtMost + ap.id };
}
