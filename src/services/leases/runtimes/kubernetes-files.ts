import { PassThrough, type Readable } from "node:stream";
import { commandOf, faultOf, meter, type Place } from "./docker-files.ts";
import { checkedPath, readable, writableReach } from "./docker-paths.ts";
import { boundedOutput } from "./docker-streams.ts";
import { runtimeErrors } from "./errors.ts";
import type { Channel } from "./kubernetes-channel.ts";
import type { Connection } from "./kubernetes-connection.ts";
import {
  channelOf,
  exitCodeOf,
  killStarted,
  needInputEnd,
  type PodPlace,
  runExec,
  startExec,
} from "./kubernetes-exec.ts";
import type { Pod } from "./kubernetes-types.ts";

/*
 * Files go through a shell in the container, by the same scripts as with Docker: see there for what
 * their checks are worth.
 */

const transferMsMax = 600_000;
const commandMsMax = 30_000;
const complaintBytesMax = 4_096;
const headBytesMax = 32;

async function run(connection: Connection, at: PodPlace, place: Place, command: string[]) {
  const limits = { stdin: null, timeoutMs: commandMsMax, outputBytesMax: complaintBytesMax };
  const { exitCode, stderr } = await runExec(connection, at, { command, ...limits });
  if (exitCode !== 0) throw faultOf(place, exitCode, stderr);
}

/** Sends the content no faster than it is taken; resolves when the receiver has ended well. */
async function receive(
  connection: Connection,
  at: PodPlace,
  place: Place,
  content: Readable,
  take: (chunk: Buffer) => void,
): Promise<void> {
  const complaint = boundedOutput(complaintBytesMax);
  const started = await startExec(connection, at, {
    command: commandOf("receive", place),
    hasStdin: true,
    hasTerminal: false,
    onOutput: (_stream, payload) => complaint.push(payload),
  });
  const { channel, status } = started;
  const limit = setTimeout(() => channel.close(), transferMsMax);
  try {
    needInputEnd(started);
    for await (const chunk of content as AsyncIterable<Buffer>) {
      const bytes = Buffer.from(chunk);
      take(bytes);
      await channel.send(channelOf.stdin, bytes);
    }
    await channel.send(channelOf.close, Buffer.from([channelOf.stdin]));
    const ending = await status;
    if (ending === null) {
      throw runtimeErrors.unavailable({ detail: `Sending "${place.path}" came to a halt.` });
    }
    const exitCode = exitCodeOf(ending);
    if (exitCode !== 0) throw faultOf(place, exitCode, complaint.take());
  } catch (error) {
    await killStarted(connection, at, started);
    throw error;
  } finally {
    clearTimeout(limit);
    channel.close();
    content.destroy();
  }
}

/** Where the pod's program may write: its volumes, or everywhere. */
function placesOf({ spec }: Pod): Record<string, string> | null {
  const [container] = spec.containers;
  if (container?.securityContext?.readOnlyRootFilesystem !== true) return null;
  return Object.fromEntries((container.volumeMounts ?? []).map(({ mountPath }) => [mountPath, ""]));
}

/** Writes one file whole or not at all; see `Runtime.putFile`. */
export async function writeFile(
  connection: Connection,
  at: PodPlace,
  pod: Pod,
  path: string,
  content: Readable,
  sizeBytesMax: number,
): Promise<string> {
  const reach = writableReach(placesOf(pod));
  const part = `.upload-${connection.options.random.id()}`;
  const place: Place = { path: checkedPath(path, reach), part, reach };
  const measured = meter(place.path, sizeBytesMax);
  await run(connection, at, place, commandOf("make", place));
  try {
    await receive(connection, at, place, content, measured.take);
    await run(connection, at, place, commandOf("keep", place, measured.sizeBytes()));
  } catch (error) {
    try {
      await run(connection, at, place, commandOf("drop", place));
    } catch (unclean) {
      connection.options.log.warn({ err: unclean }, "part of a file was left in a pod");
    }
    throw error;
  }
  return measured.digest();
}

/** What comes of a file: its size on a line of its own, then its content. */
interface Reading {
  readonly head: Promise<number | null>;
  onOutput(stream: "stdout" | "stderr", payload: Buffer): void;
  end(): void;
}

function readingInto(
  content: PassThrough,
  complaint: { push(payload: Buffer): void },
  onFull: () => void,
): Reading {
  const { promise: head, resolve } = Promise.withResolvers<number | null>();
  let begun = Buffer.alloc(0);
  let missing: number | null = null;
  const pass = (payload: Buffer) => {
    missing = (missing ?? 0) - payload.length;
    if (payload.length > 0 && !content.destroyed && !content.write(payload)) onFull();
  };
  return {
    head,
    onOutput(stream, payload) {
      if (stream === "stderr") return complaint.push(payload);
      if (missing !== null) return pass(payload);
      begun = Buffer.concat([begun, payload]);
      const end = begun.indexOf(0x0a);
      const digits = begun.toString("latin1", 0, Math.max(end, 0));
      if (end === -1 && begun.length < headBytesMax) return;
      if (!/^\d{1,15}$/.test(digits)) return resolve(null);
      missing = Number(digits);
      resolve(missing);
      pass(begun.subarray(end + 1));
    },
    end() {
      resolve(null);
      if (missing === 0) content.end();
      else content.destroy(new Error(`${missing ?? "all"} bytes of the file did not come`));
    },
  };
}

/** One file's content, and its size when it was opened; see `Runtime.getFile`. */
export async function readFile(
  connection: Connection,
  at: PodPlace,
  path: string,
): Promise<{ content: Readable; sizeBytes: number }> {
  const place: Place = { path: checkedPath(path, readable), part: "", reach: readable };
  const complaint = boundedOutput(complaintBytesMax);
  const content = new PassThrough({ highWaterMark: 256 * 1_024 });
  // Frames may come before the channel is ours; so few that they need no pause.
  const held: { channel: Channel | null } = { channel: null };
  const reading = readingInto(content, complaint, () => held.channel?.pause());
  const started = await startExec(connection, at, {
    command: commandOf("send", place),
    hasStdin: false,
    hasTerminal: false,
    onOutput: reading.onOutput,
  });
  held.channel = started.channel;
  content.on("drain", () => started.channel.resume());
  // Whoever reads hears of it as well; it must not end the server where nobody does.
  content.on("error", () => {});
  content.once("close", () => {
    if (!content.writableFinished) void killStarted(connection, at, started);
    started.channel.close();
  });
  const ended = started.status.then((ending) => {
    reading.end();
    return ending;
  });
  const sizeBytes = await reading.head;
  if (sizeBytes !== null) return { content, sizeBytes };
  const ending = await ended;
  content.destroy();
  if (ending === null) {
    throw runtimeErrors.unavailable({ detail: `Reading "${path}" came to a halt.` });
  }
  throw faultOf(place, exitCodeOf(ending), complaint.take());
}
