import type { Clock } from "../clock.ts";
import type { Logger } from "./logger.ts";

export interface DependencyCheck {
  /** A required dependency that is down makes the process not ready. */
  required: boolean;
  /** Resolves when the dependency answers. */
  check(signal: AbortSignal): Promise<void>;
  timeoutMs: number;
}

export interface DependencyHealth {
  ok: boolean;
  required: boolean;
  latencyMs: number;
  /** Public: what kind of failure it was, never its message. */
  error?: string;
}

export interface Readiness {
  ok: boolean;
  stopping: boolean;
  dependencies: Record<string, DependencyHealth>;
}

/** Whether this process should be given work. */
export interface Health {
  register(name: string, dependency: DependencyCheck): void;
  unregister(name: string): void;
  ready(): Promise<Readiness>;
  /** From now on `ready` says no, whatever the dependencies say. */
  setStopping(): void;
}

export interface HealthOptions {
  clock: Clock;
  log: Logger;
  /** How long an answer serves further questions; 1 s by default. */
  maxAgeMs?: number;
}

/** A failure in words that anybody may read: its code if it has one. */
function publicError(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" && /^[A-Z0-9_]{2,40}$/.test(code) ? code : "failed";
}

/**
 * Asks all dependencies at once, each within its own time, and shares the answer among those who
 * ask within `maxAgeMs`, so that probes can't become load on a dependency that is already in
 * trouble.
 */
export function createHealth({ clock, log, maxAgeMs = 1_000 }: HealthOptions): Health {
  const dependencies = new Map<string, DependencyCheck>();
  const wasOk = new Map<string, boolean>();
  let stopping = false;
  let latest: { askedAtMs: number; answer: Promise<[string, DependencyHealth][]> } | null = null;

  const ask = async (name: string, dependency: DependencyCheck): Promise<DependencyHealth> => {
    const { required, timeoutMs } = dependency;
    const startMs = clock.monotonicMs();
    const abort = new AbortController();
    const late = Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: "TIMEOUT" });
    const timeout = clock.sleep(timeoutMs, abort.signal).then(() => Promise.reject(late));
    // Where the answer comes first, the sleep is aborted and rejects with nobody waiting.
    timeout.catch(() => {});
    let failure: unknown;
    try {
      await Promise.race([dependency.check(abort.signal), timeout]);
    } catch (error) {
      failure = error ?? late;
    }
    abort.abort(late);
    const latencyMs = Math.round((clock.monotonicMs() - startMs) * 10) / 10;
    const ok = failure === undefined;
    if (ok !== (wasOk.get(name) ?? true)) {
      if (ok) log.info({ dependency: name, latencyMs }, "dependency answers again");
      else log.warn({ dependency: name, latencyMs, err: failure }, "dependency does not answer");
    }
    wasOk.set(name, ok);
    return ok
      ? { ok, required, latencyMs }
      : { ok, required, latencyMs, error: publicError(failure) };
  };

  const askAll = () =>
    Promise.all(
      [...dependencies].map(
        async ([name, dependency]): Promise<[string, DependencyHealth]> => [
          name,
          await ask(name, dependency),
        ],
      ),
    );

  return {
    register(name, dependency) {
      if (dependencies.has(name)) throw new Error(`The dependency ${name} is registered already`);
      dependencies.set(name, dependency);
      latest = null;
    },
    unregister(name) {
      dependencies.delete(name);
      wasOk.delete(name);
      latest = null;
    },
    async ready() {
      const nowMs = clock.monotonicMs();
      if (!latest || nowMs - latest.askedAtMs >= maxAgeMs) {
        latest = { askedAtMs: nowMs, answer: askAll() };
      }
      const answers = await latest.answer;
      const ok = !stopping && answers.every(([, one]) => one.ok || !one.required);
      return { ok, stopping, dependencies: Object.fromEntries(answers) };
    },
    setStopping() {
      stopping = true;
    },
  };
}
