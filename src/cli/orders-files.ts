import { readFile } from "node:fs/promises";
import { ApiError, CommandError, type ProblemDocument, UsageError } from "./errors.ts";
import { openFile, outputOption, save, uploaded } from "./files.ts";
import { textOf } from "./options.ts";
import { orderFilters, orderQuery } from "./orders-desk.ts";
import { idOf } from "./orders-names.ts";
import type { Output } from "./output.ts";
import { readStdin } from "./prompt.ts";
import { type Column, formatTable } from "./table.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation } from "./types.ts";

/** A large file is written to the database while its sender waits. */
const importTimeoutMs = 290_000;

interface Report {
  rows: number;
  created: number;
  updated: number;
  unchanged: number;
  failed: number;
  dryRun: boolean;
  errors: Record<string, unknown>[];
  errorsOmitted: number;
}

const errorColumns: readonly Column[] = [
  { title: "Line", value: "line" },
  { title: "Column", value: "column" },
  { title: "Value", value: "value" },
  { title: "What is wrong", value: "message" },
];
const errorsShown = 20;

const importProducts: CommandSpec = {
  name: "import <file>",
  summary: "make and change products from a CSV file, or - for standard input",
  options: [
    { flags: "--dry-run", summary: "only say what it would do" },
    { flags: "--partial", summary: "import the good rows although others are bad" },
  ],
  help:
    "The first line names the columns: sku, title, priceMinor, vatRate and, if the file has\n" +
    "them, ingredients, allergens (milk;eggs), stock and active. Rows that are left out end\n" +
    "the command with exit code 1.",
  async run(invocation) {
    const { client, args, options, out } = invocation;
    const { file, sizeBytes } = await openFile(args[0] as string, invocation);
    const progress = out.progress("Sending", sizeBytes);
    const query = { dryRun: options.dryRun === true, partial: options.partial === true };
    let report: Report;
    try {
      report = await client.call<Report>({
        method: "POST",
        path: "/products/import",
        query,
        headers: { "content-type": "text/csv" },
        body: uploaded(file, progress),
        isCreation: true,
        timeoutMs: importTimeoutMs,
      });
    } catch (error) {
      progress.end();
      throw showRefusal(invocation, error);
    } finally {
      progress.end();
      file.destroy();
    }
    out.result(report, () => showReport(invocation, report));
    if (report.failed > 0) {
      throw new CommandError(`${report.failed} of ${report.rows} rows were left out`);
    }
  },
};

/** Shows the faults of a file that was refused; the error that is left to be told. */
function showRefusal({ out }: Invocation, error: unknown): unknown {
  const isOfRows = error instanceof ApiError && error.problem.code === "ERR_ORDERS_IMPORT_REFUSED";
  if (out.isJson || !isOfRows) return error;
  const { errors = [], errorsOmitted, ...problem } = error.problem;
  showFaults(out, errors, Number(errorsOmitted ?? 0));
  return new ApiError(problem, error.retryAfterSeconds);
}

function showFaults(out: Output, errors: readonly object[], omitted: number): void {
  const shown = errors.slice(0, errorsShown) as Record<string, unknown>[];
  if (shown.length === 0) return;
  const heading = (text: string) => out.paint("bold", text);
  for (const text of formatTable(errorColumns, shown, { heading })) out.line(text);
  const more = errors.length - shown.length + omitted;
  if (more > 0) out.note(`and ${more} more: --json shows the first thousand`);
}

function showReport({ out }: Invocation, report: Report): void {
  const { created, updated, unchanged, dryRun, errors, errorsOmitted } = report;
  showFaults(out, errors, errorsOmitted);
  const counts = `${created} made, ${updated} changed, ${unchanged} as they were`;
  if (dryRun) out.note(`It would be: ${counts}. Nothing was changed.`);
  else out.success(`Imported: ${counts}`);
}

const exportOrders: CommandSpec = {
  name: "export",
  summary: "write orders as CSV, one row for each line of an order",
  options: [...orderFilters, outputOption("standard output")],
  async run(invocation) {
    const call = { path: "/orders/export.csv", query: await orderQuery(invocation) };
    await save(invocation, call, textOf(invocation.options, "output") ?? "-");
  },
};

const label: CommandSpec = {
  name: "label <product>",
  summary: "print the label of a product, by SKU or id, as a PDF",
  options: [
    outputOption("label-SKU.pdf"),
    { flags: "--shop <shop>", summary: "print this one's name and address, by name or id" },
    { flags: "--price", summary: "print the price too" },
    {
      flags: "--size <size>",
      summary: "width and height in millimetres; 100x62 unless given",
      choices: ["100x62", "89x36"],
    },
    { flags: "--small-pack", summary: "the pack is small, so the letters may be" },
    {
      flags: "--acknowledge-allergens",
      summary: "although the ingredients name allergens that the product does not have",
    },
  ],
  async run(invocation) {
    const { client, args, options } = invocation;
    const id = await idOf(client, "product", args[0] as string);
    const shop = textOf(options, "shop");
    const query = {
      ...(shop !== undefined && { shopId: await idOf(client, "shop", shop) }),
      ...(textOf(options, "size") !== undefined && { size: textOf(options, "size") }),
      price: options.price === true,
      smallPack: options.smallPack === true,
      acknowledgeAllergens: options.acknowledgeAllergens === true,
    };
    const call = { path: path`/products/${id}/label.pdf`, query };
    await save(invocation, call, textOf(options, "output"));
  },
};

const invoice: CommandSpec = {
  name: "invoice <order>",
  summary: "print the invoice of an order, by number or id, as a PDF",
  options: [
    outputOption("invoice-NUMBER.pdf"),
    { flags: "--substitute", summary: "print marks for characters that can't be printed" },
  ],
  async run(invocation) {
    const { client, args, options } = invocation;
    const id = await idOf(client, "order", args[0] as string);
    const query = options.substitute === true ? { substitute: true } : {};
    const call = { path: path`/orders/${id}/invoice.pdf`, query };
    await save(invocation, call, textOf(options, "output"));
  },
};

const syncColumns: readonly Column[] = [
  { title: "Type", value: "type" },
  { title: "Key", value: "key" },
  { title: "Outcome", value: "outcome" },
  { title: "Id", value: "id" },
  { title: "Version", value: "version" },
  { title: "Why", value: ({ problem }) => whyOf(problem as ProblemDocument | undefined) },
];

/** What the endpoint would have said; where members are invalid, which ones. */
function whyOf(problem: ProblemDocument | undefined): string {
  if (!problem) return "";
  const { detail = "", errors = [], code } = problem;
  if (code !== "ERR_REQUEST_INVALID" || errors.length === 0) return detail;
  return errors.map(({ path: at, message }) => `${at} ${message}`).join("; ");
}

const sync: CommandSpec = {
  name: "sync <file>",
  summary: "bring in what a till did offline, from a JSON file or - for standard input",
  help: 'The file holds {"items": […]}, as POST /orders/sync takes it, or the list alone.',
  async run({ client, args, out, surroundings }) {
    const [file = ""] = args;
    const text = file === "-" ? await readStdin(surroundings.stdin) : await readFile(file, "utf8");
    const body = parsed(text);
    const answer = await client.call<{ items: Record<string, unknown>[] }>({
      method: "POST",
      path: "/orders/sync",
      body: Array.isArray(body) ? { items: body } : body,
    });
    const { items } = answer;
    out.result(answer, () => out.page(syncColumns, { items, nextCursor: null }));
    const left = items.filter(({ outcome }) => outcome === "conflict" || outcome === "refused");
    if (left.length > 0) {
      throw new CommandError(`${left.length} of ${items.length} were not applied`);
    }
  },
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`No JSON: ${(error as Error).message}`);
  }
}

/** What goes through files: products in, orders and documents out, a till's batches in. */
export const fileCommands: readonly CommandSpec[] = [
  importProducts,
  exportOrders,
  label,
  invoice,
  sync,
];
