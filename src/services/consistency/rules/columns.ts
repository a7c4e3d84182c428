import { noLevel } from "./history.ts";

/** The numbers of one operation, as a row of the columns. */
export interface Row {
  call: number;
  end: number;
  answered: number;
  op: number;
  outcome: number;
  level: number;
  isFinal: number;
  isMismatch: number;
  key: number;
  session: number;
  process: number;
  replica: number;
  value: number;
  expected: number;
  snapshot: number;
  term: number;
  seq: number;
  tokenTerm: number;
  tokenSeq: number;
}

const floats = ["call", "end", "answered", "term", "seq", "tokenTerm", "tokenSeq"] as const;
const ints = ["key", "session", "process", "replica", "value", "expected", "snapshot"] as const;
const bytes = ["op", "outcome", "level", "isFinal", "isMismatch"] as const;

/** The numeric columns of a history. */
export type Columns = Record<(typeof floats)[number], Float64Array> &
  Record<(typeof ints)[number], Int32Array> &
  Record<(typeof bytes)[number], Uint8Array>;

const firstCapacity = 256;

function allocate(capacity: number): Columns {
  const columns = {} as Columns;
  for (const name of floats) columns[name] = new Float64Array(capacity);
  for (const name of ints) columns[name] = new Int32Array(capacity);
  for (const name of bytes) columns[name] = new Uint8Array(capacity);
  return columns;
}

const everyName = [...floats, ...ints, ...bytes];

/** A row with nothing in it; one row serves for all of a history. */
export const emptyRow = (): Row => ({
  call: 0,
  end: 0,
  answered: 0,
  op: 0,
  outcome: 0,
  level: noLevel,
  isFinal: 0,
  isMismatch: 0,
  key: 0,
  session: 0,
  process: 0,
  replica: -1,
  value: 0,
  expected: -1,
  snapshot: -1,
  term: -1,
  seq: -1,
  tokenTerm: -1,
  tokenSeq: -1,
});

/** Columns that grow by doubling. */
export function createColumns() {
  let capacity = firstCapacity;
  let columns = allocate(capacity);
  let count = 0;

  function grow(): void {
    const wider = allocate(capacity * 2);
    for (const name of everyName) wider[name].set(columns[name]);
    capacity *= 2;
    columns = wider;
  }

  return {
    /** Keeps a copy of the row. */
    add(row: Row): void {
      if (count === capacity) grow();
      const at = count;
      const to = columns;
      to.call[at] = row.call;
      to.end[at] = row.end;
      to.answered[at] = row.answered;
      to.op[at] = row.op;
      to.outcome[at] = row.outcome;
      to.level[at] = row.level;
      to.isFinal[at] = row.isFinal;
      to.isMismatch[at] = row.isMismatch;
      to.key[at] = row.key;
      to.session[at] = row.session;
      to.process[at] = row.process;
      to.replica[at] = row.replica;
      to.value[at] = row.value;
      to.expected[at] = row.expected;
      to.snapshot[at] = row.snapshot;
      to.term[at] = row.term;
      to.seq[at] = row.seq;
      to.tokenTerm[at] = row.tokenTerm;
      to.tokenSeq[at] = row.tokenSeq;
      count += 1;
    },
    /** The columns, cut to the rows that there are. */
    finish(): Columns {
      const cut = {} as Columns;
      for (const name of everyName) cut[name] = columns[name].slice(0, count) as never;
      return cut;
    },
  };
}
