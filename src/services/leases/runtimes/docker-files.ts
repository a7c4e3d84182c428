import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { posix } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import type { Problem } from "#kernel/errors.ts";
import type { Engine } from "./docker-engine.ts";
import { isSilent, problemOf } from "./docker-errors.ts";
import {
  endingOf,
  endWhenSilent,
  killStarted,
  runExec,
  settled,
  type Started,
  startExec,
} from "./docker-exec.ts";
import type { Inspection } from "./docker-isolation.ts";
import { checkedPath, type Reach, readable, writableReach } from "./docker-paths.ts";
import {
  type BoundedOutput,
  boundedOutput,
  createDemultiplexer,
  type Piece,
} from "./docker-streams.ts";
import { runtimeErrors } from "./errors.ts";
import type { ExecResult } from "./types.ts";

/*
 * The engine's own calls for files reach neither memory file systems nor read-only containers, so a
 * shell in the container does it, as the container's user. That user could do all of it by itself:
 * the checks keep a caller from being led astray by a link, they are no wall around the container.
 */

const transferMsMax = 600_000;
const silenceMsMax = 30_000;
const commandMsMax = 30_000;
const complaintBytesMax = 4_096;

const codes = { noFolder: 70, astray: 71, isFolder: 72, missing: 73, cutOff: 74 } as const;

/** Goes to the folder ($1) and makes sure, links resolved, that it may be there. */
const enter = `
folder=$1 name=$2 part=$3 size=$4 outside=$5; shift 5
cd -P -- "$folder" 2>/dev/null || exit ${codes.missing}
here=$(pwd -P)
for place in $outside; do case "$here/" in "$place"/*) exit ${codes.astray} ;; esac; done
is_in=
for place; do case "$here/" in "\${place%/}"/*) is_in=1 ;; esac; done
[ -n "$is_in" ] || exit ${codes.astray}
[ -L "./$name" ] && exit ${codes.astray}
[ -d "./$name" ] && exit ${codes.isFolder}
size_of() { stat -c %s "./$1" 2>/dev/null || wc -c <"./$1"; }
`;
const scripts = {
  make: 'umask 022; mkdir -p -- "$1" || exit 70',
  receive: `${enter} umask 022; exec cat >"./$part"`,
  keep: `${enter} [ "$(size_of "$part")" -eq "$size" ] || exit ${codes.cutOff}
mv -f -- "./$part" "./$name"`,
  drop: `cd -P -- "$1" && rm -f -- "./$3"`,
  send: `${enter} [ -e "./$name" ] || exit ${codes.missing}
[ -f "./$name" ] || exit ${codes.isFolder}
size=$(size_of "$name") || exit 1
echo "$size"
exec head -c "$size" "./$name"`,
} as const;

/** A file in a container, and the name that it has until it is whole. */
export interface Place {
  readonly path: string;
  readonly part: string;
  readonly reach: Reach;
}

/** The shell in the container that does one step. */
export function commandOf(
  script: keyof typeof scripts,
  { path, part, reach }: Place,
  size = 0,
): string[] {
  const args = [posix.dirname(path), posix.basename(path), part, String(size)];
  const { inside, outside } = reach;
  return ["/bin/sh", "-c", scripts[script], "sh", ...args, outside.join(" "), ...inside];
}

/** What a script's end means for the path. */
export function faultOf({ path }: Place, exitCode: number | null, stderr: Buffer): Problem {
  const complaint = stderr.toString("utf8");
  const cause = new Error(`exit code ${exitCode}: ${complaint}`);
  if (/no space left|disk quota exceeded/i.test(complaint) || exitCode === 137) {
    return runtimeErrors.disk_full({ cause, detail: `There is no room for "${path}".` });
  }
  if (exitCode === 126 || exitCode === 127) {
    const detail = "Files go through a shell in the container, and its image has none.";
    return runtimeErrors.refused({ cause, detail });
  }
  if (exitCode === codes.missing) {
    return runtimeErrors.file_missing({ cause, detail: `There is no "${path}".` });
  }
  const why = {
    [codes.astray]: "is a link, or leads through one to where files must not be",
    [codes.isFolder]: "is no plain file",
  }[exitCode ?? 0];
  const detail = `"${path}" ${why ?? "can't be reached by the container's user"}.`;
  return runtimeErrors.path_refused({ cause, detail });
}

async function run(engine: Engine, id: string, command: string[]): Promise<ExecResult> {
  const limits = { stdin: null, timeoutMs: commandMsMax, outputBytesMax: complaintBytesMax };
  return runExec(engine, id, { command, ...limits });
}

async function mountsOf(engine: Engine, id: string): Promise<Inspection["HostConfig"]> {
  const request = { method: "GET", path: `/containers/${id}/json` } as const;
  return (await engine.ask<Inspection>("look at the container", request)).body.HostConfig;
}

/** Counts and hashes what passes; throws where it is more than may be. */
export function meter(path: string, sizeBytesMax: number) {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  return {
    take(chunk: Buffer) {
      sizeBytes += chunk.length;
      if (sizeBytes > sizeBytesMax) {
        const detail = `"${path}" is larger than ${sizeBytesMax} bytes.`;
        throw runtimeErrors.file_too_large({ detail });
      }
      hash.update(chunk);
    },
    sizeBytes: () => sizeBytes,
    digest: () => hash.digest("hex"),
  };
}

/** Sends all of the content, no faster than it is taken. Stops where the receiver is gone. */
async function pump(
  socket: Socket,
  content: Readable,
  take: (chunk: Buffer) => void,
): Promise<void> {
  const gone = new AbortController();
  socket.once("close", () => {
    gone.abort();
    content.destroy();
  });
  for await (const chunk of content as AsyncIterable<Buffer>) {
    take(chunk);
    if (!socket.write(chunk)) await once(socket, "drain", { signal: gone.signal });
  }
  socket.end();
}

/** Receives the content into a file of another name; resolves when all of it was written. */
async function receive(
  engine: Engine,
  id: string,
  place: Place,
  content: Readable,
  take: (chunk: Buffer) => void,
): Promise<void> {
  const command = commandOf("receive", place);
  const started = await startExec(engine, id, { command, hasStdin: true, hasTerminal: false });
  const { socket } = started;
  const complaint = boundedOutput(complaintBytesMax);
  const demultiplex = createDemultiplexer();
  const closed = new Promise((resolve) => socket.once("close", resolve));
  // The engine keeps the connection of a program that has ended without reading all.
  const over = () => socket.destroy();
  endingOf(engine, started, { timeoutMs: transferMsMax }).then(over, over);
  socket.on("data", (chunk: Buffer) => {
    for (const { payload } of demultiplex(chunk)) complaint.push(payload);
  });
  try {
    await pump(socket, content, take);
    await closed;
  } catch (error) {
    if (!socket.destroyed) {
      await killStarted(engine, started);
      throw error;
    }
    // Writing failed because the receiver has ended: its own words say why.
  } finally {
    socket.destroy();
    content.destroy();
  }
  const state = await settled(engine, started);
  if (state?.ExitCode === null) {
    await killStarted(engine, started);
    throw runtimeErrors.unavailable({ detail: `Sending "${place.path}" came to a halt.` });
  }
  if (state?.ExitCode !== 0) throw faultOf(place, state?.ExitCode ?? null, complaint.take());
}

/** Removes what came of a file that was not sent whole; where that fails, it is only clutter. */
async function drop(engine: Engine, id: string, place: Place): Promise<void> {
  try {
    await run(engine, id, commandOf("drop", place));
  } catch (error) {
    engine.options.log.warn({ err: error }, "part of a file was left in a container");
  }
}

/**
 * Writes one file whole or not at all: under another name first, then, when it has the size that
 * was sent, under its own. Folders on the way are made. Resolves to its SHA-256 in hex.
 */
export async function writeFile(
  engine: Engine,
  id: string,
  path: string,
  content: Readable,
  sizeBytesMax: number,
): Promise<string> {
  const { ReadonlyRootfs, Tmpfs } = await mountsOf(engine, id);
  const reach = writableReach(ReadonlyRootfs ? (Tmpfs ?? {}) : null);
  const part = `.upload-${engine.options.random.id()}`;
  const place = { path: checkedPath(path, reach), part, reach };
  const measured = meter(place.path, sizeBytesMax);
  const made = await run(engine, id, commandOf("make", place));
  if (made.exitCode !== 0) throw faultOf(place, made.exitCode, made.stderr);
  try {
    await receive(engine, id, place, content, measured.take);
    const kept = await run(engine, id, commandOf("keep", place, measured.sizeBytes()));
    if (kept.exitCode !== 0) throw faultOf(place, kept.exitCode, kept.stderr);
  } catch (error) {
    if (!isSilent(error)) await drop(engine, id, place);
    throw error;
  }
  return measured.digest();
}

interface Reading {
  readonly started: Started;
  readonly complaint: BoundedOutput;
  /** Pieces in order; ends with the program. */
  readonly pieces: AsyncGenerator<Piece>;
}

async function* piecesOf({ socket }: Started): AsyncGenerator<Piece> {
  const demultiplex = createDemultiplexer();
  for await (const chunk of socket as AsyncIterable<Buffer>) yield* demultiplex(chunk);
}

interface Head {
  readonly sizeBytes: number;
  /** What came of the content with it. */
  readonly first: Buffer;
}

/** Reads the size that comes before the content; null where something else came. */
async function headFrom({ pieces, complaint }: Reading): Promise<Head | null> {
  let head = Buffer.alloc(0);
  for (;;) {
    const { value, done } = await pieces.next();
    if (done) return null;
    if (value.stream === "stderr") complaint.push(value.payload);
    else head = Buffer.concat([head, value.payload]);
    const end = head.indexOf(0x0a);
    if (end === -1) continue;
    const digits = head.toString("latin1", 0, end);
    if (!/^\d{1,15}$/.test(digits)) return null;
    return { sizeBytes: Number(digits), first: head.subarray(end + 1) };
  }
}

/** Passes the content on as fast as it is read; whoever stops reading ends the program. */
async function deliver(
  engine: Engine,
  { started, pieces }: Reading,
  { sizeBytes, first }: Head,
  content: PassThrough,
): Promise<void> {
  const { socket } = started;
  const unread = new AbortController();
  const limit = setTimeout(() => socket.destroy(), transferMsMax);
  const stopLooking = endWhenSilent(engine, started);
  content.once("close", () => {
    unread.abort();
    socket.destroy();
  });
  let missing = sizeBytes - first.length;
  try {
    if (first.length > 0) content.write(first);
    for await (const { stream, payload } of pieces) {
      if (stream === "stderr") continue;
      missing -= payload.length;
      if (!content.write(payload)) await once(content, "drain", { signal: unread.signal });
    }
    if (missing !== 0) throw new Error(`${missing} bytes of the file did not come`);
    content.end();
  } catch (error) {
    content.destroy(problemOf("read the file", error));
    await killStarted(engine, started);
  } finally {
    stopLooking();
    clearTimeout(limit);
  }
}

/** One file's content, and its size when it was opened; it is read by the container's user. */
export async function readFile(
  engine: Engine,
  id: string,
  path: string,
): Promise<{ content: Readable; sizeBytes: number }> {
  const place = { path: checkedPath(path, readable), part: "", reach: readable };
  const command = commandOf("send", place);
  const started = await startExec(engine, id, { command, hasStdin: false, hasTerminal: false });
  const complaint = boundedOutput(complaintBytesMax);
  const reading = { started, complaint, pieces: piecesOf(started) };
  const silence = setTimeout(() => started.socket.destroy(), silenceMsMax);
  let head: Head | null;
  try {
    head = await headFrom(reading);
  } catch (error) {
    throw problemOf("read the file", error);
  } finally {
    clearTimeout(silence);
  }
  if (head === null) {
    const state = await settled(engine, started);
    throw faultOf(place, state?.ExitCode ?? null, complaint.take());
  }
  const content = new PassThrough({ highWaterMark: 256 * 1_024 });
  deliver(engine, reading, head, content).catch((error: unknown) => {
    engine.options.log.warn({ err: error }, "the reader of a container's file may still run");
  });
  return { content, sizeBytes: head.sizeBytes };
}
