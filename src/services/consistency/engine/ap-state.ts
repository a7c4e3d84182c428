import type { Version } from "../rules/history.ts";
import {
  type Accepted,
  type ApDurable,
  countOf,
  dropUpTo,
  foldInto,
  type OriginLog,
  putCell,
} from "./ap-log.ts";
import type { Disk } from "./disk.ts";
import { isNewer } from "./protocol.ts";
import type { Timer } from "./scheduler.ts";
import type { Answer, Ask, Cell, Env } from "./types.ts";

/** What replicas of an AP store say to each other. */
export type ApMessage =
  | { kind: "digest"; has: readonly number[]; askedMs: number }
  | { kind: "entries"; entries: readonly Accepted[]; count: number; askedMs: number | null };

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
  logs: OriginLog[];
  stored: number[];
  /** Of each replica how much it has on its disk, as far as is known here. */
  known: number[][];
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
  const { image } = ap.disk;
  ap.logs = image.logs.map(({ base, entries }) => ({ base, entries: [...entries] }));
  ap.stored = ap.logs.map(countOf);
  ap.known = ap.logs.map(() => ap.logs.map(() => 0));
  ap.vector = ap.logs.map(({ base }) => base);
  ap.cells = new Map(image.cells);
  ap.newest = image.newest;
  ap.clockMs = 0;
  ap.ticks = 0;
  seeClock(ap, image.newest);
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
        const entry = log.entries[at - log.base]!;
        const isReady = entry.causes.every((count, other) => ap.vector[other]! >= count);
        if (!isReady && protocol.waitsForCauses()) break;
        apply(ap, entry);
        isMoving = true;
      }
    });
  }
}

function apply(ap: Ap, entry: Accepted): void {
  const { origin, count, version } = entry;
  ap.vector[origin] = count;
  putCell(ap.cells, entry);
  if (isNewer(version, ap.newest)) ap.newest = version;
  seeClock(ap, version);
}

/**
 * Folds what is applied here and on the disk of every replica: nobody will ask for it again. While
 * one replica is away the logs grow, up to their limit.
 */
export function foldKnown(ap: Ap, atLeast: number): void {
  ap.logs.forEach((log, origin) => {
    const others = ap.known.filter((_, replica) => replica !== ap.id);
    const count = Math.min(ap.vector[origin]!, ...others.map((known) => known[origin]!));
    if (count - log.base < atLeast) return;
    dropUpTo(log, count);
    ap.disk.write(
      (image) => foldInto(image, origin, count),
      () => {},
    );
  });
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
