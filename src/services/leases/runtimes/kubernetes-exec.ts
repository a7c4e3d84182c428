import { Duplex } from "node:stream";
import { boundedOutput } from "./docker-streams.ts";
import { killCommand, markName } from "./docker-kill.ts";
import { runtimeErrors } from "./errors.ts";
import type { Channel } from "./kubernetes-channel.ts";
import type { Connection } from "./kubernetes-connection.ts";
import { containerName } from "./kubernetes-objects.ts";
import type { Status } from "./kubernetes-types.ts";
import type { ExecRequest, ExecResult, Terminal } from "./types.ts";

/** The numbers of the channel protocol, version 5. */
export const channelOf = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  status: 3,
  resize: 4,
  close: 255,
} as const;

export interface PodPlace {
  /** The pod's own path. */
  readonly path: string;
  /** Whether it still runs; a program whose connection is lost may have gone with it. */
  isRunning(): Promise<boolean>;
}

export interface StartRequest {
  readonly command: readonly string[];
  readonly hasStdin: boolean;
  readonly hasTerminal: boolean;
  readonly onOutput: (stream: "stdout" | "stderr", payload: Buffer) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A program that was started in a pod. */
export interface Started {
  readonly channel: Channel;
  /** What its processes carry, so that they are found to be ended. */
  readonly mark: string;
  /** Null where the connection ended before the program did. */
  readonly status: Promise<Status | null>;
}

const killTimeoutMs = 10_000;
const killedCode = 137;

/**
 * Closing a connection ends no program, and the API has no other way to end one. So each gets a
 * mark into its environment, which its children inherit; whoever carries it is ended.
 */
const marked = (mark: string, command: readonly string[]): string[] => {
  const script = `export ${markName}="$0"; exec "$@"`;
  return ["/bin/sh", "-c", script, mark, ...command];
};

/** Starts a program in a pod. Its connection is the caller's to end. */
export async function startExec(
  connection: Connection,
  { path }: PodPlace,
  { command, hasStdin, hasTerminal, onOutput, signal }: StartRequest,
): Promise<Started> {
  const mark = connection.options.random.id();
  const { promise: told, resolve: onStatus } = Promise.withResolvers<Status>();
  const statusText: Buffer[] = [];
  const query = {
    container: containerName,
    command: marked(mark, command),
    stdin: hasStdin,
    stdout: true,
    // At a terminal there is one output for all.
    stderr: !hasTerminal,
    tty: hasTerminal,
  };
  const onFrame = (stream: number, payload: Buffer) => {
    if (stream === channelOf.stdout) onOutput("stdout", payload);
    if (stream === channelOf.stderr) onOutput("stderr", payload);
    if (stream !== channelOf.status || payload.length === 0) return;
    statusText.push(payload);
    onStatus(JSON.parse(Buffer.concat(statusText).toString("utf8")) as Status);
  };
  const request = { path: `${path}/exec`, query, ...(signal && { signal }) };
  const channel = await connection.channel("run a command in the pod", request, onFrame);
  const status = Promise.race([told, channel.closed.then(() => null)]);
  return { channel, mark, status };
}

/** The exit code that a status tells of; null where the program was never started. */
export function exitCodeOf({ status, reason, details }: Status): number | null {
  if (status === "Success") return 0;
  const cause = details?.causes?.find((each) => each.reason === "ExitCode");
  return reason === "NonZeroExitCode" && cause ? Number(cause.message) : null;
}

function notStarted({ message = "" }: Status) {
  const cause = new Error(message);
  const hasNoShell = /no such file|not found|executable/i.test(message);
  const detail = hasNoShell
    ? "Commands go through a shell in the container, and its image has none."
    : "The node could not start the command.";
  return runtimeErrors[hasNoShell ? "refused" : "unavailable"]({ cause, detail });
}

/** Ends all that carries a program's mark. What can't be ended is logged: the lease will end it. */
export async function killStarted(
  connection: Connection,
  place: PodPlace,
  { mark }: Pick<Started, "mark">,
): Promise<void> {
  try {
    if (!(await place.isRunning())) return;
    const request = { stdin: null, timeoutMs: killTimeoutMs, outputBytesMax: 1_000 };
    const { exitCode } = await runExec(connection, place, {
      ...request,
      command: killCommand(mark),
    });
    if (exitCode === 0) return;
    connection.options.log.warn({ exitCode }, "a command in a pod may still run");
  } catch (error) {
    connection.options.log.warn({ err: error }, "a command in a pod may still run");
  }
}

/** Sends all of it, and that it was all. */
async function feed(channel: Channel, stdin: Buffer): Promise<void> {
  if (stdin.length > 0) await channel.send(channelOf.stdin, stdin);
  await channel.send(channelOf.close, Buffer.from([channelOf.stdin]));
}

/** Throws where the cluster is too old to be told that an input has ended. */
export function needInputEnd({ channel }: Started): void {
  if (channel.canEndInput) return;
  channel.close();
  const detail =
    "The cluster is older than Kubernetes 1.30: a command's input can't be ended there.";
  throw runtimeErrors.refused({ detail });
}

/** Runs a command in a pod; see `Runtime.exec`. */
export async function runExec(
  connection: Connection,
  place: PodPlace,
  { command, stdin, timeoutMs, outputBytesMax, signal }: ExecRequest,
): Promise<ExecResult> {
  signal?.throwIfAborted();
  const outputs = { stdout: boundedOutput(outputBytesMax), stderr: boundedOutput(outputBytesMax) };
  const started = await startExec(connection, place, {
    command,
    hasStdin: stdin !== null,
    hasTerminal: false,
    onOutput: (stream, payload) => outputs[stream].push(payload),
    signal,
  });
  const { channel } = started;
  if (stdin !== null) {
    needInputEnd(started);
    // A command that does not read to the end is none the worse for it.
    feed(channel, stdin).catch(() => {});
  }
  const { promise: givenUp, resolve: giveUp } = Promise.withResolvers<"timeout" | "aborted">();
  const timer = setTimeout(() => giveUp("timeout"), timeoutMs);
  const onAbort = () => giveUp("aborted");
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const ending = await Promise.race([started.status, givenUp]);
    const isOver = ending !== null && typeof ending === "object";
    if (!isOver) await killStarted(connection, place, started);
    if (ending === "aborted") throw signal?.reason as Error;
    let exitCode = isOver ? exitCodeOf(ending) : null;
    if (isOver && exitCode === null) throw notStarted(ending);
    // What a pod's end does to its programs looks like one that was killed in it.
    if (exitCode === killedCode && !(await place.isRunning())) exitCode = null;
    if (ending === null && (await place.isRunning())) {
      const detail = "The connection to the command was lost; the command was ended.";
      throw runtimeErrors.unavailable({ detail });
    }
    const { stdout, stderr } = outputs;
    return {
      exitCode,
      stdout: stdout.take(),
      stderr: stderr.take(),
      truncated: stdout.isTruncated || stderr.isTruncated,
      timedOut: ending === "timeout",
    };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    channel.close();
  }
}

/** The best shell of an image that names none. */
const anyShell = [
  "/bin/sh",
  "-c",
  "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi",
];

/** Sizes that are sent arrive when they will; a program looks at once. */
const sized = ({ columns, rows }: Size, command: readonly string[]): string[] => {
  const script = `stty rows ${rows} cols ${columns} 2>/dev/null; exec "$@"`;
  return ["/bin/sh", "-c", script, "sh", "env", "TERM=xterm-256color", ...command];
};

interface Size {
  readonly columns: number;
  readonly rows: number;
}

const sizeOf = ({ columns, rows }: Size): Buffer =>
  Buffer.from(JSON.stringify({ Width: columns, Height: rows }));

/** Starts a program at a pseudo-terminal; see `Runtime.terminal`. */
export async function openTerminal(
  connection: Connection,
  place: PodPlace,
  size: Size,
  command: readonly string[] | null,
): Promise<Terminal> {
  const early: Buffer[] = [];
  let show = (payload: Buffer): void => void early.push(payload);
  const started = await startExec(connection, place, {
    command: sized(size, command ?? anyShell),
    hasStdin: true,
    hasTerminal: true,
    onOutput: (_stream, payload) => show(payload),
  });
  const { channel, status } = started;
  const stream = new Duplex({
    read: () => channel.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      channel.send(channelOf.stdin, chunk).then(() => done(), done);
    },
    destroy: (error, done) => {
      channel.close();
      done(error);
    },
  });
  show = (payload) => {
    if (payload.length > 0 && !stream.push(payload)) channel.pause();
  };
  for (const payload of early) show(payload);
  let wasKilled = false;
  const exited = status.then(async (ending) => {
    stream.push(null);
    channel.close();
    if (ending === null && !wasKilled) await killStarted(connection, place, started);
    return wasKilled || ending === null ? null : exitCodeOf(ending);
  });
  // Whoever does not wait for the end need not hear of its failure.
  exited.catch(() => {});
  await channel.send(channelOf.resize, sizeOf(size));
  return {
    stream,
    exited,
    resize: (columns, rows) => channel.send(channelOf.resize, sizeOf({ columns, rows })),
    async kill() {
      wasKilled = true;
      await killStarted(connection, place, started);
      channel.close();
      await exited;
    },
  };
}
