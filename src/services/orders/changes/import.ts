import { audit } from "#kernel/audit/audit.ts";
import { readCsv } from "#kernel/csv.ts";
import type { Db, Tx } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import { emit } from "#kernel/events/emit.ts";
import type { Spool } from "#kernel/http/spool.ts";
import type { Random } from "#kernel/random.ts";
import { ordersErrors } from "../errors.ts";
import {
  type ImportHeader,
  importErrorsMax,
  importHeader,
  importPlan,
  importRow,
  importRowBytesMax,
  importRowsMax,
  repeatedSku,
} from "../rules/import.ts";
import { stockFellLow } from "../rules/stock.ts";
import type { ImportError, ImportQuery, ImportReport } from "../schemas/import.ts";
import type { NewProduct, Product } from "../schemas/products.ts";
import {
  getProductsBySku,
  insertProducts,
  lockProductsBySku,
  lockSkus,
  takeImportTurn,
  updateProducts,
} from "../store/import.ts";
import { productResource } from "./products.ts";

/** Rows that go into one statement and, of an import in parts, into one transaction. */
const batchRows = 500;
const lostRacesMax = 3;

/** A file that has been read through once, with everything that is wrong with it. */
export interface CheckedFile {
  file: Spool;
  rows: number;
  failed: number;
  /** The first 1,000. */
  errors: ImportError[];
  errorsOmitted: number;
  /** Where each SKU stands for the first time: in memory, for the sake of those that come again. */
  lineBySku: ReadonlyMap<string, number>;
}

/**
 * Reads a file through without asking the database. Throws `malformed` for what is no CSV,
 * `import_bad_header` and `import_too_long`; what is wrong with a row is in the answer.
 */
export async function checkImport(file: Spool): Promise<CheckedFile> {
  const errors: ImportError[] = [];
  const lineBySku = new Map<string, number>();
  let [rows, failed, found] = [0, 0, 0];
  for await (const { header, line, cells } of rowsOf(file)) {
    rows += 1;
    if (rows > importRowsMax) {
      const detail = `It has more than ${importRowsMax} rows: cut it into several files.`;
      throw ordersErrors.import_too_long({ detail });
    }
    const faults = [...(importRow(header, line, cells).errors ?? [])];
    const sku = skuOf(header, cells);
    const earlierLine = sku && lineBySku.get(sku);
    if (sku && earlierLine) faults.push(repeatedSku(line, sku, earlierLine));
    else if (sku) lineBySku.set(sku, line);
    if (faults.length > 0) failed += 1;
    found += faults.length;
    errors.push(...faults.slice(0, importErrorsMax - errors.length));
  }
  return { file, rows, failed, errors, errorsOmitted: found - errors.length, lineBySku };
}

async function* rowsOf(file: Spool) {
  let header: ImportHeader | null = null;
  for await (const { line, cells } of readCsv(file.read(), { recordBytesMax: importRowBytesMax })) {
    if (header === null) header = importHeader(cells);
    else if (cells.some((cell) => cell.trim() !== "")) yield { header, line, cells };
  }
  if (header === null) importHeader(null);
}

const skuOf = (header: ImportHeader, cells: readonly string[]) =>
  cells.length === header.length ? cells[header.indexOf("sku")]?.trim() : undefined;

/** The good rows, in batches. */
async function* batchesOf({ file, lineBySku }: CheckedFile): AsyncGenerator<NewProduct[]> {
  let batch: NewProduct[] = [];
  for await (const { header, line, cells } of rowsOf(file)) {
    const { product } = importRow(header, line, cells);
    if (!product || lineBySku.get(product.sku) !== line) continue;
    batch.push(product);
    if (batch.length < batchRows) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

type Counts = Pick<ImportReport, "created" | "updated" | "unchanged">;

/**
 * Brings the tenant's products to what the file says, SKU by SKU; what the file doesn't name stays.
 * All rows in `tx` or, with `partial`, the good ones in transactions of their own, while `tx` holds
 * the turn and the Idempotency-Key. Throws `import_refused` where rows are bad and `partial` isn't
 * wanted, `import_running` where another import of the tenant has the turn.
 */
export async function importProducts(
  tx: Tx,
  { db, random }: { db: Db; random: Random },
  checked: CheckedFile,
  { dryRun, partial }: ImportQuery,
): Promise<ImportReport> {
  if (checked.failed > 0 && !partial) throw refused(checked);
  const counts: Counts = { created: 0, updated: 0, unchanged: 0 };
  const add = (more: Counts) => {
    for (const name of ["created", "updated", "unchanged"] as const) counts[name] += more[name];
  };
  if (!dryRun && !(await takeImportTurn(tx))) throw importRunning();
  if (!dryRun && !partial) await lockSkus(tx, [...checked.lineBySku.keys()]);
  const { actor, requestId } = tx;
  for await (const batch of batchesOf(checked)) {
    if (dryRun) add(await foresee(tx, batch));
    else if (!partial) add(await importRows(tx, random, batch));
    else {
      const part = (own: Tx) => importRows(own, random, batch);
      add(await db.inTenant(tx.tenant, part, { actor, requestId }));
      // Taken again for nothing, since the database ends a transaction that is idle for too long.
      await takeImportTurn(tx);
    }
  }
  const { rows, failed, errors, errorsOmitted } = checked;
  return { rows, ...counts, failed, dryRun, errors, errorsOmitted };
}

function refused({ rows, failed, errors, errorsOmitted }: CheckedFile): Error {
  return ordersErrors.import_refused({
    detail: `${failed} of ${rows} rows can't be imported. Mend them, or ask for partial=true.`,
    errors: errors.map((error) => ({ path: `/${error.line}/${error.column ?? ""}`, ...error })),
    extensions: { rows, failed, errorsOmitted },
  });
}

/** Of an import that has to wait for others; whoever sent it has to send it again. */
export function importRunning(): Error {
  return ordersErrors.import_running({
    detail: "A tenant has one import at a time, and the server a few; send it again in a moment.",
    headers: { "retry-after": "5" },
  });
}

/** What would become of the rows if they were imported now. */
async function foresee(tx: Tx, rows: readonly NewProduct[]): Promise<Counts> {
  const known = await getProductsBySku(tx, skusOf(rows));
  const { created, updated, unchanged } = importPlan(rows, bySku(known));
  return { created: created.length, updated: updated.length, unchanged };
}

/** Brings some products to what their rows say, with their history and events. */
async function importRows(tx: Tx, random: Random, rows: readonly NewProduct[]): Promise<Counts> {
  const { changes, unchanged } = await write(tx, random, rows);
  for (const change of changes) tell(tx, change);
  const created = changes.filter(({ before }) => before === null).length;
  return { created, updated: changes.length - created, unchanged };
}

interface Change {
  before: Product | null;
  after: Product;
}

const skusOf = (rows: readonly { sku: string }[]) => rows.map(({ sku }) => sku);
const bySku = (products: readonly Product[]) => new Map(products.map((one) => [one.sku, one]));

/** Writes what differs; rows whose SKU somebody else makes in the meantime become changes of it. */
async function write(
  tx: Tx,
  random: Random,
  rows: readonly NewProduct[],
  lostRaces = 0,
): Promise<{ changes: Change[]; unchanged: number }> {
  if (lostRaces > lostRacesMax)
    throw requestErrors.conflict({ detail: "Others changed the same." });
  const known = bySku(await lockProductsBySku(tx, skusOf(rows)));
  const plan = importPlan(rows, known);
  const fresh = plan.created.map((values) => ({ ...values, id: random.id() }));
  const changed = plan.updated.map(({ before, values }) => ({ ...values, id: before.id }));
  const made = fresh.length > 0 ? await insertProducts(tx, fresh) : [];
  const updated = changed.length > 0 ? await updateProducts(tx, changed) : [];
  const changes = [...made, ...updated].map((after) => ({
    before: known.get(after.sku) ?? null,
    after,
  }));
  if (made.length === fresh.length) return { changes, unchanged: plan.unchanged };
  const isMade = bySku(made);
  const created = new Set(skusOf(fresh));
  const lost = rows.filter(({ sku }) => created.has(sku) && !isMade.has(sku));
  const rest = await write(tx, random, lost, lostRaces + 1);
  return {
    changes: [...changes, ...rest.changes],
    unchanged: plan.unchanged + rest.unchanged,
  };
}

function tell(tx: Tx, { before, after }: Change): void {
  const resource = productResource(after);
  const said = { resource, data: after };
  if (before === null) {
    audit(tx, { action: "product.create", resource, after });
    return emit(tx, { type: "product.created", ...said });
  }
  audit(tx, { action: "product.update", resource, before, after });
  emit(tx, { type: "product.updated", ...said });
  if (stockFellLow(before.stock, after.stock)) emit(tx, { type: "product.stock_low", ...said });
}
