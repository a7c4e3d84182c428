import type { Socket } from "node:net";
import type { Clock } from "#kernel/clock.ts";

/** One direction of a connection. */
export interface Pipe {
  /** Whether the sender has ended and all of it was passed on. */
  isDone(): boolean;
  stop(): void;
}

interface PipeOptions {
  readonly clock: Clock;
  delayMs(): number;
  /** Whether what arrives now vanishes. */
  isLost(): boolean;
  onLoss(): void;
  onEnd(): void;
}

interface Waiting {
  /** Null for the end of what is sent. */
  readonly chunk: Buffer | null;
  readonly dueMs: number;
}

/** The most that waits in a pipe; beyond it the sender is not read any more. */
export const pipeBytesAtMost = 256 * 1024;

/**
 * Passes on what `from` sends to `to`, in its order, later by the delay that holds when it comes.
 * What arrives or comes due in a cut vanishes.
 */
export function createPipe(from: Socket, to: Socket, options: PipeOptions): Pipe {
  const { clock } = options;
  const waiting: Waiting[] = [];
  const stopping = new AbortController();
  let [heldBytes, isMoving, isDone] = [0, false, false];

  const take = (chunk: Buffer | null) => {
    if (options.isLost()) return options.onLoss();
    waiting.push({ chunk, dueMs: clock.monotonicMs() + options.delayMs() });
    heldBytes += chunk?.length ?? 0;
    if (heldBytes >= pipeBytesAtMost) from.pause();
    if (!isMoving) void move();
  };

  async function move(): Promise<void> {
    isMoving = true;
    try {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const waitMs = next.dueMs - clock.monotonicMs();
        if (waitMs > 0) await clock.sleep(waitMs, stopping.signal);
        if (options.isLost()) options.onLoss();
        else if (next.chunk === null) end();
        else if (!to.write(next.chunk)) await drained(to, stopping.signal);
        waiting.shift();
        heldBytes -= next.chunk?.length ?? 0;
        if (heldBytes < pipeBytesAtMost) from.resume();
      }
    } catch {
      // It was stopped: nothing is passed on any more.
      waiting.length = 0;
    }
    isMoving = false;
  }

  function end(): void {
    isDone = true;
    to.end();
    options.onEnd();
  }

  from.on("data", take);
  from.on("end", () => take(null));
  return {
    isDone: () => isDone,
    stop: () => stopping.abort(new Error("the connection is closed")),
  };
}

/** Resolves when the socket takes more; rejects when nobody wants to know any more. */
function drained(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (after: () => void) => () => {
      socket.removeListener("drain", onDrain);
      signal.removeEventListener("abort", onAbort);
      after();
    };
    const onDrain = leave(resolve);
    const onAbort = leave(() => reject(signal.reason));
    socket.on("drain", onDrain);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
  });
}
