import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import type { Clock } from "#kernel/clock.ts";
import { runtimeErrors } from "./errors.ts";
import { enterCommand, hostEnv, type Live, tellCommand, tellTerminal } from "./process-chain.ts";
import type { Kept } from "./process-folder.ts";
import { limitsOf } from "./process-limits.ts";
import { complaintOf, makePipes, readReport, tell } from "./process-pipe.ts";
import { isAlive, killTree, membersOf, type Proc, procOf } from "./process-proc.ts";
import type { ExecRequest, ExecResult, Terminal } from "./types.ts";

/** A running container, as those see it who enter it. */
export interface Running {
  readonly kept: Kept;
  readonly live: Live;
  /** A folder in which a pipe may have its name for a moment. */
  readonly folder: string;
}

/** What a program's end is waited for after it, when others still hold its output. */
const outputGraceMs = 250;

export interface Entered {
  readonly child: ChildProcess;
  readonly proc: Proc | null;
  readonly stdout: Socket;
  readonly stderr: Socket;
  /** Where there is something to type. */
  readonly stdin: Socket | null;
  /** Null where it was not the program that ended, but the container. */
  readonly exited: Promise<number | null>;
}

/** For how long a container may be ending that has just lost a program. */
const endingMs = 500;

/** A program's end, which a container's end looks like from here, except that it follows. */
async function exitOf(child: ChildProcess, { init }: Live, clock: Clock): Promise<number | null> {
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on("error", () => resolve([null, null]));
    child.on("exit", (...how) => resolve(how));
  });
  const isKilled = signal === "SIGKILL" || code === 128 + constants.signals.SIGKILL;
  for (let waitedMs = 0; isKilled && waitedMs < endingMs && isAlive(init); waitedMs += 20) {
    if (membersOf(init).length > 1) break;
    await clock.sleep(20);
  }
  if (!isAlive(init)) return null;
  return code ?? (signal === null ? null : 128 + constants.signals[signal]);
}

let inputs = 0;

/** What a command is to read, as a file without a name: read again, it begins again. */
function openInput(folder: string, content: Buffer): number {
  inputs += 1;
  const name = join(folder, `input-${process.pid}-${inputs}`);
  // Whom the command runs as must be able to open it by its descriptor.
  writeFileSync(name, content, { mode: 0o644, flag: "wx" });
  try {
    return openSync(name, "r");
  } finally {
    rmSync(name);
  }
}

/** Brings a program into a container, told as `process-chain.ts` has it. */
export async function enter(
  { kept, live, folder }: Running,
  told: string,
  stdin: "typed" | Buffer | null,
  clock: Clock,
): Promise<Entered> {
  const withStdin = stdin === "typed";
  const uses = withStdin
    ? (["writes", "writes", "reads"] as const)
    : (["writes", "writes"] as const);
  const pipes = await makePipes(folder, uses);
  const { program, args } = enterCommand(kept.way, limitsOf(kept), live);
  const [output, errors, typed = null] = pipes.theirs;
  const given = stdin instanceof Buffer ? openInput(folder, stdin) : null;
  const child = spawn(program, [...args], {
    cwd: "/",
    env: hostEnv,
    // A session of its own, by which all that comes of it is found again.
    detached: true,
    stdio: [typed ?? given ?? "ignore", output, "pipe", "pipe", errors],
  });
  pipes.closeTheirs();
  if (given !== null) closeSync(given);
  const exited = exitOf(child, live, clock);
  const proc = child.pid === undefined ? null : procOf(child.pid);
  tell(child, 3, told);
  const [stdout, stderr, keys = null] = pipes.ours as [Socket, Socket, Socket?];
  return { child, proc, stdout, stderr, stdin: keys, exited };
}

/** Collects what is written, up to a limit; the rest is read and dropped. */
function collect(socket: Socket, bytesMax: number) {
  const chunks: Buffer[] = [];
  let size = 0;
  const output = { truncated: false, bytes: () => Buffer.concat(chunks) };
  socket.on("data", (chunk: Buffer) => {
    const room = bytesMax - size;
    if (chunk.length > room) output.truncated = true;
    if (room <= 0) return;
    chunks.push(chunk.subarray(0, room));
    size += Math.min(room, chunk.length);
  });
  const closed = new Promise<void>((resolve) => {
    socket.on("close", () => resolve()).on("error", () => resolve());
  });
  return { output, closed };
}

/** Runs a command in a running container; see `Runtime.exec`. */
export async function execIn(
  running: Running,
  request: ExecRequest,
  clock: Clock,
): Promise<ExecResult> {
  request.signal?.throwIfAborted();
  const { stdin, outputBytesMax } = request;
  const told = tellCommand(running.kept.spec.env, request.command);
  const entered = await enter(running, told, stdin, clock);
  const { child, proc, exited } = entered;
  const outputs = [entered.stdout, entered.stderr].map((each) => collect(each, outputBytesMax));
  const given = { up: false };
  const over = new AbortController();
  const giveUp = async () => {
    given.up = true;
    if (proc !== null) await killTree(proc, clock);
  };
  const until = request.signal ? AbortSignal.any([request.signal, over.signal]) : over.signal;
  const timer = clock.sleep(request.timeoutMs, until).then(giveUp, async () => {
    if (!over.signal.aborted) await giveUp();
  });
  const report = await readReport(child);
  const exitCode = await exited;
  over.abort();
  await timer;
  await Promise.race([
    Promise.all(outputs.map(({ closed }) => closed)),
    clock.sleep(outputGraceMs),
  ]);
  for (const each of [entered.stdout, entered.stderr]) each.destroy();
  request.signal?.throwIfAborted();
  const isReady = report.at(-1) === "ready";
  if (!isReady && !given.up && isAlive(running.live.init)) {
    const detail = `The container can't be entered: ${complaintOf(report)}`;
    throw runtimeErrors.unavailable({ detail });
  }
  const [out, err] = outputs.map(({ output }) => output);
  return {
    exitCode: given.up || !isReady ? null : exitCode,
    stdout: out?.bytes() ?? Buffer.alloc(0),
    stderr: err?.bytes() ?? Buffer.alloc(0),
    truncated: outputs.some(({ output }) => output.truncated),
    timedOut: given.up,
  };
}

/** Both directions of a terminal as one stream; each waits for the other side when it must. */
function bothWays(typed: Socket, shown: Socket): Duplex {
  const stream = new Duplex({
    read: () => shown.resume(),
    write: (chunk: Buffer, _encoding, done) => typed.write(chunk, done),
    final: (done) => typed.end(done),
    destroy: (error, done) => {
      typed.destroy();
      shown.destroy();
      done(error);
    },
  });
  shown.on("data", (chunk: Buffer) => {
    if (!stream.push(chunk)) shown.pause();
  });
  shown.on("end", () => stream.push(null));
  // The program is over, and so is the stream; its end is told by `exited`.
  shown.on("error", () => stream.push(null));
  typed.on("error", () => {});
  return stream;
}

/** Opens a terminal in a running container; see `Runtime.terminal`. */
export async function terminalIn(
  running: Running,
  size: { columns: number; rows: number },
  command: readonly string[] | null,
  clock: Clock,
): Promise<Terminal> {
  const { kept } = running;
  const told = tellTerminal(kept.spec.env, command ?? ["/bin/sh"], size);
  const entered = await enter(running, told, "typed", clock);
  const { proc, stdin, stdout } = entered;
  // The terminal has one output for all.
  entered.stderr.destroy();
  const report = await readReport(entered.child);
  const tty = /^ready (\/dev\/pts\/\d+)$/.exec(report.at(-1) ?? "")?.[1];
  if (tty === undefined) {
    if (proc !== null) await killTree(proc, clock);
    throw runtimeErrors.unavailable({ detail: `There is no terminal: ${complaintOf(report)}` });
  }
  let killed = false;
  let resizing: Promise<unknown> = Promise.resolve();
  const resize = async (columns: number, rows: number) => {
    const set = ["stty", "-F", tty, "rows", String(rows), "cols", String(columns)];
    const setter = await enter(running, tellCommand({}, set), null, clock);
    for (const each of [setter.stdout, setter.stderr]) each.resume();
    await readReport(setter.child);
    await setter.exited;
  };
  return {
    stream: bothWays(stdin as Socket, stdout),
    exited: entered.exited.then((code) => (killed ? null : code)),
    async resize(columns, rows) {
      // One after the other, so that the last one said is the size that stays.
      const next = () => resize(columns, rows);
      resizing = resizing.then(next, next);
      await resizing;
    },
    async kill() {
      killed = true;
      if (proc !== null) await killTree(proc, clock);
      await entered.exited;
    },
  };
}
