import type { Socket } from "node:net";
import { systemClock } from "#kernel/clock.ts";
import type { Engine } from "./docker-engine.ts";
import { startFault, statusOf } from "./docker-errors.ts";
import { killCommand, killFromOutside, markName } from "./docker-kill.ts";
import { boundedOutput, createDemultiplexer } from "./docker-streams.ts";
import { runtimeErrors } from "./errors.ts";
import type { ExecRequest, ExecResult } from "./types.ts";

/** Between looks whether the program is over although a child holds its output open. */
const lookEveryMs = 1_000;
/** How long output may still come after the program is over or was ended. */
const drainMs = 2_000;
/** The engine says of an exec that it is over a moment after its output has ended. */
const settleMs = 5_000;
const killTimeoutMs = 10_000;

export interface ExecStart {
  readonly command: readonly string[];
  readonly hasStdin: boolean;
  readonly hasTerminal: boolean;
  readonly env?: readonly string[];
}

/** A program that was started in a container. */
export interface Program {
  readonly containerId: string;
  readonly execId: string;
  /** Its own in its environment, by which it and its children are known. */
  readonly mark: string;
}

/** With its in- and output. */
export interface Started extends Program {
  readonly socket: Socket;
}

/** Starts a program in a running container. Its connection is the caller's to end. */
export async function startExec(
  engine: Engine,
  containerId: string,
  { command, hasStdin, hasTerminal, env = [] }: ExecStart,
  signal?: AbortSignal,
): Promise<Started> {
  const mark = engine.options.random.id();
  const doing = "run a command in the container";
  const { body } = await engine.ask<{ Id: string }>(doing, {
    method: "POST",
    path: `/containers/${containerId}/exec`,
    signal,
    body: {
      Cmd: command,
      Env: [...env, `${markName}=${mark}`],
      AttachStdin: hasStdin,
      AttachStdout: true,
      AttachStderr: true,
      Tty: hasTerminal,
    },
  });
  const request = {
    method: "POST",
    path: `/exec/${body.Id}/start`,
    body: { Detach: false, Tty: hasTerminal },
    signal,
    deadlineMs: 30_000,
  } as const;
  try {
    const socket = await engine.hijack(doing, request, hasStdin);
    // An error closes it, and that is what its readers look at.
    socket.on("error", () => {});
    return { containerId, execId: body.Id, mark, socket };
  } catch (error) {
    // Nobody waits for it any more, and the engine may start it all the same.
    if (signal?.aborted || statusOf(error) === null) {
      killStarted(engine, { containerId, execId: body.Id, mark }).catch((err: unknown) => {
        engine.options.log.warn({ err }, "a command may run that nobody waits for");
      });
    }
    throw error;
  }
}

interface ExecState {
  readonly Running: boolean;
  readonly ExitCode: number | null;
  readonly Pid: number;
}

/**
 * What the engine says of an exec; null where it knows it no longer, as with its container gone.
 */
async function lookAt(engine: Engine, { execId }: Program): Promise<ExecState | null> {
  const { status, body } = await engine.ask<ExecState>("look after a command", {
    method: "GET",
    path: `/exec/${execId}/json`,
    accept: [200, 404],
    deadlineMs: engine.answerMsMax / 2,
  });
  return status === 404 ? null : body;
}

/** Its connection is there before the program is: then it neither runs nor has a code. */
const isOver = ({ Running, ExitCode }: ExecState): boolean => !Running && ExitCode !== null;

/**
 * Looks until it is as wanted, for a while; the engine's last word, null where it forgot the exec.
 */
async function lookUntil(
  engine: Engine,
  started: Program,
  isWanted: (state: ExecState) => boolean,
): Promise<ExecState | null> {
  const startMs = performance.now();
  for (let waitMs = 5; ; waitMs = Math.min(waitMs * 2, 250)) {
    const state = await lookAt(engine, started);
    const isPatient = performance.now() - startMs < settleMs;
    if (state === null || isWanted(state) || !isPatient) return state;
    await systemClock.sleep(waitMs);
  }
}

/** What became of a program; one that still runs after a while has lost its connection to us. */
export function settled(engine: Engine, started: Program): Promise<ExecState | null> {
  return lookUntil(engine, started, isOver);
}

type Ending = "over" | "timeout" | "aborted";

/**
 * Ends the connection where the engine answers nothing any more, which a connection alone does not
 * show. Gives what stops the looking.
 */
export function endWhenSilent(engine: Engine, started: Started): () => void {
  let look: NodeJS.Timeout | undefined;
  const lookLater = () => {
    look = setTimeout(() => {
      lookAt(engine, started).then(lookLater, (error: Error) => started.socket.destroy(error));
    }, lookEveryMs * 5);
  };
  lookLater();
  started.socket.once("close", () => clearTimeout(look));
  return () => clearTimeout(look);
}

/** Resolves when the output is over, or has been silent since the program is; see `lookEveryMs`. */
export function endingOf(
  engine: Engine,
  started: Started,
  { timeoutMs, signal }: Pick<ExecRequest, "timeoutMs" | "signal">,
): Promise<Ending> {
  const { socket } = started;
  const { promise, resolve, reject } = Promise.withResolvers<Ending>();
  const timer = setTimeout(() => resolve("timeout"), timeoutMs);
  const onAbort = () => resolve("aborted");
  let look = setTimeout(() => void lookAgain(), lookEveryMs);
  const lookAgain = async () => {
    try {
      const state = await lookAt(engine, started);
      look =
        state === null || isOver(state)
          ? setTimeout(() => resolve("over"), drainMs)
          : setTimeout(() => void lookAgain(), lookEveryMs);
    } catch (error) {
      reject(error);
    }
  };
  socket.once("end", () => resolve("over"));
  socket.once("close", () => resolve("over"));
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return promise.finally(() => {
    clearTimeout(timer);
    clearTimeout(look);
    signal?.removeEventListener("abort", onAbort);
  });
}

interface Output {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly truncated: boolean;
}

/** Collects what comes, each output up to its limit; the function gives what is there. */
function collected(socket: Socket, bytesMax: number): () => Output {
  const outputs = { stdout: boundedOutput(bytesMax), stderr: boundedOutput(bytesMax) };
  const demultiplex = createDemultiplexer();
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const { stream, payload } of demultiplex(chunk)) outputs[stream].push(payload);
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  return () => ({
    stdout: outputs.stdout.take(),
    stderr: outputs.stderr.take(),
    truncated: outputs.stdout.isTruncated || outputs.stderr.isTruncated,
  });
}

/** Waits for what was on its way when the program was ended. */
async function drained(socket: Socket): Promise<void> {
  if (socket.readableEnded || socket.destroyed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, drainMs);
  socket.once("close", resolve);
  await promise;
  clearTimeout(timer);
}

/** The engine reports a program that it could not start as the output of one that has exited. */
function notStarted(state: ExecState, { stdout }: Output): ExecResult | null {
  if (state.Pid !== 0 || (state.ExitCode !== 126 && state.ExitCode !== 127)) return null;
  const why = startFault(stdout.toString("utf8"));
  if (why === null) return null;
  return {
    exitCode: why.endsWith("is not in the container") ? 127 : 126,
    stdout: Buffer.alloc(0),
    stderr: Buffer.from(`${why}\n`),
    truncated: false,
    timedOut: false,
  };
}

/** Runs the command that ends the program from inside the container; whether all of it is over. */
async function killFromInside(engine: Engine, { containerId, mark }: Program): Promise<boolean> {
  const start = { command: killCommand(mark), hasStdin: false, hasTerminal: false };
  const killer = await startExec(engine, containerId, start);
  killer.socket.resume();
  await endingOf(engine, killer, { timeoutMs: killTimeoutMs });
  killer.socket.destroy();
  return (await settled(engine, killer))?.ExitCode === 0;
}

/** Ends a started program and its children. Throws "refused" where something may still run. */
export async function killStarted(engine: Engine, started: Program): Promise<void> {
  const { containerId, mark } = started;
  // What has not begun can't be ended, and would begin later.
  const state = await lookUntil(engine, started, (now) => isOver(now) || now.Pid > 0);
  const pid = state?.Running ? state.Pid : null;
  if (await killFromOutside(engine, { containerId, mark, pid })) {
    const after = await settled(engine, started);
    if (after === null || isOver(after)) return;
  }
  if (await killFromInside(engine, started)) return;
  const detail =
    "The command could not be ended: the engine has no call for it, and the container no shell " +
    "or no free process. Restart or release the lease.";
  throw runtimeErrors.refused({ detail });
}

/** What became of a program whose output is over. */
async function resultOf(engine: Engine, started: Started, output: Output): Promise<ExecResult> {
  const state = await settled(engine, started);
  if (state !== null && !isOver(state)) {
    await killStarted(engine, started);
    const detail = "The connection to the command was lost, so it was ended.";
    throw runtimeErrors.unavailable({ detail });
  }
  const failure = state === null ? null : notStarted(state, output);
  return failure ?? { ...output, exitCode: state?.ExitCode ?? null, timedOut: false };
}

/**
 * Runs a program in a running container to its end. When its time is up or the signal comes it is
 * ended with all that it has started, then the signal's reason is thrown.
 */
export async function runExec(
  engine: Engine,
  containerId: string,
  request: ExecRequest,
): Promise<ExecResult> {
  const { command, stdin, outputBytesMax, signal } = request;
  const start = { command, hasStdin: stdin !== null, hasTerminal: false };
  const started = await startExec(engine, containerId, start, signal);
  const { socket } = started;
  const output = collected(socket, outputBytesMax);
  try {
    // Only this half is closed: what the program then writes still comes.
    if (stdin !== null) socket.end(stdin);
    const ending = await endingOf(engine, started, request);
    if (ending === "over") return await resultOf(engine, started, output());
    await killStarted(engine, started);
    if (ending === "aborted") throw signal?.reason;
    await drained(socket);
    return { ...output(), exitCode: null, timedOut: true };
  } finally {
    socket.destroy();
  }
}
