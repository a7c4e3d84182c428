import type { Clock } from "#kernel/clock.ts";
import { breakerOf } from "../engine/breaker.ts";
import { newerOf, noVersion } from "../engine/member.ts";
import type { Version } from "../rules/history.ts";
import { admittedFirst, type Real, refusal, tokenAfter } from "./real-answers.ts";
import type { Backend, NodeState, RealEngine } from "./real-backend.ts";
import { createFreshness, lagOf } from "./real-freshness.ts";
import { createGuard, inTime } from "./real-guard.ts";
import { type Links, linkFaults } from "./real-links.ts";
import { readWeakly } from "./real-reads.ts";
import {
  type EngineAnswer,
  type EngineAsk,
  EngineFault,
  type ReplicaStatus,
  type StoreSpec,
} from "./types.ts";

const statusWaitMs = 1_000;

interface RealParts {
  readonly backend: Backend;
  readonly links: Links;
  readonly spec: StoreSpec;
  readonly clock: Clock;
  readonly nowMs: () => number;
}

/**
 * What asks leave of their time for answering: whoever waits for operationTimeoutMs sees an answer.
 */
export const budgetOf = ({ operationTimeoutMs }: Pick<StoreSpec, "operationTimeoutMs">): number =>
  operationTimeoutMs - Math.min(50, operationTimeoutMs / 5);

/** An engine over servers: routing, deadlines, breakers, tokens and staleness. */
export function assembleReal({ backend, links, spec, clock, nowMs }: RealParts): RealEngine {
  const closing = new AbortController();
  const { nodes } = backend;
  let calls = 0;
  const real: Real = {
    backend,
    guard: createGuard(nodes, { clock, nowMs, breaker: breakerOf(spec) }),
    freshness: createFreshness(),
    spec,
    clock,
    nowMs,
    callName: ({ id }) => `${id}/${(calls += 1)}`,
    closing: closing.signal,
  };
  return {
    name: backend.name,
    replicas: nodes,
    faultKinds: linkFaults,
    ask: async (ask) => {
      const deadlineMs = nowMs() + budgetOf(spec);
      if (closing.signal.aborted) return refusal(ask, null, "The store is closed; open it again.");
      if (ask.replica !== null && !nodes.includes(ask.replica)) {
        const reason = `There is no replica "${ask.replica}"; there are ${nodes.join(", ")}.`;
        return refusal(ask, null, reason);
      }
      if (ask.op === "read" && ask.level !== "strong") return readWeakly(real, ask, deadlineMs);
      return askNewest(real, ask, deadlineMs);
    },
    inject: async (fault) => links.inject(fault),
    heal: async () => links.heal(),
    status: () => statusOf(real),
    faults: links.faults,
    breakerEvents: real.guard.events,
    async peek(replica, key) {
      if (!nodes.includes(replica)) throw new EngineFault(`There is no replica "${replica}".`);
      try {
        const read = (signal: AbortSignal) => backend.readHere(replica, key, null, signal);
        const { value, version } = await inTime(clock, budgetOf(spec), read);
        return { value, version };
      } catch {
        // It can't be read at the moment, which is not the same as nothing being there.
        return null;
      }
    },
    nowMs,
    connectionFailures: backend.connectionFailures,
    async close() {
      closing.abort(new Error("the store is closed"));
      await backend.close();
    },
  };
}

/** Strong reads and all writes: of the nodes that have the newest, the first that answers. */
async function askNewest(real: Real, ask: EngineAsk, deadlineMs: number): Promise<EngineAnswer> {
  const { backend, guard, nowMs } = real;
  const able = backend.newest();
  if (ask.replica !== null && !able.includes(ask.replica)) {
    const where = able.length > 0 ? `ask ${able.join(" or ")}` : "there is none at the moment";
    const what = ask.op === "read" ? "strong reads" : "writes";
    return refusal(ask, ask.replica, `${ask.replica} takes no ${what}; ${where}.`);
  }
  const nodes = ask.replica === null ? admittedFirst(guard, able) : [ask.replica];
  const why: string[] = [];
  for (const [at, node] of nodes.entries()) {
    const startedMs = nowMs();
    // A read may be asked elsewhere in what is left; a write that was sent may not.
    const shareMs = (deadlineMs - startedMs) / (ask.op === "read" ? nodes.length - at : 1);
    const untilMs = startedMs + shareMs;
    const tried = await guard.call(node, real.callName(ask), untilMs, (signal) =>
      ask.op === "read"
        ? readNewest(real, node, ask, signal)
        : backend.write(node, ask, untilMs, signal),
    );
    if (tried.isOk) return answerOf(real, ask, node, tried.result, startedMs);
    backend.onTrouble(node, tried.error, startedMs);
    why.push(tried.why);
    if (ask.op !== "read" && tried.wasSent) {
      const reason = `${tried.why}; the write may have taken effect: read the key before retrying.`;
      return { ...refusal(ask, node, reason), status: "unknown" };
    }
  }
  const what = ask.op === "read" ? "The newest can't be read" : "No node takes the write";
  return refusal(ask, nodes.at(-1) ?? null, `${what}: ${why.join("; ") || "there is no primary"}.`);
}

interface Newest {
  readonly status: "ok" | "mismatch" | "unknown";
  readonly reason: string | null;
  readonly value: unknown;
  readonly version: Version | null;
  readonly acknowledgements: number;
}

async function readNewest(
  { backend, freshness, nowMs }: Real,
  node: string,
  { key }: EngineAsk,
  signal: AbortSignal,
) {
  const askedMs = nowMs();
  const { position, value, version } = await backend.readNewest(node, key, signal);
  freshness.note(askedMs, position);
  return { status: "ok", reason: null, value, version, acknowledgements: 0 } as const;
}

function answerOf(
  { freshness }: Real,
  ask: EngineAsk,
  node: string,
  { status, reason, value, version, acknowledgements }: Newest,
  startedMs: number,
): EngineAnswer {
  const isWritten = ask.op !== "read" && status !== "mismatch";
  if (isWritten && version) freshness.note(startedMs, version);
  const isKnown = status !== "unknown";
  return {
    status,
    reason,
    value,
    version,
    replica: node,
    acknowledgements,
    achieved: isKnown ? ask.level : null,
    stalenessMs: isKnown ? 0 : null,
    stalenessVersions: isKnown ? 0 : null,
    token: isKnown ? tokenAfter(ask, version) : ask.token,
  };
}

async function statusOf(real: Real): Promise<ReplicaStatus[]> {
  const { backend, guard, freshness, clock, spec, nowMs } = real;
  const waitMs = Math.min(statusWaitMs, budgetOf(spec));
  const startedMs = nowMs();
  const look = async (node: string): Promise<NodeState | null> => {
    try {
      return await inTime(clock, waitMs, (signal) => backend.state(node, signal));
    } catch {
      // What can't be reached is shown as that.
      return null;
    }
  };
  const states = await Promise.all(backend.nodes.map(look));
  const newest = new Set(backend.newest());
  const known = states.filter((state, at) => state && newest.has(backend.nodes[at]!));
  const top = known.map((state) => state!.position).reduce(newerOf, noVersion);
  if (known.length > 0 && backend.name === "redis") freshness.note(startedMs, top);
  return backend.nodes.map((name, at) => {
    const state = states[at] ?? null;
    return {
      name,
      role: state?.role ?? "unknown",
      isUp: state !== null,
      isReachable: state !== null,
      term: state?.term ?? null,
      version: state?.position ?? null,
      lagVersions: state && known.length > 0 ? lagOf(state.position, top) : null,
      stalenessMs: state ? freshness.stalenessMs(state.position, nowMs()) : null,
      breaker: guard.breakerOf(name),
    };
  });
}
