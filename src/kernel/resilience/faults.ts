import type { Clock } from "../clock.ts";
import { defineErrors } from "../errors.ts";
import type { Random } from "../random.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export const faultKinds = ["latency", "error", "timeout", "corruption", "crash"] as const;
export type FaultKind = (typeof faultKinds)[number];

/** What is to happen at a point. */
export interface ArmedFault {
  readonly point: string;
  /** Which arming of the point it is. */
  readonly version: number;
  readonly kind: FaultKind;
  /** More than 0 and at most 1. */
  readonly probability: number;
  /** How long "latency" waits, and "timeout" before it fails. */
  readonly latencyMs: number;
}

/** Places in the code that can be told to go wrong, to see what happens then. */
export interface Faults {
  /** Does nothing until told otherwise; one settled promise for all while nothing is armed. */
  at(point: string, signal?: AbortSignal): Promise<void>;
  /**
   * The data itself unless "corruption" strikes; then a copy with one byte or character changed.
   */
  corrupt<T extends Buffer | string>(point: string, data: T): T | Promise<T>;
}

/** The same with the hand that arms it. */
export interface FaultSwitch extends Faults {
  /** From now on these are armed, and nothing else is. */
  arm(faults: readonly ArmedFault[]): void;
}

export interface FaultOptions {
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  /**
   * Asked before each strike and answered for all processes together: false when the fault has
   * struck as often as it was to. A rejection lets nothing strike.
   */
  claim: (fault: ArmedFault) => Promise<boolean>;
  /** How "crash" ends the process; a test puts something milder here. */
  crash?: () => void;
}

export const faultErrors = defineErrors("faults", {
  injected: { status: 503, title: "A fault was injected here" },
  timed_out: { status: 504, title: "An injected fault kept this waiting for too long" },
  not_allowed: { status: 403, title: "Fault injection is off in production" },
  bad_setting: { status: 422, title: "The fault's setting is not valid" },
  unknown_point: { status: 404, title: "There is no such fault point" },
});

const nothing = Promise.resolve();

/** One character replaced by another, so that the length stays. */
function corrupted<T extends Buffer | string>(data: T, random: Random): T {
  const at = Math.floor(random.float() * data.length);
  if (typeof data === "string") {
    const other = data[at] === "\u0001" ? "\u0002" : "\u0001";
    return `${data.slice(0, at)}${other}${data.slice(at + 1)}` as T;
  }
  const copy = Buffer.from(data);
  copy[at] = (copy[at] as number) ^ (1 << Math.floor(random.float() * 8));
  return copy as T;
}

function killOurselves(): void {
  process.kill(process.pid, "SIGKILL");
}

/** The points of this process. What is armed is told to it: see the kernel's fault board. */
export function createFaults(options: FaultOptions): FaultSwitch {
  const { clock, random, log, metrics, claim, crash = killOurselves } = options;
  const armed = new Map<string, ArmedFault>();
  const strikes = metrics.counter("faults_struck_total", "Injected faults", ["point", "kind"]);

  const strikesNow = async (fault: ArmedFault): Promise<boolean> => {
    if (fault.probability < 1 && random.float() >= fault.probability) return false;
    try {
      if (await claim(fault)) {
        strikes.inc({ point: fault.point, kind: fault.kind });
        return true;
      }
      if (armed.get(fault.point) === fault) armed.delete(fault.point);
    } catch (error) {
      log.warn({ err: error, point: fault.point }, "a fault that can't be counted does not strike");
    }
    return false;
  };

  const strike = async (point: string, signal?: AbortSignal): Promise<void> => {
    const fault = armed.get(point);
    if (!fault || fault.kind === "corruption" || !(await strikesNow(fault))) return;
    if (fault.kind === "crash") {
      log.fatal({ point }, "injected crash");
      return crash();
    }
    const detail = `"${point}" is told to fail; a platform admin sees it at /admin/faults.`;
    if (fault.kind === "error") throw faultErrors.injected({ detail });
    await clock.sleep(fault.latencyMs, signal);
    if (fault.kind === "timeout") throw faultErrors.timed_out({ detail });
  };

  const damage = async <T extends Buffer | string>(fault: ArmedFault, data: T): Promise<T> =>
    (await strikesNow(fault)) ? corrupted(data, random) : data;

  return {
    at: (point, signal) => (armed.size > 0 ? strike(point, signal) : nothing),
    corrupt(point, data) {
      if (armed.size === 0 || data.length === 0) return data;
      const fault = armed.get(point);
      return fault?.kind === "corruption" ? damage(fault, data) : data;
    },
    arm(faults) {
      armed.clear();
      for (const fault of faults) armed.set(fault.point, fault);
    },
  };
}
