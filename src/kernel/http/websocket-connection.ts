import type { RawData, WebSocket } from "ws";
import type { Clock } from "../clock.ts";
import type { WebSocketConnection } from "./types.ts";

const pingMs = 20_000;
/** How long a client may take to close, once it was told to. */
const closeGraceMs = 1_000;
/** What ws says where no close has come from the client. */
const brokenCode = 1006;
const unreadBytesMax = 4_194_304;

/** Why a connection is over, for the metrics. */
export type Over = "closed" | "silent" | "slow";

export interface Connected extends WebSocketConnection {
  /** Resolves when it is over. */
  readonly over: Promise<Over>;
}

/**
 * What a service sees of a WebSocket. A client that answers no ping within 20 s, or leaves more
 * than 4 MiB unread, is cut off: what it means to read is to wait for `drained`.
 */
export function connectionOf(socket: WebSocket, clock: Clock): Connected {
  const ended = new AbortController();
  const { signal } = ended;
  const { promise: over, resolve } = Promise.withResolvers<Over>();
  const waiting = new Set<{ bytes: number; wake: () => void }>();
  let why: Over = "closed";
  let isClean = false;
  const look = () => {
    for (const waiter of waiting) {
      if (!signal.aborted && socket.bufferedAmount > waiter.bytes) continue;
      waiting.delete(waiter);
      waiter.wake();
    }
  };
  const cutOff = (reason: Over) => {
    why = reason;
    socket.terminate();
  };
  // An error is always followed by the end.
  socket.on("error", () => {});
  socket.once("close", (code) => {
    isClean = code !== brokenCode;
    ended.abort();
    look();
    resolve(why);
  });
  void beat(socket, clock, signal, () => cutOff("silent"));
  return {
    signal,
    over,
    send(message) {
      if (socket.readyState !== socket.OPEN) return;
      socket.send(message, { binary: typeof message !== "string" }, look);
      if (socket.bufferedAmount > unreadBytesMax) cutOff("slow");
    },
    unreadBytes: () => socket.bufferedAmount,
    drained: (bytes) =>
      new Promise((wake) => {
        waiting.add({ bytes, wake });
        look();
      }),
    onMessage(listen) {
      socket.on("message", (data: RawData, isBinary) => listen(data as Buffer, isBinary));
    },
    closedBy: () => (isClean ? "both" : "accident"),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close(code, reason) {
      socket.close(code, reason);
      // One who reads nothing would never know, and keep the server from stopping.
      clock.sleep(closeGraceMs, signal).then(
        () => socket.terminate(),
        () => undefined,
      );
    },
  };
}

async function beat(
  socket: WebSocket,
  clock: Clock,
  signal: AbortSignal,
  cutOff: () => void,
): Promise<void> {
  let isHeard = true;
  const hear = () => {
    isHeard = true;
  };
  socket.on("pong", hear).on("message", hear);
  try {
    for (;;) {
      await clock.sleep(pingMs, signal);
      // Who was told to wait can't be heard.
      if (!isHeard && !socket.isPaused) return cutOff();
      isHeard = false;
      socket.ping();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
