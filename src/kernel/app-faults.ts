import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Db } from "./db/types.ts";
import { createFaultBoard, type FaultBoard } from "./fault-board.ts";
import { createStrikeCounter } from "./fault-strikes.ts";
import type { Random } from "./random.ts";
import { mergeFaultPoints } from "./resilience/fault-points.ts";
import { createFaults, type Faults } from "./resilience/faults.ts";
import type { AnyService } from "./service.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface FaultsAround {
  config: Pick<Config, "env" | "flags">;
  /** All there are: what is armed for another process is known here. */
  services: readonly AnyService[];
  appUrl: string;
  /** The kernel's own tables. */
  db: Db;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  closing: AsyncDisposableStack;
}

/** The fault points of this process, armed as the database says from now on. */
export async function openFaults(
  around: FaultsAround,
): Promise<{ faults: Faults; faultBoard: FaultBoard }> {
  const { config, db, clock, random, log, metrics, closing } = around;
  const strikes = createStrikeCounter(around.appUrl, log);
  closing.defer(() => strikes.close());
  const faults = createFaults({ clock, random, log, metrics, claim: strikes.claim });
  const faultBoard = createFaultBoard({
    allowed: config.env !== "production" || config.flags.faults === true,
    points: mergeFaultPoints(around.services),
    faults,
    db,
    clock,
    log,
  });
  if (faultBoard.allowed) await faultBoard.load();
  faultBoard.start();
  closing.defer(() => faultBoard.stop());
  return { faults, faultBoard };
}
