import { type BreakerBoard, createBreakerBoard } from "./breaker-board.ts";
import type { Clock } from "./clock.ts";
import type { Db } from "./db/types.ts";
import type { Random } from "./random.ts";
import { createPolicies, type Policies } from "./resilience/policies.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** Longer than an export takes by its own limit. */
export const otlpPolicy = {
  timeoutMs: 6_000,
  breaker: { consecutiveFailures: 3, halfOpenAfterMs: 30_000 },
  bulkhead: { concurrent: 4, queued: 4 },
};

/** The policies of this process, whose breakers are as platform admins want them in every one. */
export async function openPolicies({
  closing,
  ...around
}: {
  /** The kernel's own tables. */
  db: Db;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  closing: AsyncDisposableStack;
}): Promise<{ policies: Policies; breakerBoard: BreakerBoard }> {
  const policies = createPolicies(around);
  const breakerBoard = createBreakerBoard({ ...around, policies });
  await breakerBoard.load();
  breakerBoard.start();
  closing.defer(() => breakerBoard.stop());
  return { policies, breakerBoard };
}
