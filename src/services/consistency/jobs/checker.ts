import { Worker } from "node:worker_threads";
import type { Clock } from "#kernel/clock.ts";
import { BulkheadFull, createBulkhead } from "#kernel/resilience/bulkhead.ts";
import { consistencyErrors } from "../errors.ts";
import type { CheckResult, CheckWork } from "./check-work.ts";

const atOnceMost = 2;
const waitingMost = 16;
const timeoutMs = 120_000;
const memoryMb = 1_024;
/** So much is handed over in one turn, which takes well under a millisecond or two. */
const linesOfTurn = 500;

/** Checks histories in threads of their own, so that nobody waits for it. */
export interface Checker {
  /** Throws `checks_busy` where as many wait as may. */
  assertRoom(): void;
  check(work: CheckWork): Promise<CheckResult>;
  stop(): Promise<void>;
}

/** Makes the checker of a process. */
export function createChecker({ clock }: { clock: Clock }): Checker {
  const bulkhead = createBulkhead(atOnceMost, waitingMost);
  const stopping = new AbortController();
  const busy = (cause?: unknown) =>
    consistencyErrors.checks_busy({
      detail: `${atOnceMost + waitingMost} histories are being checked already; try again.`,
      headers: { "retry-after": "5" },
      cause,
    });
  const under = new Set<Promise<unknown>>();
  return {
    assertRoom() {
      if (bulkhead.active >= atOnceMost && bulkhead.waiting >= waitingMost) throw busy();
    },
    async check(work) {
      const checking = bulkhead.run(() => inThread(work, clock, stopping.signal), stopping.signal);
      under.add(checking);
      try {
        return await checking;
      } catch (error) {
        if (error instanceof BulkheadFull) throw busy(error);
        throw error;
      } finally {
        under.delete(checking);
      }
    },
    async stop() {
      stopping.abort(new Error("the process stops"));
      await Promise.allSettled(under);
    },
  };
}

async function inThread(work: CheckWork, clock: Clock, stop: AbortSignal): Promise<CheckResult> {
  const { name, options, source } = work;
  const worker = new Worker(new URL("./check-worker.ts", import.meta.url), {
    workerData: { name, options, isRecorded: source.kind === "recorded" },
    resourceLimits: { maxOldGenerationSizeMb: memoryMb },
  });
  const over = new AbortController();
  const answers = listen(worker);
  const late = clock
    .sleep(timeoutMs, AbortSignal.any([stop, over.signal]))
    .then((): CheckResult => ({ error: `It took longer than ${timeoutMs / 1_000} s.` }));
  late.catch(() => {
    // Aborted, since the check is over.
  });
  try {
    return await Promise.race([handOver(worker, answers, piecesOf(source)), late]);
  } finally {
    over.abort();
    await worker.terminate();
  }
}

/** A thread's answers, one at a time. */
interface Answers {
  next(): Promise<CheckResult | "more">;
}

function listen(worker: Worker): Answers {
  const came: (CheckResult | "more")[] = [];
  let wake: (() => void) | null = null;
  let broken: CheckResult | null = null;
  const tell = () => wake?.();
  worker.on("message", (message) => {
    came.push(message);
    tell();
  });
  worker.on("error", (error: NodeJS.ErrnoException) => {
    const isFull = error.code === "ERR_WORKER_OUT_OF_MEMORY";
    broken = {
      error: isFull
        ? `It takes more than ${memoryMb} MiB of memory; check a part of it.`
        : "It could not be checked, which is our fault.",
    };
    tell();
  });
  worker.on("exit", () => {
    broken ??= { error: "The check ended early." };
    tell();
  });
  return {
    async next() {
      while (came.length === 0 && broken === null) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return came.shift() ?? broken!;
    },
  };
}

/** Piece by piece, each when the one before was taken: nothing piles up between the threads. */
async function handOver(
  worker: Worker,
  answers: Answers,
  pieces: Iterable<string | Buffer>,
): Promise<CheckResult> {
  for (const piece of pieces) {
    worker.postMessage(piece, []);
    const said = await answers.next();
    if (said !== "more") return said;
  }
  worker.postMessage(null, []);
  const said = await answers.next();
  return said === "more" ? { error: "The check ended early." } : said;
}

function* piecesOf(source: CheckWork["source"]): Generator<string | Buffer> {
  if (source.kind === "uploaded") return yield* source.chunks;
  const { lines } = source;
  for (let at = 0; at < lines.length; at += linesOfTurn) {
    yield lines.slice(at, at + linesOfTurn).join("\n");
  }
}
