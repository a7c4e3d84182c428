import { Problem, requestErrors } from "#kernel/errors.ts";
import { readCsv } from "#kernel/csv.ts";
import type { OutgoingResponse } from "#kernel/resilience/outgoing.ts";
import { feedsErrors } from "../errors.ts";
import { parseFeed } from "../formats/feed.ts";
import { decimalOf, parseExactJson } from "../rules/decimals.ts";
import { steady } from "./body.ts";
import { hashOfText } from "./hash.ts";
import { type FetchedRecord, type RejectedRecord, sortItems } from "./records.ts";
import {
  type Asking,
  askSource,
  type FetchDeps,
  type FetchLimits,
  fetchLimits,
} from "./request.ts";
import { refusalFailure, type Tally } from "./request.ts";
import type { Connector, Position } from "./types.ts";

/** A page of records, as one transaction takes them. */
export interface Page {
  /** From 0 in this run. */
  readonly number: number;
  readonly fetched: number;
  readonly records: readonly FetchedRecord[];
  readonly rejected: readonly RejectedRecord[];
  /** Where to go on once this page is stored; null after the last one. */
  readonly next: Position | null;
  /** How far the stream has come with this page; null where it has no cursor. */
  readonly since: string | null;
}

export interface FetchInput<Config> {
  readonly deps: FetchDeps;
  readonly connector: Connector<Config>;
  readonly config: Config;
  readonly secret: string | null;
  /** Where the run before was interrupted; null begins anew. */
  readonly position: Position | null;
  /** What the stream has reached so far. */
  readonly since: string | null;
  readonly signal: AbortSignal;
  readonly tally: Tally;
  readonly limits?: Partial<FetchLimits>;
  /** A file that was uploaded, in the place of a request. */
  readonly upload?: AsyncIterable<Uint8Array>;
}

/**
 * The pages of a stream from a position on, one after another: the next one is asked for when this
 * one has been taken. Everything has a limit; throws problems of `feedsErrors`.
 */
export async function* fetchPages<Config>(input: FetchInput<Config>): AsyncGenerator<Page> {
  const limits = { ...fetchLimits, ...input.limits };
  if (input.connector.format === "csv") yield* filePages(input, limits);
  else yield* listPages(input, limits);
}

const askingOf = <Config>(
  { deps, tally, signal, connector }: FetchInput<Config>,
  limits: FetchLimits,
  isFile: boolean,
): Asking => ({
  deps,
  limits,
  tally,
  signal,
  isFile,
  ...(connector.refusal && { refusal: connector.refusal }),
});

async function* listPages<Config>(input: FetchInput<Config>, limits: FetchLimits) {
  const { connector, config, secret } = input;
  const asking = askingOf(input, limits, false);
  let position = input.position ?? connector.first(config, input.since);
  let since = input.since;
  let hashBefore = "";
  let repeats = 0;
  for (let number = 0; ; number += 1) {
    const request = connector.request(config, position, secret);
    const { items, body, answer } = await askSource(asking, request, async (response) => {
      const text = await readText(response, asking);
      return { ...readItems(input, response, text), answer: response };
    });
    if (items.length > limits.recordsPerPageMax) {
      const detail = `A page has ${items.length} records; it may have ${limits.recordsPerPageMax}.`;
      throw feedsErrors.page_too_large({ detail });
    }
    const sorted = sortItems(items, limits.recordBytesMax);
    const hash = hashOfText(sorted.records.map((record) => record.hash).join(" "));
    repeats = items.length > 0 && hash === hashBefore ? repeats + 1 : 0;
    hashBefore = hash;
    // Once is a hiccup, whose records are deduplicated; twice is a parameter that it ignores.
    if (repeats > 1) {
      const detail = `Pages ${number - 1} to ${number + 1} are the same; is the pagination right?`;
      throw feedsErrors.pages_repeat({ detail });
    }
    since = furthest(connector.cursorPath?.(config) ?? null, sorted.records, since);
    const { headers, url } = answer;
    const next = connector.next(config, position, { body, count: items.length, headers, url });
    yield { number, fetched: items.length, ...sorted, next, since };
    if (next === null) return;
    if (number + 1 >= limits.pagesMax) {
      const detail = `There are more than ${limits.pagesMax} pages; is the pagination right?`;
      throw feedsErrors.pages_endless({ detail });
    }
    position = next;
  }
}

/** The whole body as text. An answer that is not UTF-8 is refused. */
async function readText(response: OutgoingResponse, { deps, limits }: Asking): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of steady(response.stream(), limits.idleMs, deps.clock)) parts.push(part);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
  } catch (cause) {
    const detail = `The answer of ${new URL(response.url).host} is not UTF-8.`;
    throw feedsErrors.bad_page({ cause, detail });
  }
}

function readItems<Config>(
  { connector, config }: FetchInput<Config>,
  { url, status }: OutgoingResponse,
  text: string,
): { items: readonly unknown[]; body: unknown } {
  if (connector.format === "feed") return { items: parseFeed(text), body: null };
  const { host } = new URL(url);
  let body: unknown;
  try {
    body = parseExactJson(text);
  } catch (cause) {
    const end = JSON.stringify(text.slice(-20));
    const why = `It has ${text.length} characters and ends with ${end}.`;
    throw feedsErrors.bad_page({ cause, detail: `The answer of ${host} is not JSON. ${why}` });
  }
  const items = connector.items?.(config, body) ?? null;
  if (items !== null) return { items, body };
  // Some say "too many requests" with 200.
  const meaning = connector.refusal?.(status, body);
  if (meaning) throw refusalFailure(meaning, `${host} answered with an error.`).problem;
  throw feedsErrors.bad_page({
    detail: `The answer of ${host} has no list where records should be.`,
  });
}

/** The greatest cursor of the page and of what was reached before. It never goes back. */
function furthest(
  path: string | null,
  records: readonly FetchedRecord[],
  before: string | null,
): string | null {
  if (path === null) return before;
  let reached = before;
  for (const { columns } of records) {
    const value = columns.get(path);
    const text = decimalOf(value) ?? (typeof value === "string" ? value : null);
    if (text !== null && (reached === null || isAfter(text, reached))) reached = text;
  }
  return reached;
}

function isAfter(a: string, b: string): boolean {
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) || a === "" || b === "" ? a > b : x > y;
}

/** A record of a file may have so many times the bytes before the file itself is refused. */
const hopelessRecord = 32;

async function* filePages<Config>(input: FetchInput<Config>, limits: FetchLimits) {
  const { connector, config, secret, upload, deps } = input;
  const asking = askingOf(input, limits, true);
  const start = input.position ?? connector.first(config, input.since);
  const bytes = upload
    ? steady(upload, limits.idleMs, deps.clock)
    : await askSource(asking, connector.request(config, start, secret), async (response) =>
        steady(response.stream(), limits.idleMs, deps.clock),
      );
  const skip = Number(start.row ?? 0);
  let position = start;
  let number = 0;
  const make = (chunk: readonly unknown[], isLast: boolean): Page => {
    const sorted = sortItems(chunk, limits.recordBytesMax);
    const answer = { body: null, count: chunk.length, headers: {}, url: "" };
    const next = connector.next(config, position, answer);
    position = next ?? position;
    const page = { number, fetched: chunk.length, ...sorted, next: isLast ? null : next };
    number += 1;
    return { ...page, since: null };
  };
  try {
    let chunk: unknown[] = [];
    for await (const item of fileItems(bytes, limits, skip)) {
      if (chunk.length === limits.recordsPerChunk) {
        yield make(chunk, false);
        chunk = [];
      }
      chunk.push(item);
    }
    yield make(chunk, true);
  } catch (error) {
    throw fileProblem(error, limits);
  }
}

/** The rows of a file as objects; a row that has not the header's cells is given as a list. */
async function* fileItems(bytes: AsyncIterable<Buffer>, limits: FetchLimits, skip: number) {
  const recordBytesMax = limits.recordBytesMax * hopelessRecord;
  let names: readonly string[] | null = null;
  let row = 0;
  for await (const { cells } of readCsv(bytes, { recordBytesMax })) {
    if (names === null) {
      names = header(cells);
      continue;
    }
    // An empty line is no record.
    if (cells.length === 1 && cells[0] === "") continue;
    row += 1;
    if (row <= skip) continue;
    yield cells.length === names.length ? rowOf(names, cells) : cells;
  }
}

const rowOf = (names: readonly string[], cells: readonly string[]) =>
  Object.fromEntries(names.map((name, at) => [name, cells[at]]));

function header(cells: readonly string[]): string[] {
  const names = cells.map((cell) => cell.trim());
  const bad = names.find((name, at) => name === "" || names.indexOf(name) !== at);
  if (bad === undefined) return names;
  const why = bad === "" ? "has a column without a name" : `names "${bad.slice(0, 60)}" twice`;
  throw feedsErrors.bad_page({ detail: `The first line of the file ${why}.` });
}

function fileProblem(error: unknown, { fileBytesMax }: FetchLimits): unknown {
  if (!(error instanceof Problem)) return error;
  const { detail = error.title } = error.options;
  if (error.code === requestErrors.malformed.code)
    return feedsErrors.bad_page({ cause: error, detail });
  if (error.code === "ERR_OUTGOING_TOO_LARGE") {
    return feedsErrors.page_too_large({
      cause: error,
      detail: `${detail} A file may have ${fileBytesMax} bytes.`,
    });
  }
  if (error.code.startsWith("ERR_OUTGOING_")) {
    return feedsErrors.source_unavailable({ cause: error, detail });
  }
  return error;
}
