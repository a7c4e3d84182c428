import { createHistoryBuilder } from "../rules/builder.ts";
import { type History, type LevelName, levelNames } from "../rules/history.ts";
import type { Given } from "../rules/members.ts";
import type { Recording } from "./recorder.ts";
import type { Scenario } from "./scenario.ts";
import { createChance } from "./chance.ts";
import type { Mode } from "./cluster.ts";
import type { Protocol } from "./protocol.ts";

/** A recording as the checker takes it. */
export function historyIn({ meta, operations, faults, breakers }: Recording): History {
  const builder = createHistoryBuilder();
  builder.describe(meta);
  operations.forEach((operation, at) => builder.add(operation as unknown as Given, at + 1));
  for (const fault of faults) builder.addFault(fault);
  for (const event of breakers) builder.addBreakerEvent(event);
  return builder.finish();
}

/**
 * The scenario that a seed stands for: of either mode unless it is given, three or five
 * replicas, all levels.
 */
export function scenarioOf(seed: number, protocol?: Protocol, only?: Mode): Scenario {
  const chance = createChance(seed);
  const drawn = chance.isHit(0.7) ? "CP" : "AP";
  const mode = only ?? drawn;
  const offered = mode === "CP" ? levelNames : levelNames.slice(1);
  const isPlain = chance.isHit(0.25);
  const usual: LevelName = mode === "CP" ? "strong" : "eventual";
  const hasBound = mode === "CP" && chance.isHit(0.3);
  return {
    seed,
    mode,
    settings: {
      replicas: chance.isHit(0.3) ? 5 : 3,
      heartbeatMs: 40,
      electionMs: 120,
      operationTimeoutMs: 400,
      maxStalenessMs: Math.round(chance.between(30, 300)),
      maxStalenessVersions: hasBound ? chance.below(4) : null,
      logEntriesAtMost: mode === "AP" ? 300 : chance.isHit(0.5) ? 10 : 1_000,
      keysAtMost: 100,
    },
    clients: 5,
    operationsEach: 24,
    keys: 1 + chance.below(3),
    readRatio: chance.between(0.3, 0.7),
    levels: isPlain ? [usual] : offered,
    faultsMs: chance.isHit(0.9) ? 2_000 : 0,
    breaker: chance.isHit(0.3) ? { failures: 3, openMs: 100, probes: 2, slowMs: 350 } : null,
    ...(protocol && { protocol }),
  };
}
