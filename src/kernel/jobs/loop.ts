import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";

export interface LoopOptions {
  /** For the log. */
  name: string;
  /** The pause between two rounds. */
  everyMs: number;
  clock: Clock;
  log: Pick<Logger, "warn">;
  /** One round; true when there is more to do at once. */
  run(signal: AbortSignal): Promise<boolean>;
}

export interface Loop {
  /** Ends the pause, or asks for another round right after this one. */
  wake(): void;
  /** Aborts the round under way and resolves when it has ended. */
  stop(): Promise<void>;
}

const maxPauseAfterErrorMs = 10_000;

/**
 * Does something again and again. A round that fails is logged and tried again after a pause that
 * grows with the failures, up to 10 s.
 */
export function startLoop({ name, everyMs, clock, log, run }: LoopOptions): Loop {
  const stopping = new AbortController();
  let pause = new AbortController();
  let woken = false;
  let failures = 0;

  async function round(): Promise<boolean> {
    try {
      const more = await run(stopping.signal);
      failures = 0;
      return more;
    } catch (error) {
      if (stopping.signal.aborted) return false;
      failures += 1;
      log.warn({ err: error, loop: name, failures }, "a background round failed");
      return false;
    }
  }

  async function rest(): Promise<void> {
    pause = new AbortController();
    const longerMs = Math.max(everyMs, Math.min(everyMs * 2 ** failures, maxPauseAfterErrorMs));
    const signal = AbortSignal.any([pause.signal, stopping.signal]);
    // Rejects when the pause is cut short, which is what waking is.
    await clock.sleep(failures === 0 ? everyMs : longerMs, signal).catch(() => {});
  }

  async function go(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = false;
      if (await round()) continue;
      if (!woken && !stopping.signal.aborted) await rest();
    }
  }

  const done = go();
  return {
    wake() {
      woken = true;
      pause.abort();
    },
    async stop() {
      stopping.abort();
      await done;
    },
  };
}
