import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CommandError, UsageError } from "./errors.ts";
import type { Progress } from "./output.ts";
import type { Call } from "./transport.ts";
import type { Invocation, OptionSpec } from "./types.ts";

/** Where a command writes what it fetches. */
export const outputOption = (unlessGiven: string): OptionSpec => ({
  flags: "--output <file>",
  summary: `where to write it, - for standard output; ${unlessGiven} unless given`,
});

/** A file on its way up, whose bytes the bar counts as they are taken. */
export function uploaded(file: Readable, progress: Progress): ReadableStream {
  let bytes = 0;
  const counted = async function* () {
    for await (const chunk of file as AsyncIterable<Buffer>) {
      yield chunk;
      bytes += chunk.length;
      progress.update(bytes);
    }
  };
  return Readable.toWeb(Readable.from(counted(), { objectMode: false })) as ReadableStream;
}

/** A file to be read, or standard input for "-", whose size nobody knows. */
export async function openFile(name: string, { surroundings }: Pick<Invocation, "surroundings">) {
  if (name === "-") return { file: surroundings.stdin as Readable, sizeBytes: null };
  const found = await stat(name).catch((error: Error) => {
    throw new CommandError(`${name} can't be read (${error.message})`);
  });
  if (!found.isFile()) throw new CommandError(`${name} is no file`);
  return { file: createReadStream(name), sizeBytes: found.size };
}

/**
 * Writes an answer to standard output or a file, by default under the name that the server gives;
 * a file is whole, or not there at all.
 */
export async function save(
  { client, out }: Pick<Invocation, "client" | "out">,
  call: Call,
  wanted: string | undefined,
): Promise<void> {
  const answer = await client.open({ ...call, headers: { accept: "*/*" } });
  // A bar would be torn by what is written if both went to the same terminal.
  const isQuiet = wanted === "-" && out.isTerminal;
  const progress = isQuiet ? null : out.progress("Received bytes:", null);
  let bytes = 0;
  const counted = async function* () {
    for await (const chunk of answer.body ?? []) {
      bytes += chunk.length;
      progress?.update(bytes);
      yield chunk;
    }
  };
  const file = wanted ?? nameOf(answer);
  try {
    if (file === "-") for await (const chunk of counted()) await out.raw(chunk);
    else await writeWhole(file, counted());
  } finally {
    progress?.end();
  }
  if (file !== "-")
    out.result({ file, bytes }, () => out.success(`Wrote ${file} (${bytes} bytes)`));
}

async function writeWhole(file: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const part = `${file}.part`;
  try {
    await pipeline(Readable.from(chunks), createWriteStream(part));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** Only a plain name: a server must not choose the folder. */
function nameOf(answer: Response): string {
  const given = /filename="([\w.-]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1];
  if (given === undefined || given.startsWith(".")) throw new UsageError("Say with --output where");
  return given;
}
