import { isUtf8 } from "node:buffer";
import { pipeline, Readable } from "node:stream";
import { CsvError, parse } from "csv-parse";
import { type Problem, requestErrors } from "./errors.ts";

/** One record of a file: its cells as text, and the line of the file on which it begins. */
export interface CsvRecord {
  line: number;
  cells: string[];
}

/**
 * One CSV cell (RFC 4180). A leading = + - @, tab or line break, also in full width, gets an
 * apostrophe before it, or a spreadsheet would run the text as a formula (OWASP, CSV injection).
 * Numbers stay numbers.
 */
export function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const safe = /^[=+\-@\t\r\n＝＋－＠]/.test(text) && typeof value !== "number" ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A record with the line break at its end. */
export function csvLine(values: readonly unknown[]): string {
  return `${values.map(csvCell).join(",")}\r\n`;
}

/**
 * The records of a CSV file in UTF-8, with or without a byte order mark, with any kind of line
 * break, one after another: no more than one record is in memory. An empty line is a record with
 * one empty cell. Throws `malformed` with the line for what is no such file and for a record of
 * more than `recordBytesMax`.
 */
export async function* readCsv(
  bytes: AsyncIterable<Buffer>,
  { recordBytesMax }: { recordBytesMax: number },
): AsyncGenerator<CsvRecord> {
  let line = 1;
  const parser = parse({
    bom: true,
    record_delimiter: ["\r\n", "\n", "\r"],
    relax_column_count: true,
    max_record_size: recordBytesMax,
    // Counted here, since csv-parse counts a CRLF within quotes as two lines.
    on_record: (cells) => {
      const record: CsvRecord = { line, cells };
      line += 1 + lineBreaks(cells);
      // Its types expect what came in to go out.
      return record as unknown as string[];
    },
  });
  // What goes wrong before the parser reaches whoever reads from it.
  pipeline(Readable.from(checkedText(bytes), { objectMode: false }), parser, () => {});
  try {
    yield* parser as AsyncIterable<CsvRecord>;
  } catch (error) {
    throw error instanceof CsvError ? csvFault(error, line, recordBytesMax) : error;
  }
}

function lineBreaks(cells: readonly string[]): number {
  let count = 0;
  for (const cell of cells) {
    if (cell.includes("\n") || cell.includes("\r")) count += cell.match(/\r\n|\r|\n/g)?.length ?? 0;
  }
  return count;
}

function csvFault(error: CsvError, line: number, recordBytesMax: number): Problem {
  const why: Partial<Record<CsvError["code"], string>> = {
    CSV_QUOTE_NOT_CLOSED: 'A quoted cell of the record that begins here has no closing ".',
    CSV_INVALID_CLOSING_QUOTE: 'Text follows the closing "; a " inside of quotes is written "".',
    INVALID_OPENING_QUOTE: 'A " stands inside of a cell; put the cell in quotes and write it "".',
    CSV_MAX_RECORD_SIZE: `It has more than ${recordBytesMax} bytes; is a closing " missing?`,
  };
  return fault(line, why[error.code] ?? "It is not CSV.", error);
}

function fault(line: number, why: string, cause?: Error): Problem {
  return requestErrors.malformed({
    detail: `Line ${line} of the file can't be read. ${why}`,
    errors: [{ path: `/${line}`, message: why }],
    cause,
  });
}

/** What people send for CSV by mistake, by its first bytes. */
const otherFormats: readonly [start: number[], what: string][] = [
  [[0x50, 0x4b, 0x03, 0x04], "a workbook or an archive"],
  [[0xd0, 0xcf, 0x11, 0xe0], "an old workbook"],
  [[0x25, 0x50, 0x44, 0x46], "a PDF"],
  [[0x1f, 0x8b], "compressed"],
  [[0xff, 0xfe], "in UTF-16"],
  [[0xfe, 0xff], "in UTF-16"],
];

/** The same bytes, as long as they are UTF-8 without zero bytes. */
async function* checkedText(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  let isFirst = true;
  for await (const chunk of bytes) {
    if (isFirst) refuseOtherFormats(chunk);
    isFirst = false;
    try {
      decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw notUtf8(line + linesBefore(chunk), cause as Error);
    }
    const zeroAt = chunk.indexOf(0);
    if (zeroAt !== -1) {
      const at = line + occurrences(chunk.subarray(0, zeroAt), 0x0a);
      throw fault(at, "It holds a zero byte, which no text has.");
    }
    line += occurrences(chunk, 0x0a);
    yield chunk;
  }
  try {
    decoder.decode();
  } catch (cause) {
    throw notUtf8(line, cause as Error);
  }
}

function refuseOtherFormats(chunk: Buffer): void {
  const found = otherFormats.find(([start]) => start.every((byte, at) => chunk[at] === byte));
  if (!found) return;
  throw requestErrors.malformed({ detail: `The file is ${found[1]}; save it as CSV in UTF-8.` });
}

function notUtf8(line: number, cause: Error): Problem {
  return fault(line, "It is not UTF-8; save the file as CSV in UTF-8.", cause);
}

/** How many lines of the chunk end before the one that is not UTF-8. */
function linesBefore(chunk: Buffer): number {
  let lines = 0;
  for (let start = 0; start < chunk.length; lines += 1) {
    const end = chunk.indexOf(0x0a, start);
    // The first line may begin in the middle of a character: the chunk before has its start.
    if (lines > 0 && !isUtf8(chunk.subarray(start, end === -1 ? undefined : end))) return lines;
    if (end === -1) break;
    start = end + 1;
  }
  return 0;
}

function occurrences(chunk: Buffer, byte: number): number {
  let found = 0;
  for (let at = chunk.indexOf(byte); at !== -1; at = chunk.indexOf(byte, at + 1)) found += 1;
  return found;
}
