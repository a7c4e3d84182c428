import {
  type Contract,
  type ContractEntity,
  type ContractMode,
  type DeadLetter,
  type DeadLetterCode,
  type SchemaChange,
} from "./contract.ts";
import { canonicalJson, keyOf } from "./records.ts";
import {
  type Column,
  type ColumnType,
  columnsMax,
  inferType,
  observe,
  type ObservedColumn,
  shapeOf,
  type StreamSchema,
  type TypeReader,
} from "./schema.ts";
import { addedNames, absentColumns } from "./shape.ts";

/** A record of a page, as columns. */
export interface PageRecord {
  readonly columns: ReadonlyMap<string, unknown>;
  readonly hash: string;
}

/** A record that is kept. */
export interface PageRow {
  readonly index: number;
  readonly key: string;
  readonly values: ReadonlyMap<string, unknown>;
}

export interface PagePlan {
  readonly schema: StreamSchema;
  readonly changes: readonly SchemaChange[];
  readonly rows: readonly PageRow[];
  readonly deadLetters: readonly DeadLetter[];
  /** What froze the page: then nothing of it is committed and the run fails. */
  readonly violation: SchemaChange | null;
}

export interface PageInput {
  readonly schema: StreamSchema;
  readonly contract: Contract;
  readonly records: readonly PageRecord[];
  readonly types: TypeReader;
  /** Renames decided on, new name to column; they become aliases. */
  readonly renames?: Readonly<Record<string, string>>;
}

interface Draft {
  columns: Map<string, Column>;
  changes: Map<string, SchemaChange>;
  aliases: Record<string, string>;
  deadLetters: DeadLetter[];
}

/**
 * Applies a stream's contract to a page: what its schema is then, which records are kept with
 * which values, and a dead letter for each record or value that is not. The first page of a stream
 * evolves whatever the contract says. Nothing is changed in place.
 */
export function planPage(input: PageInput): PagePlan {
  const { schema, records, types } = input;
  const isFirst = schema.version === 0;
  const modeOf = (entity: ContractEntity) => (isFirst ? "evolve" : input.contract[entity]);
  const observed = observe(
    records.map(({ columns }) => columns),
    types,
  );
  const draft: Draft = {
    columns: new Map(schema.columns.map((column) => [column.name, column])),
    changes: new Map(),
    aliases: { ...schema.aliases },
    deadLetters: [],
  };
  const renamed = renameRules(input, draft, observed, modeOf("columnRenamed"));
  const added = addRules(input, draft, observed, modeOf("columnAdded"));
  const hasAliases = Object.keys(draft.aliases).length > 0;
  const rules: RowRules = {
    keyLost: input.contract.keyLost,
    renamed,
    added,
    removed: removeRules(input, draft, observed, modeOf("columnRemoved")),
    typeMode: modeOf("typeChanged"),
    hasAliases,
    isPlain: !hasAliases && renamed.size === 0 && added.size === 0,
  };
  const rows = records.flatMap((record, index) => {
    const row = planRow(input, draft, rules, record, index);
    return row === null ? [] : [row];
  });
  checkKeys(input, draft);
  const changes = [...draft.changes.values()];
  return {
    schema: nextSchema(schema, draft, observed, records.length),
    changes,
    rows,
    deadLetters: draft.deadLetters,
    violation: changes.find(({ entity, mode }) => mode === "freeze" && isForbidden(entity)) ?? null,
  };
}

const isForbidden = (entity: SchemaChange["entity"]) =>
  entity !== "columnWidened" && entity !== "columnReturned";

interface RowRules {
  keyLost: ContractMode;
  renamed: ReadonlyMap<string, ContractMode>;
  added: ReadonlyMap<string, ContractMode | "full">;
  removed: ReadonlySet<string>;
  typeMode: ContractMode;
  hasAliases: boolean;
  /** Every name on the page is that of a column: most pages are. */
  isPlain: boolean;
}

/** A record by the names of columns, in the place of those that the source has for them now. */
const named = ({ aliases }: Draft, columns: ReadonlyMap<string, unknown>) =>
  new Map([...columns].map(([name, value]) => [aliases[name] ?? name, value]));

function note(draft: Draft, change: SchemaChange): void {
  const name = JSON.stringify([change.entity, change.column, change.to]);
  const before = draft.changes.get(name);
  draft.changes.set(name, { ...change, records: change.records + (before?.records ?? 0) });
}

function renameRules(
  { renames = {} }: PageInput,
  draft: Draft,
  observed: ReadonlyMap<string, ObservedColumn>,
  mode: ContractMode,
) {
  const rules = new Map<string, ContractMode>();
  for (const [to, column] of Object.entries(renames)) {
    if (draft.aliases[to] === column) continue;
    note(draft, {
      entity: "columnRenamed",
      column,
      to,
      mode,
      records: observed.get(to)?.present ?? 0,
    });
    if (mode === "evolve") draft.aliases[to] = column;
    else rules.set(to, mode);
  }
  return rules;
}

function addRules(
  { schema, renames = {}, types }: PageInput,
  draft: Draft,
  observed: ReadonlyMap<string, ObservedColumn>,
  mode: ContractMode,
) {
  const rules = new Map<string, ContractMode | "full">();
  for (const name of addedNames(schema, observed, renames)) {
    const seen = observed.get(name) as ObservedColumn;
    note(draft, { entity: "columnAdded", column: name, mode, records: seen.present });
    if (mode !== "evolve") rules.set(name, mode);
    else if (draft.columns.size >= columnsMax) rules.set(name, "full");
    else draft.columns.set(name, { name, type: inferType(seen, types), seen: 0, of: 0 });
  }
  return rules;
}

/** Columns that fail their records by being absent. */
function removeRules(
  { schema, renames = {}, records }: PageInput,
  draft: Draft,
  observed: ReadonlyMap<string, ObservedColumn>,
  mode: ContractMode,
) {
  const failing = new Set<string>();
  const isRenamed = new Set(Object.values(renames));
  for (const { name } of absentColumns(schema, observed, records)) {
    if (schema.key.includes(name) || isRenamed.has(name)) continue;
    note(draft, { entity: "columnRemoved", column: name, mode, records: records.length });
    const column = draft.columns.get(name) as Column;
    if (mode === "discard_row") failing.add(name);
    // There is no value to discard: the column stays and is empty from now on.
    else if (mode !== "freeze") draft.columns.set(name, { ...column, isAbsent: true });
  }
  return failing;
}

function planRow(
  { schema, types }: PageInput,
  draft: Draft,
  rules: RowRules,
  { columns, hash }: PageRecord,
  index: number,
): PageRow | null {
  const found = keyOf(rules.hasAliases ? named(draft, columns) : columns, schema.key);
  // A key of the content makes a record that changes a new one, which is what evolving means here.
  const key = found ?? (rules.keyLost === "evolve" ? `#${hash}` : null);
  const letters: DeadLetter[] = [];
  const dead = (code: DeadLetterCode, path: string | null, message: string, isRow: boolean) => {
    letters.push({ index, key, code, path, scope: isRow ? "record" : "value", message });
  };
  if (key === null) {
    dead("key_lost", schema.key.join(", "), "The record has no key to be known again by.", true);
  }
  for (const name of rules.removed) {
    dead("column_removed", name, `The source does not send "${name}" any more.`, true);
  }
  const values = new Map<string, unknown>();
  for (const [name, value] of columns) {
    if (rules.isPlain) {
      placeValue({ draft, types, mode: rules.typeMode, values, dead }, name, value);
      continue;
    }
    const added = rules.added.get(name);
    const renamed = rules.renamed.get(name);
    const target = draft.aliases[name] ?? name;
    if (added === "full") {
      const message = `"${name}" would be column ${columnsMax + 1}; a stream has ${columnsMax}.`;
      dead("too_many_columns", name, message, false);
    } else if (added) {
      dead("column_added", name, `"${name}" is not in the schema.`, added === "discard_row");
    } else if (renamed) {
      dead("column_renamed", name, `"${name}" is another name now.`, renamed === "discard_row");
    } else if (target !== name && columns.has(target)) {
      const isSame = canonicalJson(columns.get(target)) === canonicalJson(value);
      const message = `"${name}" and "${target}" are one column and have two values.`;
      if (!isSame) dead("column_renamed", name, message, false);
    } else placeValue({ draft, types, mode: rules.typeMode, values, dead }, target, value);
  }
  const fatal = letters.find(({ scope }) => scope === "record");
  draft.deadLetters.push(...(fatal ? [fatal] : letters));
  return fatal || key === null ? null : { index, key, values };
}

interface Placing {
  draft: Draft;
  types: TypeReader;
  mode: ContractMode;
  values: Map<string, unknown>;
  dead(code: DeadLetterCode, path: string, message: string, isRow: boolean): void;
}

function placeValue({ draft, types, mode, values, dead }: Placing, name: string, value: unknown) {
  const column = draft.columns.get(name) as Column;
  const type = types.typeOf(value);
  const wider = types.widen(column.type, type);
  if (wider !== null) {
    if (wider !== column.type) {
      const isKnown = column.type !== "unknown";
      if (isKnown) widened(draft, name, wider, mode);
      draft.columns.set(name, { ...column, type: wider });
    }
    values.set(name, value);
    return;
  }
  note(draft, { entity: "typeChanged", column: name, to: type, mode, records: 1 });
  if (mode === "evolve") values.set(variantColumn(draft, name, type), value);
  else {
    const message = `"${name}" is ${type}; the schema says ${column.type}.`;
    dead("type_changed", name, message, mode !== "discard_value");
  }
}

const widened = (draft: Draft, column: string, to: string, mode: ContractMode) =>
  note(draft, { entity: "columnWidened", column, to, mode, records: 1 });

/** Where values of another type go, so that the column keeps its own. */
function variantColumn(draft: Draft, name: string, type: ColumnType): string {
  const variant = `${name}__${type}`;
  if (!draft.columns.has(variant)) {
    draft.columns.set(variant, { name: variant, type, seen: 0, of: 0 });
  }
  return variant;
}

/** A key that no record of the page has is a change of the stream, not a fault of records. */
function checkKeys({ schema, contract, records }: PageInput, draft: Draft): void {
  const isLost = ({ columns }: PageRecord) => keyOf(named(draft, columns), schema.key) === null;
  if (records.length === 0 || !records.every(isLost)) return;
  note(draft, {
    entity: "keyLost",
    column: schema.key.join(", "),
    mode: contract.keyLost,
    records: records.length,
  });
}

function nextSchema(
  schema: StreamSchema,
  draft: Draft,
  observed: ReadonlyMap<string, ObservedColumn>,
  count: number,
): StreamSchema {
  const namesOf = (column: string) => [
    column,
    ...Object.keys(draft.aliases).filter((name) => draft.aliases[name] === column),
  ];
  const columns = [...draft.columns.values()].map((column): Column => {
    const times = namesOf(column.name).map((name) => observed.get(name)?.present ?? 0);
    const present = Math.min(count, Math.max(...times));
    const { isAbsent, ...rest } = column;
    const counted = { ...rest, seen: column.seen + present, of: column.of + count };
    return isAbsent && present === 0 ? { ...counted, isAbsent } : counted;
  });
  const next = { ...schema, columns, aliases: draft.aliases };
  const isSame = schema.version > 0 && shapeOf(next) === shapeOf(schema);
  return { ...next, version: count === 0 || isSame ? schema.version : schema.version + 1 };
}
