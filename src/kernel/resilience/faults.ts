import type { Clock } from "../clock.ts";
import { defineErrors } from "../errors.ts";
import type { Random } from "../random.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export type FaultKind = "latency" | "error" | "timeout" | "corruption" | "crash";

export interface FaultSetting {
  kind: FaultKind;
  /** 0 to 1; 1 by default. */
  probability?: number;
  /** How many times it strikes before it clears itself; without limit by default. */
  count?: number;
  /** How long "latency" waits, and "timeout" at most. */
  latencyMs?: number;
}

export interface FaultStatus {
  point: string;
  kind: FaultKind;
  probability: number;
  /** Strikes left; null when without limit. */
  remaining: number | null;
  latencyMs: number;
  /** Strikes so far. */
  struck: number;
}

/** Places in the code that can be told to go wrong, to see what happens then. */
export interface Faults {
  /** Does nothing until told otherwise; a settled promise when nothing is set anywhere. */
  at(point: string, signal?: AbortSignal): Promise<void>;
  /**
   * The data itself unless "corruption" strikes; then a copy with one byte or character changed.
   */
  corrupt<T extends Buffer | string>(point: string, data: T): T;
  list(): FaultStatus[];
  set(point: string, setting: FaultSetting): FaultStatus;
  /** Whether there was one. */
  clear(point: string): boolean;
  clearAll(): void;
}

export interface FaultOptions {
  /** False where faults are refused: in production without FLAG_FAULTS=1. */
  allowed: boolean;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  /** How "crash" ends the process; a test puts something milder here. */
  crash?: () => void;
}

export const faultErrors = defineErrors("faults", {
  injected: { status: 503, title: "A fault was injected here" },
  timed_out: { status: 504, title: "An injected fault kept this waiting for too long" },
  not_allowed: { status: 403, title: "Fault injection is off in production" },
  bad_setting: { status: 422, title: "The fault's setting is not valid" },
  too_many: { status: 409, title: "As many fault points are set as may be" },
});

const maxPoints = 100;
const maxLatencyMs = 600_000;
const defaultLatencyMs = { latency: 1_000, timeout: 60_000 };
const nothing = Promise.resolve();

function settle(point: string, setting: FaultSetting): FaultStatus {
  const { kind, probability = 1, count } = setting;
  const latencyMs =
    setting.latencyMs ?? (kind === "timeout" ? defaultLatencyMs.timeout : defaultLatencyMs.latency);
  const errors = [];
  if (!/^[a-z][a-z0-9_]*(\.[a-z0-9_]+){0,6}$/.test(point) || point.length > 100) {
    errors.push({ path: "point", message: 'must be dotted lower-case words: "feeds.page.commit"' });
  }
  if (!["latency", "error", "timeout", "corruption", "crash"].includes(kind)) {
    errors.push({ path: "/kind", message: "must be latency, error, timeout, corruption or crash" });
  }
  if (!(probability > 0 && probability <= 1)) {
    errors.push({ path: "/probability", message: "must be more than 0 and at most 1" });
  }
  if (count !== undefined && !(Number.isInteger(count) && count >= 1 && count <= 1_000_000)) {
    errors.push({ path: "/count", message: "must be a whole number from 1 to 1000000" });
  }
  if (!(Number.isInteger(latencyMs) && latencyMs >= 0 && latencyMs <= maxLatencyMs)) {
    errors.push({
      path: "/latencyMs",
      message: `must be a whole number from 0 to ${maxLatencyMs}`,
    });
  }
  if (errors.length > 0) throw faultErrors.bad_setting({ errors });
  return { point, kind, probability, remaining: count ?? null, latencyMs, struck: 0 };
}

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

/** Faults of this process only: another replica or the worker has its own. */
export function createFaults(options: FaultOptions): Faults {
  const { allowed, clock, random, log, metrics, crash = killOurselves } = options;
  const points = new Map<string, FaultStatus>();
  const strikes = metrics.counter("faults_struck_total", "Injected faults", ["point", "kind"]);
  let anySet = false;

  const strikesNow = (fault: FaultStatus | undefined): fault is FaultStatus => {
    if (!fault) return false;
    if (fault.probability < 1 && random.float() >= fault.probability) return false;
    fault.struck += 1;
    strikes.inc({ point: fault.point, kind: fault.kind });
    if (fault.remaining !== null) {
      fault.remaining -= 1;
      if (fault.remaining === 0) remove(fault.point);
    }
    return true;
  };

  const remove = (point: string): boolean => {
    const was = points.delete(point);
    anySet = points.size > 0;
    return was;
  };

  const strike = async (point: string, signal?: AbortSignal): Promise<void> => {
    const fault = points.get(point);
    if (fault?.kind === "corruption" || !strikesNow(fault)) return;
    if (fault.kind === "crash") {
      log.fatal({ point }, "injected crash");
      return crash();
    }
    if (fault.kind === "error") throw faultErrors.injected({ extensions: { point } });
    await clock.sleep(fault.latencyMs, signal);
    if (fault.kind === "timeout") throw faultErrors.timed_out({ extensions: { point } });
  };

  return {
    at: (point, signal) => (anySet ? strike(point, signal) : nothing),
    corrupt(point, data) {
      if (!anySet || data.length === 0) return data;
      const fault = points.get(point);
      return fault?.kind === "corruption" && strikesNow(fault) ? corrupted(data, random) : data;
    },
    list: () => [...points.values()].map((fault) => ({ ...fault })),
    set(point, setting) {
      if (!allowed) {
        throw faultErrors.not_allowed({
          detail: "Start the server with FLAG_FAULTS=1 to allow it.",
        });
      }
      const fault = settle(point, setting);
      if (!points.has(point) && points.size >= maxPoints) {
        throw faultErrors.too_many({ detail: `At most ${maxPoints} points; clear some.` });
      }
      points.set(point, fault);
      anySet = true;
      log.warn({ ...fault }, "fault set");
      return { ...fault };
    },
    clear: remove,
    clearAll() {
      points.clear();
      anySet = false;
    },
  };
}
