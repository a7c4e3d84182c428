import { createColumns, emptyRow, type Row } from "./columns.ts";
import {
  type BreakerEvent,
  type Fault,
  type History,
  HistoryError,
  type HistoryMeta,
  levelNames,
  type ModelName,
  modelOps,
  noLevel,
  op,
  opNames,
  type Operation,
  outcome,
  outcomeNames,
} from "./history.ts";
import { createNames, createTexts, createValues, type Names } from "./intern.ts";
import { type Given, nameIn, numberIn, refuse, usualMeta, versionIn, wordIn } from "./members.ts";

/** The most operations that a history may have: some 700 MiB of memory while it is checked. */
export const operationsAtMost = 5_000_000;

export interface BuilderOptions {
  /** Refuses operations that the model doesn't have; without it all are taken. */
  model?: ModelName | null;
  operationsAtMost?: number;
}

export interface HistoryBuilder {
  /** Takes one operation as it came; throws HistoryError with the line and what is wrong. */
  add(given: Given, line: number): void;
  /** Replaces what is known of the history as a whole. */
  describe(meta: Partial<HistoryMeta>): void;
  addFault(fault: Fault): void;
  addBreakerEvent(event: BreakerEvent): void;
  readonly count: number;
  finish(): History;
}

/** Builds a history of operations that come one after the other, in any order of time. */
export function createHistoryBuilder(options: BuilderOptions = {}): HistoryBuilder {
  const atMost = options.operationsAtMost ?? operationsAtMost;
  const columns = createColumns();
  const row = emptyRow();
  const names = createEveryNames();
  const values = createValues();
  const ids = createTexts();
  const faults: Fault[] = [];
  const breakers: BreakerEvent[] = [];
  let meta = usualMeta;

  function add(given: Given, line: number): void {
    const { length } = ids.list;
    if (length >= atMost) {
      throw new HistoryError(line, `there are more than ${atMost} operations; check a part of it`);
    }
    row.op = wordIn(given, "op", opNames, line);
    if (options.model) checkModel(options.model, row.op, line);
    fillTimes(row, given, line);
    fillValue(row, given, line, values.numberOf);
    fillNames(row, given, line, names);
    row.level = given.level == null ? noLevel : wordIn(given, "level", levelNames, line);
    fillVersions(row, given, line);
    row.isFinal = given.final === true ? 1 : 0;
    const id = given.id == null ? String(length) : nameIn(given.id, "id", line);
    if (ids.numberOf(id) < length) {
      throw new HistoryError(line, `"id" is ${JSON.stringify(id)}, which an earlier operation has`);
    }
    columns.add(row);
  }

  return {
    add,
    describe: (more) => {
      meta = { ...meta, ...more };
    },
    addFault: (fault) => void faults.push(fault),
    addBreakerEvent: (event) => void breakers.push(event),
    get count() {
      return ids.list.length;
    },
    finish: () => ({
      ...columns.finish(),
      ...listsOf(names),
      count: ids.list.length,
      meta,
      ids: ids.list,
      initial: values.numberOf(meta.initial),
      values: values.list,
      faults,
      breakers,
    }),
  };
}

const createEveryNames = () => ({
  keys: createNames(),
  sessions: createNames(),
  processes: createNames(),
  replicas: createNames(),
  snapshots: createNames(),
});
type EveryNames = ReturnType<typeof createEveryNames>;

const listsOf = ({ keys, sessions, processes, replicas, snapshots }: EveryNames) => ({
  keys: keys.list,
  sessions: sessions.list,
  processes: processes.list,
  replicas: replicas.list,
  snapshots: snapshots.list,
});

function fillNames(row: Row, given: Given, line: number, names: EveryNames): void {
  row.key = names.keys.numberOf(nameIn(given.key, "key", line));
  const process = nameIn(given.process ?? given.session, "process", line);
  row.process = names.processes.numberOf(process);
  const session = given.session == null ? process : nameIn(given.session, "session", line);
  row.session = names.sessions.numberOf(session);
  const optional = (name: "replica" | "snapshot", list: Names) =>
    given[name] == null ? -1 : list.numberOf(nameIn(given[name], name, line));
  row.replica = optional("replica", names.replicas);
  row.snapshot = optional("snapshot", names.snapshots);
}

function checkModel(model: ModelName, number: number, line: number): void {
  const name = opNames[number]!;
  if (modelOps[model].includes(name)) return;
  const has = modelOps[model].join(", ");
  throw new HistoryError(line, `"op" is "${name}"; the model ${model} has only ${has}`);
}

function fillTimes(row: Row, given: Given, line: number): void {
  row.outcome = wordIn(given, "outcome", outcomeNames, line);
  row.call = numberIn(given, "call", line);
  const hasReturn = given.return !== undefined && given.return !== null;
  if (!hasReturn && row.outcome === outcome.ok) {
    refuse(line, "return", given.return, "a number, since the operation was ok");
  }
  row.answered = hasReturn ? numberIn(given, "return", line) : Number.NaN;
  if (row.answered < row.call) {
    refuse(line, "return", row.answered, `at or after the call, ${row.call}`);
  }
  const isOver = hasReturn && row.outcome !== outcome.info;
  row.end = isOver ? row.answered : Number.POSITIVE_INFINITY;
}

function fillValue(row: Row, given: Given, line: number, numberOf: (value: unknown) => number) {
  const { value } = given;
  row.expected = -1;
  row.isMismatch = 0;
  if (row.op === op.cas) {
    if (!Array.isArray(value) || value.length !== 2) {
      refuse(line, "value", value, "[expected, new] of a cas");
    }
    row.expected = numberOf(value[0]);
    row.value = numberOf(value[1]);
    row.isMismatch = given.mismatch === true && row.outcome === outcome.fail ? 1 : 0;
    return;
  }
  const isOkRead = row.op === op.read && row.outcome === outcome.ok;
  if (value === undefined && (isOkRead || row.op === op.write)) {
    refuse(line, "value", value, isOkRead ? "what was read, null for nothing" : "what was written");
  }
  if (row.op === op.append && typeof value !== "string") {
    refuse(line, "value", value, "the text that was added");
  }
  row.value = row.op === op.delete ? 0 : numberOf(value ?? null);
  // To write nothing is to delete.
  if (row.op === op.write && row.value === 0) row.op = op.delete;
}

function fillVersions(row: Row, given: Given, line: number): void {
  const version = versionIn(given, "version", line);
  row.term = version?.term ?? -1;
  row.seq = version?.seq ?? -1;
  const token = versionIn(given, "token", line);
  row.tokenTerm = token?.term ?? -1;
  row.tokenSeq = token?.seq ?? -1;
}

/**
 * A history of operations in memory; throws HistoryError with the position, from 1, as its line.
 */
export function historyOf(
  operations: readonly Operation[],
  meta: Partial<HistoryMeta> = {},
  options: BuilderOptions = {},
): History {
  const builder = createHistoryBuilder(options);
  builder.describe(meta);
  operations.forEach((operation, at) => builder.add(operation as unknown as Given, at + 1));
  return builder.finish();
}
