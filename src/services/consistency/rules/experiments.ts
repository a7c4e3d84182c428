import type { FaultSpec } from "../engines/types.ts";
import { consistencyErrors } from "../errors.ts";
import type { ShownReport } from "../schemas/checks.ts";
import type { RunSummary } from "../schemas/runs.ts";
import type { Store } from "../schemas/stores.ts";
import type { ExperimentName } from "./experiment-names.ts";
import { usualLevel } from "./stores.ts";
import { keysOf, type Plan, type Step } from "./workload.ts";

/** What an experiment finds at its begin. */
export interface Stage {
  readonly store: Store;
  readonly runId: string;
  readonly seed: number;
  readonly replicas: readonly string[];
  /** Who leads, or the first where nobody does. */
  readonly leader: string;
  readonly faultKinds: readonly FaultSpec["kind"][];
  /** Whether another replica can be made the one that takes writes. */
  readonly canPromote: boolean;
  /** Whether the engine can stop a replica, rather than only cut it off. */
  readonly canCrash: boolean;
}

const faultAtMs = 500;
const healAtMs = 3_000;
const durationMs = 4_000;

/** What an experiment does. Throws `bad_run` where the store is not one for it. */
export function experimentPlan(name: ExperimentName, stage: Stage): Plan {
  assertMode(name, stage);
  const { store, runId, seed } = stage;
  const plan: Plan = {
    clients: stage.replicas.length * 2,
    operations: 20_000,
    durationMs,
    readRatio: 0.5,
    keys: keysOf(runId, 3),
    levels: [usualLevel(store.mode)],
    seed,
    routing: "pinned",
    restMs: 15,
    steps: stepsOf(name, stage),
    ...special(name, store),
  };
  for (const step of plan.steps) {
    if (step.do !== "inject" || stage.faultKinds.includes(step.fault.kind)) continue;
    throw consistencyErrors.bad_run({
      detail: `It needs a ${step.fault.kind}, which a store on ${store.engine} can't have.`,
      errors: [{ path: "/name", message: "is not for this engine" }],
    });
  }
  return plan;
}

const modes: Partial<Record<ExperimentName, Store["mode"]>> = {
  "partition-cp": "CP",
  "partition-ap": "AP",
};

function assertMode(name: ExperimentName, { store }: Stage): void {
  const mode = modes[name];
  if (mode === undefined || mode === store.mode) return;
  throw consistencyErrors.bad_run({
    detail: `"${name}" is for ${mode} stores; "${store.name}" is ${store.mode}.`,
    errors: [{ path: "/name", message: `must suit a store that is ${store.mode}` }],
  });
}

function special(name: ExperimentName, { maxStalenessMs }: Store): Partial<Plan> {
  if (name === "partition-ap") {
    const bounded = maxStalenessMs === null ? [] : (["bounded"] as const);
    return { levels: ["eventual", "session", ...bounded] };
  }
  if (name === "stale-read") return { levels: ["eventual"] };
  if (name === "read-your-writes") return { levels: ["session"], routing: "roaming" };
  if (name === "breaker-cycle") return { levels: ["eventual"], durationMs: 5_000 };
  return name === "failover-lost-write" ? { readRatio: 0.2, routing: "free" } : {};
}

function stepsOf(name: ExperimentName, stage: Stage): Step[] {
  const { replicas, leader, canPromote, canCrash } = stage;
  const others = replicas.filter((replica) => replica !== leader);
  const [follower = leader] = others;
  const away: FaultSpec = { kind: "partition", groups: [[leader], others] };
  const between = (fault: FaultSpec, untilMs = healAtMs): Step[] => [
    { atMs: faultAtMs, do: "inject", fault },
    { atMs: untilMs, do: "heal" },
  ];
  switch (name) {
    case "partition-cp":
    case "partition-ap":
      return between(away);
    case "failover-lost-write":
      if (!canPromote) return between({ kind: "crash", replicas: [leader] });
      // Writes go on at the old primary for a while: what the new one never gets is lost.
      return [{ atMs: faultAtMs, do: "promote", replica: follower }];
    case "stale-read":
    case "read-your-writes":
      return between({ kind: "delay", replicas: [follower], delayMs: 150 });
    case "breaker-cycle":
      if (!canCrash) return between({ kind: "partition", groups: [[follower]] });
      return between({ kind: "crash", replicas: [follower] });
  }
}

const count = (number: number, one: string): string =>
  `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;

/** What an experiment has shown, in plain words. */
export function experimentWords(
  name: ExperimentName,
  summary: RunSummary,
  report: ShownReport,
): string {
  return `${shownBy(name, summary, report)} ${verdictWords(report)}`;
}

/** What the history's check says, in a sentence or two. */
export function verdictWords({ claims, strongest }: ShownReport): string {
  const broken = claims.find(({ status }) => status === "violation");
  if (broken) return `Violated is ${broken.name}: ${broken.words}`;
  const open = claims.filter(({ status }) => status === "unknown");
  if (open.length > 0) return `Not decided: ${open.map((one) => one.name).join(", ")}.`;
  return `Everything held that was asked for. ${strongest.words}`;
}

function shownBy(name: ExperimentName, summary: RunSummary, report: ShownReport): string {
  const { isolated, slowestRefusalMs, fastestRejectionMs, mostStaleMs, breakerMoves } = summary;
  const slow = slowestRefusalMs === null ? "" : `, none later than after ${slowestRefusalMs} ms`;
  switch (name) {
    case "partition-cp":
      return (
        `Cut off from the majority, a replica answered ${count(isolated.ok, "request")} and ` +
        `refused ${count(isolated.refused + isolated.unknown, "other")}${slow}.`
      );
    case "partition-ap":
      return (
        `Cut off from the others, a replica answered ${count(isolated.ok, "request")} all the ` +
        `same; answers owned up to ${mostStaleMs ?? 0} ms of staleness, and ` +
        `${summary.beyondBound} bounded ones went beyond their bound.`
      );
    case "failover-lost-write":
      return `After the failover ${count(report.lostWrites, "acknowledged write")} were gone.`;
    case "stale-read":
      return (
        `${count(report.staleReads, "read")} missed up to ` +
        `${count(report.mostVersionsStale, "acknowledged write")}, as eventual reads may.`
      );
    case "read-your-writes":
      return (
        "Sessions went from replica to replica, one of which was late, with their tokens: " +
        `${count(summary.ok, "request")} were answered and ${summary.refused} refused.`
      );
    case "breaker-cycle":
      return (
        `The breakers went: ${breakerMoves.join(", ") || "nowhere"}. The quickest rejection took ` +
        `${fastestRejectionMs ?? 0} ms.`
      );
  }
}
