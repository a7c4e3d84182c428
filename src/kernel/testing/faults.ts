import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { type ArmedFault, createFaults, type Faults } from "../resilience/faults.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export interface Drill extends Faults {
  /** How often it has struck. */
  struck(): number;
}

/** Fault points of which one goes wrong, once unless said otherwise. */
export function drill(
  around: { clock: Clock; random: Random; log: Logger; metrics: Metrics },
  point: string,
  { times = 1, ...fault }: Partial<ArmedFault> & { times?: number } = {},
): Drill {
  let struck = 0;
  const claim = async () => {
    if (struck === times) return false;
    struck += 1;
    return true;
  };
  const faults = createFaults({ ...around, claim });
  faults.arm([{ point, version: 2, kind: "error", probability: 1, latencyMs: 0, ...fault }]);
  return { ...faults, struck: () => struck };
}
