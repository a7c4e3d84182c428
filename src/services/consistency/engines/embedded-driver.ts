import type { Clock } from "#kernel/clock.ts";
import type { Scheduler } from "../engine/scheduler.ts";

/** Lets the virtual time of a store pass with the clock of the process. */
export interface Driver {
  /** Virtual time, which never runs backwards and has no pauses of the process in it. */
  nowMs(): number;
  /** Lets happen what is due, and aims the timer at what comes next. */
  pump(): void;
  /** No timer is left after it. */
  close(): void;
}

/** With nobody waiting, events may happen late: they keep their order and their own moments. */
const idleMs = 250;
/** After a longer pause (a suspended laptop) the rest of it never happened. */
const catchUpAtMostMs = 1_000;

/**
 * A driver; `isBusy` says whether somebody waits for an answer, so that events must happen on
 * time. One timer at most is under way.
 */
export function createDriver(clock: Clock, scheduler: Scheduler, isBusy: () => boolean): Driver {
  let originMs = clock.monotonicMs();
  let isClosed = false;
  let armed: { dueMs: number; aborter: AbortController } | null = null;

  function nowMs(): number {
    const passedMs = clock.monotonicMs() - originMs - scheduler.nowMs();
    if (passedMs > catchUpAtMostMs) originMs += passedMs - catchUpAtMostMs;
    return Math.max(scheduler.nowMs(), clock.monotonicMs() - originMs);
  }

  function arm(): void {
    const now = scheduler.nowMs();
    const nextMs = scheduler.nextMs();
    const dueMs = isBusy() ? nextMs : Math.max(nextMs, now + idleMs);
    if (armed && armed.dueMs <= dueMs && armed.dueMs > now) return;
    armed?.aborter.abort();
    armed = null;
    if (!Number.isFinite(dueMs)) return;
    const mine = { dueMs, aborter: new AbortController() };
    armed = mine;
    clock.sleep(Math.max(dueMs - nowMs(), 0.01), mine.aborter.signal).then(
      () => {
        if (armed !== mine) return;
        armed = null;
        pump();
      },
      // Only an abort rejects it: another timer has taken its place, or none is wanted.
      () => {},
    );
  }

  function pump(): void {
    if (isClosed) return;
    scheduler.runUntil(nowMs());
    arm();
  }

  return {
    nowMs,
    pump,
    close() {
      isClosed = true;
      armed?.aborter.abort();
      armed = null;
    },
  };
}
