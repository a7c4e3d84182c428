import type { Clock } from "#kernel/clock.ts";
import type { WebSocketConnection } from "#kernel/http/types.ts";
import type { Logger } from "#kernel/telemetry/logger.ts";
import { leasesErrors } from "../errors.ts";
import { readWord, type ServerWord, terminalCloses, type TerminalSize } from "../rules/terminal.ts";
import type { Terminal } from "../runtimes/types.ts";
import type { LiveTerminal } from "../types.ts";
import { createReplay, type Replay } from "./replay.ts";

const replayBytesMax = 262_144;
/** Beyond this much unread the program has to wait, until its reader has caught up to half. */
const unreadBytesMax = 262_144;
/** For how long a program is left alone whose reader has gone. */
const detachMs = 300_000;
/** How long what an ended program has shown last may take to come out. */
const lastWordsMs = 5_000;
/** For how long a reader who was away may still hear how it ended. */
const afterwardsMs = 60_000;

export interface TerminalOptions {
  readonly id: string;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What of a terminal changes. */
interface Standing extends TerminalOptions {
  readonly replay: Replay;
  /** Who looks at it now. */
  viewer: WebSocketConnection | null;
  /** The viewer has asked for a pause. */
  isHeld: boolean;
  typedBytes: number;
  exit: { readonly exitCode: number | null } | null;
}

/**
 * A program at its terminal, and whoever looks at it: one connection at a time, and nobody for five
 * minutes at most, after which it is killed. What it shows is kept, the last 256 KiB of it, so that
 * a reader whose connection broke goes on where it was, without a gap and without anything twice.
 */
export function runTerminal(options: TerminalOptions): LiveTerminal {
  const { id, terminal, clock, log } = options;
  const { stream } = terminal;
  const replay = createReplay(replayBytesMax);
  const standing: Standing = {
    ...options,
    replay,
    viewer: null,
    isHeld: false,
    typedBytes: 0,
    exit: null,
  };
  const patience = createPatience(clock);
  const { promise: ended, resolve: onEnded } = Promise.withResolvers<void>();
  const resize = latestOnly((size: TerminalSize) => terminal.resize(size.columns, size.rows), log);
  const kill = () => end(standing);

  stream.on("data", (chunk: Buffer) => {
    const { viewer } = standing;
    replay.push(chunk);
    viewer?.send(chunk);
    if (viewer && viewer.unreadBytes() > unreadBytesMax) flow(standing);
  });
  void endOf(terminal, clock).then((exitCode) => {
    standing.exit = { exitCode };
    stream.destroy();
    onEnded();
    if (standing.viewer) tellEnd(standing.viewer, standing.exit);
    else patience.wait(afterwardsMs, patience.end);
  });

  const leave = (connection: WebSocketConnection) => {
    if (standing.viewer !== connection) return;
    Object.assign(standing, { viewer: null, isHeld: false });
    // Who has closed the connection in turn knows how it ended.
    if (standing.exit && connection.closedBy() === "both") patience.end();
    else if (standing.exit) patience.wait(afterwardsMs, patience.end);
    else patience.wait(detachMs, kill);
    flow(standing);
  };

  return {
    id,
    ended,
    over: patience.over,
    kill,
    async drop() {
      await kill();
      patience.end();
    },
    resize,
    shownBytes: () => replay.endPosition,
    attach(connection, position) {
      patience.stop();
      if (standing.viewer) takeOver(standing.viewer);
      Object.assign(standing, { viewer: connection, isHeld: false });
      show(standing, connection, position);
      connection.onMessage((message, isBinary) => {
        if (standing.viewer !== connection || standing.exit) return;
        if (!isBinary) return hear(standing, connection, message.toString(), { resize, kill });
        standing.typedBytes += message.length;
        type(connection, stream, message);
      });
      if (standing.exit) tellEnd(connection, standing.exit);
      flow(standing);
      return gone(connection.signal).then(() => leave(connection));
    },
  };
}

async function end({ id, terminal, log, exit }: Standing): Promise<void> {
  if (exit) return;
  await terminal.kill().catch((error) => {
    log.warn({ err: error, terminal: id }, "a terminal's program could not be killed");
  });
  terminal.stream.destroy();
}

/** Waits for one thing at a time, until the end. */
function createPatience(clock: Clock) {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  let waiting = new AbortController();
  let isOver = false;
  const stop = () => waiting.abort();
  return {
    over,
    stop,
    /** Calls `then` in so long, unless it is stopped before. */
    wait(ms: number, then: () => unknown): void {
      stop();
      if (isOver) return;
      waiting = new AbortController();
      clock.sleep(ms, waiting.signal).then(then, () => {
        // It was stopped.
      });
    },
    end(): void {
      isOver = true;
      stop();
      resolve();
    },
  };
}

const gone = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

/** Lets the program write as fast as it is read; with nobody there it need not wait. */
function flow(standing: Standing): void {
  const { viewer, isHeld, terminal } = standing;
  if (!viewer || !(isHeld || viewer.unreadBytes() > unreadBytesMax)) {
    terminal.stream.resume();
    return;
  }
  terminal.stream.pause();
  if (!isHeld) void viewer.drained(unreadBytesMax / 2).then(() => flow(standing));
}

/** Begins a connection: where it is, and what was missed. */
function show({ id, replay, typedBytes }: Standing, to: WebSocketConnection, from: number): void {
  const { position, bytes } = replay.since(from);
  tell(to, { type: "ready", terminal: id, position, typed: typedBytes });
  if (bytes.length > 0) to.send(bytes);
}

interface Doing {
  readonly resize: (size: TerminalSize) => void;
  readonly kill: () => Promise<void>;
}

/** Does what a client says. */
function hear(
  standing: Standing,
  connection: WebSocketConnection,
  text: string,
  { resize, kill }: Doing,
): void {
  const word = readWord(text);
  if (word === null) return refuse(connection);
  if (word.type === "resize") return resize(word);
  if (word.type === "end") return void kill();
  standing.isHeld = word.type === "pause";
  flow(standing);
}

/** Types something; who types faster than the program reads has to wait. */
function type(connection: WebSocketConnection, stream: Terminal["stream"], bytes: Buffer): void {
  if (!stream.writable || stream.write(bytes)) return;
  connection.pause();
  const goOn = () => {
    stream.off("drain", goOn).off("close", goOn);
    connection.resume();
  };
  stream.on("drain", goOn).on("close", goOn);
}

const tell = (connection: WebSocketConnection, word: ServerWord) =>
  connection.send(JSON.stringify(word));

function close(connection: WebSocketConnection, how: keyof typeof terminalCloses): void {
  connection.close(terminalCloses[how].code, terminalCloses[how].reason);
}

function tellEnd(connection: WebSocketConnection, exit: { exitCode: number | null }): void {
  tell(connection, { type: "exit", ...exit });
  close(connection, "exited");
}

function takeOver(connection: WebSocketConnection): void {
  const { code } = leasesErrors.terminal_taken;
  tell(connection, { type: "error", code, detail: "Another connection has taken over." });
  close(connection, "takenOver");
}

function refuse(connection: WebSocketConnection): void {
  const { code } = leasesErrors.terminal_word;
  tell(connection, { type: "error", code, detail: "Text must be one of the protocol's words." });
  close(connection, "notUnderstood");
}

/** When the program is over and all that it has shown has been read; resolves to its exit code. */
async function endOf({ stream, exited }: Terminal, clock: Clock): Promise<number | null> {
  const { promise: read, resolve } = Promise.withResolvers<void>();
  stream
    .once("end", resolve)
    .once("close", resolve)
    .on("error", () => resolve());
  // What went wrong with the engine was logged there; nobody knows how the program ended.
  const exitCode = await exited.catch(() => null);
  const patience = new AbortController();
  void read.then(() => patience.abort());
  try {
    // A reader who is slow is waited for, an end that does not come is not.
    do await clock.sleep(lastWordsMs, patience.signal);
    while (stream.isPaused());
  } catch (error) {
    if (!patience.signal.aborted) throw error;
  }
  return exitCode;
}

/** Does one at a time, and of all that came meanwhile the last one only. */
function latestOnly<Value>(
  work: (value: Value) => Promise<void>,
  log: Logger,
): (value: Value) => void {
  let next: { value: Value } | null = null;
  let isBusy = false;
  const run = async () => {
    isBusy = true;
    while (next) {
      const { value } = next;
      next = null;
      await work(value).catch((error) => log.debug({ err: error }, "a terminal kept its size"));
    }
    isBusy = false;
  };
  return (value) => {
    next = { value };
    if (!isBusy) void run();
  };
}
