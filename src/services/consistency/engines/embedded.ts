import type { Clock } from "#kernel/clock.ts";
import { createBreakerTrace } from "../engine/breaker-trace.ts";
import { breakerOf, createBreaker } from "../engine/breaker.ts";
import { createCluster, replicaName } from "../engine/cluster.ts";
import { refusal } from "../engine/member.ts";
import { microseconds } from "../engine/recorder.ts";
import { createScheduler } from "../engine/scheduler.ts";
import type { Settings } from "../engine/types.ts";
import { clusterAsk, engineAnswer, problemOf, statusOf } from "./embedded-answers.ts";
import { createDriver } from "./embedded-driver.ts";
import { createTroubles } from "./embedded-faults.ts";
import { createRouter, type Routed } from "./embedded-routing.ts";
import type { Engine, StoreSpec } from "./types.ts";

const heartbeatMs = 40;
const electionMs = 200;
const breakerEventsAtMost = 10_000;
/** The answer has to travel through the process before its deadline. */
const marginMs = 50;
const marginShare = 0.1;

/** The most keys of an embedded store, deleted ones included, and log entries of each replica. */
export const embeddedKeysAtMost = 10_000;
const cpEntriesAtMost = 1_000;
const apEntriesAtMost = 20_000;

/** Why a store can't be had as it is specified, and what to do; null when it can. */
export function refusalOfSpec({ mode, maxStalenessVersions }: StoreSpec): string | null {
  if (mode === "CP" || maxStalenessVersions === null) return null;
  return (
    "An AP store can't bound its staleness in versions: nobody knows how many writes the other " +
    "replicas have accepted. Leave maxStalenessVersions out, or make the store CP."
  );
}

const settingsOf = (spec: StoreSpec): Settings => ({
  replicas: spec.replicas,
  heartbeatMs,
  electionMs,
  operationTimeoutMs: spec.operationTimeoutMs,
  maxStalenessMs: spec.maxStalenessMs,
  maxStalenessVersions: spec.maxStalenessVersions,
  logEntriesAtMost: spec.mode === "CP" ? cpEntriesAtMost : apEntriesAtMost,
  keysAtMost: embeddedKeysAtMost,
});

/**
 * A replica set in this process that lives with its clock: nothing of it outlives the process. The
 * same seed, asks and times give the same answers. Throws RangeError for what `refusalOfSpec`
 * refuses.
 */
export function createEmbeddedEngine(
  spec: StoreSpec,
  around: { readonly clock: Clock; readonly seed?: number },
): Engine {
  const problem = refusalOfSpec(spec);
  if (problem) throw new RangeError(problem);
  const { mode, topology, operationTimeoutMs } = spec;
  const scheduler = createScheduler();
  const seed = around.seed ?? (topology.kind === "embedded" ? topology.seed : 1);
  const settings = settingsOf(spec);
  const wallMs = around.clock.nowMs();
  const cluster = createCluster({ mode, seed, settings, scheduler, wallMs });
  const replicas = Array.from({ length: spec.replicas }, (_, at) => replicaName(at));
  const trace = createBreakerTrace(breakerEventsAtMost);
  const breakers = replicas.map((name) => createBreaker(name, breakerOf(spec), trace.add));
  const withinMs = operationTimeoutMs - Math.min(marginMs, operationTimeoutMs * marginShare);
  const routes = { cluster, scheduler, breakers, mode, withinMs, followMs: heartbeatMs };
  const router = createRouter(routes);
  const driver = createDriver(around.clock, scheduler, () => router.underWay > 0);
  const troubles = createTroubles(cluster, spec.replicas, scheduler.nowMs);
  let isClosed = false;
  const now = <Result>(act: () => Result): Result => {
    driver.pump();
    try {
      return act();
    } finally {
      driver.pump();
    }
  };
  driver.pump();
  return {
    name: "embedded",
    replicas,
    faultKinds: ["partition", "cut", "delay", "loss", "crash", "clock_jump", "slow_disk"],
    ask: (ask) =>
      new Promise((resolve) => {
        const done = (routed: Routed) => resolve(engineAnswer(ask, routed));
        const reason = isClosed ? "The store is closed." : problemOf(spec, cluster, ask);
        if (reason !== null) {
          return done({ answer: refusal("refused", reason, ask.token), replica: null });
        }
        const only = ask.replica === null ? null : replicas.indexOf(ask.replica);
        now(() => router.send(clusterAsk(ask), only, done));
      }),
    inject: async (fault) => now(() => troubles.inject(fault)),
    heal: async () => now(troubles.heal),
    status: async () => now(() => statusOf(mode, cluster.status(), breakers)),
    faults: () => troubles.list(),
    breakerEvents: () => trace.list(),
    async peek(replica, key) {
      const at = replicas.indexOf(replica);
      return now(() => {
        if (!cluster.status()[at]?.isUp) return null;
        const cell = cluster.cellOf(at, key);
        return { value: cell?.value ?? null, version: cell?.version ?? null };
      });
    },
    nowMs: () => microseconds(driver.nowMs()),
    async close() {
      isClosed = true;
      router.close();
      driver.close();
    },
  };
}
