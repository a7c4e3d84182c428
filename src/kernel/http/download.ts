import { Readable } from "node:stream";
import { type TSchema, Type } from "typebox";
import type { Clock } from "../clock.ts";
import { csvLine } from "../csv.ts";
import { requestErrors } from "../errors.ts";
import { exampleOf } from "./examples.ts";
import { createSeats } from "./seats.ts";
import type { Downloads, MutatingReply, MutatingRequest } from "./types.ts";

const PER_TENANT_MAX = 2;
/** Each download holds a database connection: of four, three are left for everything else. */
const CONNECTIONS_PER_DOWNLOAD = 4;
/** A reader that takes longer would keep its snapshot, and PostgreSQL from cleaning up after it. */
const DURATION_MAX_MS = 3_600_000;
const RETRY_AFTER_SECONDS = 30;

export type RowFormat = "csv" | "ndjson";

/** Query member of a route that answers with `sendRows`. */
export const RowFormat = Type.Enum(["csv", "ndjson"], {
  default: "csv",
  description: "Comma-separated values, or one JSON document per line.",
  examples: ["csv"],
});

const mediaTypes: Record<RowFormat, string> = {
  csv: "text/csv; charset=utf-8",
  ndjson: "application/x-ndjson; charset=utf-8",
};

/** What stands in the first line of a CSV, and how each cell below it is made of a row. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => unknown>>;

/**
 * The answer of a route that answers with `sendRows`, for its schema: rows like `row`, whose
 * example shows what each of the formats looks like.
 */
export function rowsAnswer<Row>(
  description: string,
  row: TSchema,
  columns: Columns<Row>,
  formats: readonly RowFormat[] = ["csv", "ndjson"],
) {
  const one = exampleOf(row) as Row;
  const cells = Object.values(columns).map((cell) => cell(one));
  const examples: Record<RowFormat, string> = {
    csv: `${csvLine(Object.keys(columns))}${csvLine(cells)}`,
    ndjson: `${JSON.stringify(one)}\n`,
  };
  const content = formats.map((format) => [
    mediaTypes[format].split(";", 1)[0],
    { schema: { type: "string" }, example: examples[format] },
  ]);
  return { description, content: Object.fromEntries(content) };
}

export interface Download<Row> {
  /** The file's name, without its extension. */
  name: string;
  format: RowFormat;
  /** Of the CSV; JSON lines have the whole row. */
  columns: Columns<Row>;
  /** From `streamRows` (db/stream.ts): the next batch is asked for when the last one is sent. */
  rows: AsyncGenerator<readonly Row[]>;
}

/** `connectionsMax`: how many database connections this process has for everything. */
export function createDownloads(options: { clock: Clock; connectionsMax: number }): Downloads {
  const { clock, connectionsMax } = options;
  const max = Math.max(1, Math.floor(connectionsMax / CONNECTIONS_PER_DOWNLOAD));
  const seats = createSeats({ max, perTenantMax: PER_TENANT_MAX });
  return {
    begin(tenantId) {
      const leave = seats.take(tenantId);
      if (leave) return leave;
      throw requestErrors.rate_limited({
        detail: `As many downloads run as may, ${PER_TENANT_MAX} of a tenant at once; try later.`,
        headers: { "retry-after": String(RETRY_AFTER_SECONDS) },
      });
    },
    watch() {
      const endMs = clock.monotonicMs() + DURATION_MAX_MS;
      return () => {
        if (clock.monotonicMs() > endMs) throw new Error("The download took too long");
      };
    },
  };
}

/**
 * Answers with all rows there are, as a file, in the memory of two batches. What fails before the
 * first batch is answered as a problem; what fails after it cuts the connection, so that nobody
 * takes half a file for a whole one. A reader who goes away gives everything back at once; one who
 * reads nothing for `idle_in_transaction_session_timeout` is cut off. For the handler to return.
 */
export async function sendRows<Row>(
  request: MutatingRequest,
  reply: MutatingReply,
  download: Download<Row>,
): Promise<never> {
  const { name, format, rows } = download;
  const { downloads } = request.server;
  reply
    .header("content-type", mediaTypes[format])
    .header("content-disposition", `attachment; filename="${name}.${format}"`);
  if (request.method === "HEAD") return reply.send(Readable.from([])) as unknown as never;
  const leave = downloads.begin(request.tenant.id);
  const first = await rows.next().catch((error: unknown) => {
    leave();
    throw error;
  });
  const body = Readable.from(chunks(download, first, downloads.watch()));
  body.once("close", () => {
    // Also where the body was never read, so that nothing inside it was begun.
    rows
      .return(undefined)
      .catch((error: unknown) => request.log.warn({ err: error }, "a download ended badly"))
      .finally(leave);
  });
  return reply.send(body) as unknown as never;
}

async function* chunks<Row>(
  { format, columns, rows }: Download<Row>,
  first: IteratorResult<readonly Row[], unknown>,
  assertInTime: () => void,
): AsyncGenerator<string> {
  const cells = Object.values(columns);
  const asCsv = (row: Row) => csvLine(cells.map((cell) => cell(row)));
  const asJson = (row: Row) => `${JSON.stringify(row)}\n`;
  if (format === "csv") yield csvLine(Object.keys(columns));
  for (let batch = first; !batch.done; batch = await rows.next()) {
    assertInTime();
    yield batch.value.map(format === "csv" ? asCsv : asJson).join("");
  }
}
