import { admit, type Breaker, rejected, settleCall } from "../engine/breaker.ts";
import { type Cluster, replicaName } from "../engine/cluster.ts";
import { refusal } from "../engine/member.ts";
import type { Scheduler, Timer } from "../engine/scheduler.ts";
import type { Answer, Ask } from "../engine/types.ts";

/** What routing stands on. */
export interface Routes {
  readonly cluster: Cluster;
  readonly scheduler: Scheduler;
  readonly breakers: readonly Breaker[];
  readonly mode: "CP" | "AP";
  /** When a request is given up. */
  readonly withinMs: number;
  /** How often a request that waits for a leader looks for a new one. */
  readonly followMs: number;
}

/** How a request ended, and the replica that said so; null where none was asked. */
export interface Routed {
  readonly answer: Answer;
  readonly replica: number | null;
}

/** Sends requests to replicas. */
export interface Router {
  /** `only` is the one replica that may be asked; null for whichever can serve. */
  send(ask: Ask, only: number | null, done: (routed: Routed) => void): void;
  readonly underWay: number;
  /** Ends what is under way, as not known where a write was sent. */
  close(): void;
}

const underWayAtMost = 2_000;

interface Flight {
  readonly ask: Ask;
  readonly only: number | null;
  readonly done: (routed: Routed) => void;
  readonly deadlineMs: number;
  readonly tried: Set<number>;
  pending: number;
  /** Whether a write was given to a replica that may yet see to it. */
  isSent: boolean;
  last: Routed | null;
  timer: Timer | null;
}

/**
 * A router: writes and strong reads of a CP store go to its leader, and to a new one as soon as
 * that is known; other reads, and all of AP, to a replica that can answer at once, in turn. What
 * was surely not done by one replica may be asked of the next; a write of a CP store even when
 * that is not sure, since the log recognizes it. An open breaker keeps its replica out.
 */
export function createRouter(routes: Routes): Router {
  const flights = new Map<string, Flight>();
  const state = { turn: 0 };
  const end = (flight: Flight, routed: Routed) => {
    if (flights.get(flight.ask.id) !== flight) return;
    flights.delete(flight.ask.id);
    if (flight.timer) flight.timer.isOff = true;
    flight.done(routed);
  };
  const kit: Kit = {
    ...routes,
    end,
    isOver: (flight) => flights.get(flight.ask.id) !== flight,
    takeTurn: () => {
      state.turn = (state.turn + 1) % routes.breakers.length;
      return state.turn;
    },
  };
  return {
    send(ask, only, done) {
      const problem = flights.has(ask.id)
        ? `Request ${ask.id} is under way already; wait for its answer.`
        : flights.size >= underWayAtMost
          ? `${underWayAtMost} requests are under way; wait for answers before asking again.`
          : null;
      if (problem !== null) {
        return done({ answer: refusal("refused", problem, ask.token), replica: null });
      }
      const flight: Flight = {
        ask,
        only,
        done,
        deadlineMs: routes.scheduler.nowMs() + routes.withinMs,
        tried: new Set(),
        pending: 0,
        isSent: false,
        last: null,
        timer: null,
      };
      flights.set(ask.id, flight);
      proceed(kit, flight);
      if (only === null && needsLeader(kit, ask)) follow(kit, flight);
    },
    get underWay() {
      return flights.size;
    },
    close() {
      for (const flight of flights.values()) {
        const isSent = flight.isSent || (flight.pending > 0 && flight.ask.write !== null);
        const status = isSent ? "unknown" : "refused";
        const answer = refusal(status, "The store was closed meanwhile.", flight.ask.token);
        end(flight, { answer, replica: null });
      }
    },
  };
}

interface Kit extends Routes {
  end(flight: Flight, routed: Routed): void;
  isOver(flight: Flight): boolean;
  takeTurn(): number;
}

const needsLeader = ({ mode }: Kit, { write, level }: Ask): boolean =>
  mode === "CP" && (write !== null || level === "strong");

/** The replica that leads in the newest term; -1 when none is known. */
function leaderOf({ cluster }: Kit): number {
  let [leader, term] = [-1, -1];
  cluster.status().forEach((one, replica) => {
    if (!one.isUp || one.role !== "leader" || one.term <= term) return;
    [leader, term] = [replica, one.term];
  });
  return leader;
}

/** The replicas that may be asked, the best first. */
function candidatesOf(kit: Kit, { ask, only, tried }: Flight): number[] {
  if (only !== null) return tried.has(only) ? [] : [only];
  const size = kit.breakers.length;
  const turn = kit.takeTurn();
  const inTurn = Array.from({ length: size }, (_, at) => (turn + at) % size);
  const left = inTurn.filter((replica) => !tried.has(replica));
  const leader = leaderOf(kit);
  const isAnywhere = ask.write === null && !needsLeader(kit, ask);
  const worthOf = (replica: number): number => {
    if (isAnywhere && kit.cluster.mayRead(replica, ask)) return 2;
    return replica === leader ? 1 : 0;
  };
  const worth = left.map((replica) => ({ replica, worth: worthOf(replica) }));
  return worth.toSorted((a, b) => b.worth - a.worth).map(({ replica }) => replica);
}

/** Asks the best replica whose breaker lets it; ends the flight when there is none. */
function proceed(kit: Kit, flight: Flight): void {
  for (const replica of candidatesOf(kit, flight)) {
    if (attempt(kit, flight, replica)) return;
  }
  if (flight.pending > 0) return;
  const { ask, only, isSent, last } = flight;
  const which = only === null ? "every replica" : replicaName(only);
  const reason = `The breaker of ${which} is open, so that nothing was sent; ask again later.`;
  const routed = last ?? { answer: refusal("refused", reason, ask.token), replica: null };
  const answer = isSent ? { ...routed.answer, status: "unknown" as const } : routed.answer;
  kit.end(flight, { ...routed, answer });
}

/** Asks a replica through its breaker; false when that is open. */
function attempt(kit: Kit, flight: Flight, replica: number): boolean {
  const { cluster, scheduler, breakers } = kit;
  const breaker = breakers[replica]!;
  const { ask, deadlineMs } = flight;
  const callMs = scheduler.nowMs();
  flight.tried.add(replica);
  const call = flight.tried.size === 1 ? ask.id : `${ask.id}/${flight.tried.size}`;
  const epoch = admit(breaker, callMs, call);
  if (epoch === rejected) return false;
  flight.pending += 1;
  cluster.ask(replica, { ...ask, withinMs: Math.max(0, deadlineMs - callMs) }, (answer) => {
    const nowMs = scheduler.nowMs();
    const isDone = answer.status === "ok" || answer.status === "mismatch";
    const isOk = isDone || answer.isRequests;
    settleCall(breaker, { epoch, call, isOk, tookMs: nowMs - callMs }, nowMs);
    if (kit.isOver(flight)) return;
    flight.pending -= 1;
    flight.last = { answer, replica };
    if (isDone) return kit.end(flight, flight.last);
    if (answer.status === "unknown") flight.isSent = true;
    conclude(kit, flight, answer);
  });
  return true;
}

/** Asks another replica for what one could not do, where that is safe and there is time. */
function conclude(kit: Kit, flight: Flight, answer: Answer): void {
  const { ask, only, deadlineMs, pending, isSent, last } = flight;
  const isSafe = answer.status === "refused" || (ask.write !== null && kit.mode === "CP");
  const hasTime = deadlineMs - kit.scheduler.nowMs() > 1;
  if (only === null && isSafe && hasTime && !answer.isRequests) return proceed(kit, flight);
  if (pending > 0) return;
  const status = isSent ? ("unknown" as const) : answer.status;
  kit.end(flight, { ...last!, answer: { ...answer, status } });
}

/** Asks a leader that has come up since, besides those that were asked before. */
function follow(kit: Kit, flight: Flight): void {
  flight.timer = kit.scheduler.after(kit.followMs, () => {
    if (kit.isOver(flight)) return;
    const leader = leaderOf(kit);
    const hasTime = flight.deadlineMs - kit.scheduler.nowMs() > 1;
    if (leader >= 0 && hasTime && !flight.tried.has(leader)) attempt(kit, flight, leader);
    if (!kit.isOver(flight)) follow(kit, flight);
  });
}
