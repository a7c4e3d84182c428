import type { Clock } from "#kernel/clock.ts";
import { WebSocket } from "ws";
import type { ProblemDocument } from "./errors.ts";

const protocol = "plimsoll.terminal.v1";
const handshakeMs = 15_000;
const messageBytesMax = 1_048_576;
const closeGraceMs = 1_000;
/** The server pings every 20 s: one that has been silent for so long is not there. */
const silenceMs = 60_000;

/** How a connection to a terminal was over, or why there was none. */
export type LinkEnd =
  | { kind: "exited"; exitCode: number | null }
  /** The server said why; coming back would not help. */
  | { kind: "closed"; reason: string }
  /** The credentials are not taken any more. */
  | { kind: "unauthorized"; problem: ProblemDocument | null }
  | { kind: "refused"; problem: ProblemDocument; retryAfterSeconds: number | undefined }
  | { kind: "broken"; why: string };

export interface Ready {
  readonly terminal: string;
  readonly position: number;
  readonly typed: number;
}

/** A connection to a terminal that is open, or about to be. */
export interface Link {
  /** False where it would get lost. */
  type(bytes: Buffer): boolean;
  resize(size: { columns: number; rows: number }): void;
  close(): void;
  readonly over: Promise<LinkEnd>;
}

export interface LinkOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly onReady: (ready: Ready) => void;
  /** Resolves when there is room for more. */
  readonly onShown: (bytes: Buffer) => Promise<void>;
}

/** Opens one connection to a terminal; see `GET /leases/{id}/terminal`. */
export function openLink(options: LinkOptions): Link {
  const { clock, onReady, onShown } = options;
  const socket = new WebSocket(options.url, [protocol], {
    headers: { ...options.headers, "user-agent": "plimsoll command line" },
    perMessageDeflate: false,
    handshakeTimeout: handshakeMs,
    maxPayload: messageBytesMax,
    followRedirects: false,
  });
  const { promise: over, resolve } = Promise.withResolvers<LinkEnd>();
  let isReady = false;
  let told: LinkEnd | null = null;
  const tell = (word: object) => socket.send(JSON.stringify(word));
  socket.on("message", (data: Buffer, isBinary) => {
    if (isBinary) {
      socket.pause();
      void onShown(data).then(() => socket.resume());
      return;
    }
    const word = JSON.parse(data.toString());
    if (word.type === "ready") {
      isReady = true;
      onReady(word);
    } else if (word.type === "exit") told = { kind: "exited", exitCode: word.exitCode };
    else if (word.type === "error") told = { kind: "closed", reason: word.detail };
  });
  socket.on("unexpected-response", (_request, answer) => {
    const chunks: Buffer[] = [];
    answer.on("data", (chunk: Buffer) => chunks.push(chunk));
    answer.on("end", () => {
      const retryAfter = Number(answer.headers["retry-after"] ?? Number.NaN);
      resolve(refusalOf(answer.statusCode ?? 0, Buffer.concat(chunks).toString(), retryAfter));
      socket.terminate();
    });
  });
  socket.on("error", (error) => resolve({ kind: "broken", why: error.message }));
  socket.once("close", (code, reason) => resolve(told ?? endOf(code, reason.toString())));
  const ended = new AbortController();
  void over.then(() => ended.abort());
  void listen(socket, clock, ended.signal);
  return {
    over,
    type(bytes) {
      if (!isReady || socket.readyState !== socket.OPEN) return false;
      socket.send(bytes);
      return true;
    },
    resize: (size) => {
      if (socket.readyState === socket.OPEN) tell({ type: "resize", ...size });
    },
    close() {
      socket.close(1000);
      // Nobody who leaves waits for a server that is not there.
      clock.sleep(closeGraceMs, ended.signal).then(
        () => socket.terminate(),
        () => undefined,
      );
    },
  };
}

function refusalOf(status: number, text: string, retryAfter: number): LinkEnd {
  let problem: ProblemDocument = { title: "The server refused", status };
  try {
    problem = { ...problem, ...JSON.parse(text) };
  } catch {
    // Something in between has answered: the status says enough.
  }
  if (status === 401) return { kind: "unauthorized", problem };
  if (status >= 500) return { kind: "broken", why: problem.title };
  const retryAfterSeconds = Number.isFinite(retryAfter) ? retryAfter : undefined;
  return { kind: "refused", problem, retryAfterSeconds };
}

/** Codes of the registry of WebSocket close codes: 3000 unauthorized, 3003 forbidden. */
function endOf(code: number, reason: string): LinkEnd {
  if (code === 3000) return { kind: "unauthorized", problem: null };
  if (code === 3003) return { kind: "closed", reason };
  return { kind: "broken", why: reason || `code ${code}` };
}

/** Gives up a connection over which nothing has come for too long. */
async function listen(socket: WebSocket, clock: Clock, signal: AbortSignal): Promise<void> {
  let isHeard = true;
  const hear = () => {
    isHeard = true;
  };
  socket.on("ping", hear).on("message", hear).on("open", hear);
  try {
    while (isHeard || socket.isPaused) {
      isHeard = false;
      await clock.sleep(silenceMs, signal);
    }
    socket.terminate();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
