import type { Clock } from "#kernel/clock.ts";
import { breakerOf } from "../engine/breaker.ts";
import type { HistoryMeta, Operation } from "../rules/history.ts";
import { historyMeta } from "../rules/stores.ts";
import type { Store } from "../schemas/stores.ts";
import type { OpenStore } from "./registry-store.ts";

/** So many an engine keeps. */
const breakerEventsMost = 10_000;
const quietMost = 20;
const quietEveryMs = 100;
const finalKeysMost = 1_000;

/** What stands above the operations: the history as a whole, faults, and breakers' events. */
export async function headLines(
  row: Store,
  { engine, spec }: OpenStore,
  name = row.name,
): Promise<string[]> {
  const events = engine.breakerEvents();
  const forks = (await engine.forks?.()) ?? [];
  const meta: Partial<HistoryMeta> = {
    ...historyMeta(row),
    name,
    ...(forks.length > 0 && { forks }),
    // A part of a breaker's life proves nothing about it.
    ...(events.length < breakerEventsMost && {
      breaker: { ...row.breaker, probes: breakerOf(spec).probes },
    }),
  };
  const shown = events.length < breakerEventsMost ? events : [];
  return [{ history: 1, ...meta }, ...engine.faults(), ...shown].map((one) => JSON.stringify(one));
}

/** Faults that last. */
export const activeFaults = ({ engine }: OpenStore): number =>
  engine.faults().filter((fault) => fault.return === null).length;

/** Reads keys straight from every replica, once these agree or enough time has passed. */
export async function finalReads(
  { engine }: OpenStore,
  keys: readonly string[],
  clock: Pick<Clock, "sleep">,
  signal?: AbortSignal,
): Promise<Operation[]> {
  const wanted = keys.slice(0, finalKeysMost);
  for (let turn = 0; ; turn += 1) {
    const { operations, isSame } = await readAll(engine, wanted);
    if (isSame || turn === quietMost) return operations;
    await clock.sleep(quietEveryMs, signal);
  }
}

async function readAll(engine: OpenStore["engine"], keys: readonly string[]) {
  const now = Math.round(engine.nowMs() * 1_000) / 1_000;
  const operations: Operation[] = [];
  let isSame = true;
  for (const key of keys) {
    let first: string | null = null;
    for (const replica of engine.replicas) {
      const cell = await engine.peek(replica, key);
      if (cell === null) {
        // It is down or out of reach, which says nothing about what it holds.
        isSame = false;
        continue;
      }
      const text = JSON.stringify(cell.value);
      first ??= text;
      if (text !== first) isSame = false;
      operations.push({
        id: `final ${now} ${key} ${replica}`,
        process: "probe",
        key,
        op: "read",
        value: cell.value,
        level: "eventual",
        call: now,
        return: now,
        outcome: "ok",
        replica,
        version: cell.version ?? { term: 0, seq: 0 },
        final: true,
      });
    }
  }
  return { operations, isSame };
}
