import { createReadStream } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { Report } from "../services/consistency/rules/check.ts";
import type { History, HistoryMeta } from "../services/consistency/rules/history.ts";
import type { Verdict } from "../services/consistency/rules/verdict.ts";
import { CommandError, ProgramExit, UsageError } from "./errors.ts";
import { integer } from "./options.ts";
import type { Output, Style } from "./output.ts";
import { oneLine } from "./text.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const exitCodes = { ok: 0, violation: 1, unknown: 3 } as const;
const chunkBytes = 2 ** 20;
const gzipMagic = [0x1f, 0x8b];

/** A number from 0, as text of an option. */
function amount(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0)) throw new UsageError("It must be a number from 0.");
  return value;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError('It must be JSON, such as 0, "text" or null.');
  }
}

const check: CommandSpec = {
  name: "check <file>",
  summary: "check a recorded history, without a server",
  options: [
    {
      flags: "--model <name>",
      summary: "what operations there may be; without it, all",
      choices: ["register", "cas-register", "kv"],
    },
    {
      flags: "--format <name>",
      summary: "how the file is written; without it, as it begins",
      choices: ["ndjson", "json", "edn", "jepsen-log", "porcupine"],
    },
    {
      flags: "--level <name>",
      summary: "hold all operations to this level, whatever they asked for",
      choices: ["strong", "bounded", "session", "eventual"],
    },
    {
      flags: "--max-staleness-versions <count>",
      summary: "how many acknowledged versions a bounded read may miss",
      parse: integer,
    },
    {
      flags: "--max-staleness-ms <ms>",
      summary: "for how long a bounded read may miss one",
      parse: amount,
    },
    {
      flags: "--versions <kind>",
      summary: "whether versions count in one log of the store, or in one of each key",
      choices: ["global", "key"],
    },
    { flags: "--initial <json>", summary: "what every key holds at first", parse: json },
    {
      flags: "--steps <count>",
      summary: "how long to search before saying unknown (default 30000000)",
      parse: integer,
    },
    { flags: "--html <file>", summary: "write a page with a timeline, in one file" },
  ],
  help:
    "The file may be compressed with gzip; - reads standard input.\n" +
    "Exit codes: 0 it holds, 1 it is violated, 2 the file can't be read, 3 nobody knows.",
  run: runCheck,
};

export const consistencyCommands: readonly CommandSpec[] = [check];

async function runCheck({ args, options, out, surroundings }: Invocation): Promise<void> {
  const file = args[0] ?? "-";
  const [{ createHistoryReader }, { checkHistory }, { HistoryError }] = await Promise.all([
    import("../services/consistency/formats/read.ts"),
    import("../services/consistency/rules/check.ts"),
    import("../services/consistency/rules/history.ts"),
  ]);
  const reader = createHistoryReader({
    model: options.model as never,
    format: options.format as never,
    meta: metaOf(options),
  });
  const read = async () => {
    for await (const text of textOf(file, surroundings.stdin)) reader.push(text);
    return reader.end();
  };
  const { history, format } = await read().catch((error: unknown) => {
    if (error instanceof HistoryError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  });
  const { usualLimits } = await import("../services/consistency/rules/strong.ts");
  const report = checkHistory(history, {
    level: options.level as never,
    bounds: {
      maxStalenessMs: options.maxStalenessMs as number | undefined,
      maxStalenessVersions: options.maxStalenessVersions as number | undefined,
    },
    limits: { ...usualLimits, ...(options.steps ? { stepsAtMost: options.steps as number } : {}) },
  });
  const name = history.meta.name ?? (file === "-" ? "standard input" : basename(file));
  const page = typeof options.html === "string" ? options.html : null;
  if (page !== null) await writePage(page, history, report, name);
  out.result({ file, format, ...withoutPositions(report) }, () => tell(out, name, format, report));
  if (page !== null) out.success(`Wrote ${page}`);
  if (report.status !== "ok") throw new ProgramExit(exitCodes[report.status]);
}

/** What the options say of the history; what they leave out the file may say. */
function metaOf({ versions, initial }: Invocation["options"]): Partial<HistoryMeta> {
  return {
    ...(versions !== undefined && { versions: versions as HistoryMeta["versions"] }),
    ...(initial !== undefined && { initial }),
  };
}

/** The text of a file, piece by piece; unpacked when it is packed. */
async function* textOf(file: string, stdin: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    for await (const bytes of await bytesOf(file, stdin)) {
      yield decoder.decode(bytes as Uint8Array, { stream: true });
    }
    yield decoder.decode();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") {
      throw new UsageError(`${file} is no text in UTF-8.`);
    }
    if (code === "ENOENT" || code === "EISDIR" || code === "EACCES" || code?.startsWith("Z_")) {
      throw new UsageError(`${file} can't be read: ${message}`);
    }
    throw error;
  }
}

async function bytesOf(file: string, stdin: Readable): Promise<AsyncIterable<unknown>> {
  if (file === "-") return Readable.from(asBytes(stdin));
  const handle = await open(file);
  const { buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  await handle.close();
  const bytes = createReadStream(file, { highWaterMark: chunkBytes });
  const isPacked = gzipMagic.every((byte, at) => buffer[at] === byte);
  if (!isPacked) return bytes;
  const unpacked = createGunzip({ chunkSize: chunkBytes });
  bytes.once("error", (error) => unpacked.destroy(error));
  return bytes.pipe(unpacked);
}

async function* asBytes(stdin: Readable): AsyncGenerator<Buffer> {
  for await (const chunk of stdin) yield Buffer.from(chunk as string | Buffer);
}

async function writePage(
  path: string,
  history: History,
  report: Report,
  name: string,
): Promise<void> {
  const { timelinePage } = await import("../services/consistency/documents/timeline.ts");
  await writeFile(path, timelinePage(history, report, name)).catch((error: Error) => {
    throw new CommandError(`The page could not be written: ${error.message}`);
  });
}

/** The report for programs: operations by their ids. */
function withoutPositions(report: Report): object {
  return JSON.parse(
    JSON.stringify(report, (name, value: unknown) => (name === "at" ? undefined : value)),
  );
}

const marks: Record<Verdict["status"], { mark: string; style: Style; word: string }> = {
  ok: { mark: "✔", style: "green", word: "holds" },
  violation: { mark: "✖", style: "red", word: "is violated" },
  unknown: { mark: "?", style: "yellow", word: "is unknown" },
};

const count = (number: number, one: string): string =>
  `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;

function tell(out: Output, name: string, format: string, report: Report): void {
  const { operations, keys, sessions, strongest, staleness, lost } = report;
  const of = `${count(operations, "operation")} on ${count(keys, "key")}`;
  out.line(`${oneLine(name)} has ${of} in ${count(sessions, "session")} (${format}).`);
  for (const claim of report.claims) {
    const { mark, style, word } = marks[claim.verdict.status];
    out.line(
      `${out.paint(style, mark)} ${out.paint("bold", claim.name)} ${word}${tail(claim.verdict)}`,
    );
  }
  if (staleness.staleReads > 0) {
    const { mostMs, mostVersions, staleReads } = staleness;
    const ms = Number.isNaN(mostMs) ? "" : ` and ${Number(mostMs.toFixed(3))} ms`;
    const most = `by at most ${count(mostVersions, "version")}${ms}`;
    out.line(`${count(staleReads, "read")} missed what was acknowledged, ${most}.`);
  }
  if (lost.count > 0) out.line(`${count(lost.count, "acknowledged update")} are gone.`);
  out.line(oneLine(strongest.sentence));
}

function tail(verdict: Verdict): string {
  if (verdict.status === "unknown") return `: ${oneLine(verdict.reason)}.`;
  if (verdict.status === "ok") {
    return verdict.checked === 0
      ? " (nothing to check)."
      : ` for ${count(verdict.checked, "operation")}.`;
  }
  const { sentence, operations } = verdict.witness;
  const ids = operations.length > 0 ? ` [${operations.map(oneLine).join(", ")}]` : "";
  return `: ${oneLine(sentence)}${ids}`;
}
