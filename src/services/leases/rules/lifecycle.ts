/** What a lease can be. `pending`, `starting` and `stopping` never last: each has a deadline. */
export const leaseStates = [
  "pending",
  "starting",
  "running",
  "paused",
  "stopping",
  "ended",
  "failed",
] as const;
export type LeaseState = (typeof leaseStates)[number];

export const finalStates = ["ended", "failed"] as const satisfies readonly LeaseState[];

/** Nothing happens to it any more. */
export const isOver = ({ state }: { state: LeaseState }): boolean =>
  state === "ended" || state === "failed";

/** Its end has been decided, whether or not its container is gone. */
export const isEnding = ({ state }: { state: LeaseState }): boolean =>
  state === "stopping" || state === "ended" || state === "failed";

export const terminationReasons = [
  "expired",
  "idle",
  "released",
  "hard_cap",
  "budget",
  "oom",
  "crashed",
  "failed",
  "admin",
] as const;
export type TerminationReason = (typeof terminationReasons)[number];

/** What the engine brings a lease to; `desired` of its row. */
export type Desired = "running" | "paused" | "ended";

interface Move {
  readonly from: readonly LeaseState[];
  readonly to: LeaseState;
}

/**
 * Every way from one state to another. The database has the same in its trigger `lease_moves`; what
 * is not here is refused there too.
 */
export const moves = {
  provision: { from: ["pending"], to: "starting" },
  run: { from: ["starting"], to: "running" },
  pause: { from: ["running"], to: "paused" },
  resume: { from: ["paused"], to: "running" },
  restart: { from: ["running", "paused"], to: "starting" },
  stop: { from: ["pending", "starting", "running", "paused"], to: "stopping" },
  end: { from: ["stopping"], to: "ended" },
  fail: { from: ["stopping"], to: "failed" },
} as const satisfies Record<string, Move>;
export type MoveName = keyof typeof moves;

/** What people ask of a lease, and the states in which it may be asked. Releasing is always. */
export const asks = {
  renew: ["starting", "running"],
  keepalive: ["starting", "running"],
  pause: ["running"],
  resume: ["paused"],
  restart: ["running"],
  snapshot: ["running", "paused"],
  /** Running programs in it, and whatever else changes or reaches it. */
  use: ["running"],
  /** Reading what it wrote. */
  logs: ["starting", "running", "paused", "stopping"],
  /** Seeing what it uses. */
  stats: ["running", "paused"],
} as const satisfies Record<string, readonly LeaseState[]>;
export type Ask = keyof typeof asks;

/** Whether a lease in this state can make the move. */
export const canMove = (move: MoveName, state: LeaseState): boolean =>
  (moves[move].from as readonly LeaseState[]).includes(state);

/** What may be asked of a lease in this state. */
export const allowedAsks = (state: LeaseState): Ask[] =>
  (Object.keys(asks) as Ask[]).filter((ask) =>
    (asks[ask] as readonly LeaseState[]).includes(state),
  );
