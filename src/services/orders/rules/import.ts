import { isDeepStrictEqual } from "node:util";
import { Problem, requestErrors } from "#kernel/errors.ts";
import { createValidatorCompiler } from "#kernel/http/validation.ts";
import { ordersErrors } from "../errors.ts";
import type { ImportError } from "../schemas/import.ts";
import { NewProduct, type Product } from "../schemas/products.ts";
import type { ProductValues } from "../store/products.ts";
import { knownAllergens } from "./allergens.ts";
import { completeProduct } from "./products.ts";

/** A file of more rows has to be cut: one transaction takes them all. */
export const importRowsMax = 100_000;
export const importRowBytesMax = 65_536;
/** Further ones are counted. */
export const importErrorsMax = 1_000;
const valueCharsMax = 100;

interface Column {
  isNeeded?: true;
  /** The cell as JSON would have it; undefined where the cell is as good as absent. */
  read(cell: string): unknown;
  /** What a cell that can't be read is told. */
  hint?: string;
}

const whole = (cell: string) => (/^\d{1,20}$/.test(cell) ? Number(cell) : Number.NaN);
const truths: Readonly<Record<string, boolean | undefined>> = { true: true, false: false };

const columns: Readonly<Record<keyof NewProduct, Column>> = {
  sku: { isNeeded: true, read: (cell) => cell },
  title: { isNeeded: true, read: (cell) => cell },
  ingredients: { read: (cell) => cell },
  allergens: {
    read: (cell) =>
      cell
        .split(";")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
  },
  priceMinor: {
    isNeeded: true,
    read: whole,
    hint: "must be a whole number in the currency's smallest unit: 475 for 4.75",
  },
  vatRate: { isNeeded: true, read: (cell) => cell },
  stock: {
    read: (cell) => (cell === "" ? null : whole(cell)),
    hint: "must be a whole number of units, or empty where they are not counted",
  },
  active: {
    read: (cell) => (cell === "" ? undefined : (truths[cell.toLowerCase()] ?? Number.NaN)),
    hint: "must be true or false",
  },
};

export const importColumns = Object.keys(columns) as readonly (keyof NewProduct)[];

/** The column names of a file, in its order. */
export type ImportHeader = readonly (keyof NewProduct)[];

/** Throws `import_bad_header` unless the cells name columns of a product, each once. */
export function importHeader(cells: readonly string[] | null): ImportHeader {
  if (cells === null) throw badHeader("The file is empty.", []);
  const names = cells.map((cell) => cell.trim());
  const errors = [
    ...names.filter((name) => !isColumn(name)).map((name) => [name, "is not a column"] as const),
    ...names
      .filter((name, at) => isColumn(name) && names.indexOf(name) !== at)
      .map((name) => [name, "stands there twice"] as const),
    ...importColumns
      .filter((name) => columns[name].isNeeded && !names.includes(name))
      .map((name) => [name, "is missing"] as const),
  ];
  if (errors.length === 0) return names as unknown as ImportHeader;
  const told = errors.map(([name, fault]) => `${shown(name)} ${fault}`);
  const separator = names.length === 1 && /[;\t|]/.test(names[0] as string);
  const hint = separator ? " Cells are separated by commas." : "";
  throw badHeader(
    `${told.slice(0, importColumns.length).join(", ")}.${hint}`,
    errors.map(([name, message]) => ({ path: `/1/${shown(name)}`, message })),
  );
}

function badHeader(detail: string, errors: { path: string; message: string }[]): Problem {
  return ordersErrors.import_bad_header({
    detail: `${detail} The first line names columns of ${importColumns.join(", ")}.`,
    ...(errors.length > 0 && { errors: errors.slice(0, importErrorsMax) }),
  });
}

const isColumn = (name: string): name is keyof NewProduct => Object.hasOwn(columns, name);

/** What a row says, or everything that is wrong with it. */
export type ImportRow =
  | { product: NewProduct; errors?: undefined }
  | { product?: undefined; errors: ImportError[] };

const validate = createValidatorCompiler()({
  schema: NewProduct,
  httpPart: "body",
} as never) as (value: unknown) => true | { error: Problem };

/** A row's cells as a product, checked as the API checks one. Blanks around a cell don't count. */
export function importRow(header: ImportHeader, line: number, cells: readonly string[]): ImportRow {
  const error = (column: string | null, code: string, message: string): ImportError => {
    const cell = column === null ? undefined : cells[header.indexOf(column as keyof NewProduct)];
    return { line, column, value: cell === undefined ? null : shown(cell), code, message };
  };
  const invalid = requestErrors.invalid.code;
  if (cells.length !== header.length) {
    const message = `has ${cells.length} cells where the header has ${header.length}`;
    return { errors: [error(null, invalid, message)] };
  }
  const body: Record<string, unknown> = {};
  const errors = new Map<string, ImportError>();
  for (const [at, name] of header.entries()) {
    const { isNeeded, read, hint = "" } = columns[name];
    const cell = (cells[at] as string).trim();
    const value = read(cell);
    if (isNeeded && cell === "") errors.set(name, error(name, invalid, "must not be empty"));
    else if (Number.isNaN(value)) errors.set(name, error(name, invalid, hint));
    else if (value !== undefined) body[name] = value;
  }
  for (const { column, code, message } of faultsOf(body)) {
    // What could not be read is missing from the body, and one fault a cell is enough.
    if (!errors.has(column)) errors.set(column, error(column, code, message));
  }
  return errors.size > 0 ? { errors: [...errors.values()] } : { product: body as NewProduct };
}

function faultsOf(body: Record<string, unknown>) {
  const checked = validate(body);
  const problems = checked === true ? [] : [checked.error];
  try {
    if (Array.isArray(body.allergens)) knownAllergens(body.allergens);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    problems.push(error);
  }
  return problems.flatMap(({ code, options }) =>
    (options.errors ?? []).map(({ path, message }) => ({
      column: path.split("/")[1] ?? "",
      code,
      message,
    })),
  );
}

/** Of a SKU that an earlier line of the file has. */
export function repeatedSku(line: number, sku: string, earlierLine: number): ImportError {
  const { code } = ordersErrors.import_sku_repeated;
  return { line, column: "sku", value: shown(sku), code, message: `is on line ${earlierLine} too` };
}

/** A cell as an error quotes it. */
function shown(cell: string): string {
  return cell.length > valueCharsMax ? `${cell.slice(0, valueCharsMax)}…` : cell;
}

/** What is to be done with some rows, given the products that have their SKUs. */
export interface ImportPlan {
  created: ProductValues[];
  updated: { before: Product; values: ProductValues }[];
  unchanged: number;
}

/** A column that the file doesn't have stays as it is; a new product gets what POST would give. */
export function importPlan(
  rows: readonly NewProduct[],
  known: ReadonlyMap<string, Product>,
): ImportPlan {
  const plan: ImportPlan = { created: [], updated: [], unchanged: 0 };
  for (const row of rows) {
    const before = known.get(row.sku);
    const values = completeProduct({ ...(before && valuesOf(before)), ...row });
    if (!before) plan.created.push(values);
    else if (isDeepStrictEqual(values, valuesOf(before))) plan.unchanged += 1;
    else plan.updated.push({ before, values });
  }
  return plan;
}

function valuesOf(product: Product): ProductValues {
  const { id: _id, version: _version, createdAt: _made, updatedAt: _changed, ...values } = product;
  return values;
}
