import { type History, levelNames, opNames, outcomeNames } from "../rules/history.ts";
import { orderOf } from "../rules/sorting.ts";
import { valueText } from "../rules/words.ts";

/** The most operations that one page draws; beyond, those nearest to the counterexamples. */
export const drawnAtMost = 300_000;

/** A counterexample as the page shows it; `operations` are positions among those drawn. */
export interface DrawnWitness {
  readonly name: string;
  readonly sentence: string;
  readonly operations: readonly number[];
}

/** What the page's script draws: columns as base64 of little-endian numbers. */
export interface TimelineData {
  readonly clock: "ms" | "order";
  readonly count: number;
  readonly total: number;
  /** Doubles; an end of NaN means that no answer came. */
  readonly call: string;
  readonly end: string;
  /**
   * Bytes: the operation, the outcome × 8 (3: it found another value), the level × 32 (7: none).
   */
  readonly kind: string;
  /** 32-bit whole numbers. */
  readonly lane: string;
  readonly key: string;
  readonly value: string;
  readonly expected: string;
  readonly replica: string;
  /** Doubles: term and seq in turns; null where the history has no versions. */
  readonly version: string | null;
  readonly ids: readonly string[];
  readonly keys: readonly string[];
  readonly replicas: readonly string[];
  readonly values: readonly string[];
  readonly lanes: readonly { readonly name: string; readonly session: string }[];
  readonly names: { readonly op: readonly string[]; readonly outcome: readonly string[] };
  readonly levels: readonly string[];
  readonly faults: readonly { name: string; from: number; to: number | null }[];
  readonly witnesses: readonly DrawnWitness[];
}

const base64 = (numbers: Float64Array | Int32Array | Uint8Array): string =>
  Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString("base64");

/** Picks and packs what is drawn. `witnesses` name operations by their positions in the history. */
export function timelineData(
  history: History,
  witnesses: readonly DrawnWitness[],
  atMost = drawnAtMost,
): TimelineData {
  const drawn = chooseDrawn(history, witnesses, atMost);
  const positionOf = new Map<number, number>();
  drawn.forEach((at, position) => positionOf.set(at, position));
  const lanes = assignLanes(history, drawn);
  const doubles = (of: (at: number) => number) => base64(Float64Array.from(drawn, of));
  const ints = (of: (at: number) => number) => base64(Int32Array.from(drawn, of));
  const used = packValues(history, drawn);
  const hasVersions = drawn.some((at) => history.term[at]! >= 0);
  const versions = new Float64Array(drawn.length * 2);
  drawn.forEach((at, position) => {
    versions[position * 2] = history.term[at]!;
    versions[position * 2 + 1] = history.seq[at]!;
  });
  return {
    clock: history.meta.clock,
    count: drawn.length,
    total: history.count,
    call: doubles((at) => history.call[at]!),
    end: doubles((at) => history.answered[at]!),
    kind: base64(Uint8Array.from(drawn, (at) => kindOf(history, at))),
    lane: base64(lanes.laneOf),
    key: ints((at) => history.key[at]!),
    value: ints((at) => used.numberOf(history.value[at]!)),
    expected: ints((at) => used.numberOf(history.expected[at]!)),
    replica: ints((at) => history.replica[at]!),
    version: hasVersions ? base64(versions) : null,
    ids: Array.from(drawn, (at) => history.ids[at]!),
    keys: history.keys,
    replicas: history.replicas,
    values: used.texts,
    lanes: lanes.list,
    names: { op: opNames, outcome: [...outcomeNames, "found another value"] },
    levels: levelNames,
    faults: history.faults.map((one) => ({ name: one.fault, from: one.call, to: one.return })),
    witnesses: witnesses.map((one) => ({
      ...one,
      operations: one.operations.map((at) => positionOf.get(at)!).filter((at) => at >= 0),
    })),
  };
}

const noLevelBits = 7;
const mismatchBits = 3;

function kindOf({ op: kind, outcome, level, isMismatch }: History, at: number): number {
  const ended = isMismatch[at] ? mismatchBits : outcome[at]!;
  return kind[at]! | (ended << 3) | (Math.min(level[at]!, noLevelBits) << 5);
}

/** All by their calls, or as many as may be drawn around the counterexamples. */
function chooseDrawn(
  history: History,
  witnesses: readonly DrawnWitness[],
  atMost: number,
): Int32Array {
  const byCall = orderOf(history.call, history.count);
  if (history.count <= atMost) return byCall;
  const wanted = new Set(witnesses.flatMap(({ operations }) => operations));
  const first = byCall.findIndex((at) => wanted.has(at));
  const from = Math.max(0, Math.min(first - (atMost >> 1), history.count - atMost));
  const near = byCall.subarray(from, from + atMost);
  const missing = [...wanted].filter((at) => !near.includes(at));
  return Int32Array.from([...near, ...missing]).sort((a, b) => history.call[a]! - history.call[b]!);
}

/** The texts of the values that are drawn, and the number of each; -1 for none. */
function packValues({ values, value, expected }: History, drawn: Int32Array) {
  const texts: string[] = [];
  const numbers = new Int32Array(values.length).fill(-1);
  for (const at of drawn) {
    for (const number of [value[at]!, expected[at]!]) {
      if (number >= 0 && numbers[number] === -1) {
        numbers[number] = texts.push(valueText(values[number])) - 1;
      }
    }
  }
  return { texts, numberOf: (number: number) => (number < 0 ? -1 : numbers[number]!) };
}

/** A lane per client; one that did several things at once gets several. */
function assignLanes(history: History, drawn: Int32Array) {
  const { call, answered, process, session } = history;
  const list: { name: string; session: string }[] = [];
  const ends: number[] = [];
  const lanesOf = new Map<number, number[]>();
  const laneOf = new Int32Array(drawn.length);
  drawn.forEach((at, position) => {
    const own = lanesOf.get(process[at]!) ?? [];
    lanesOf.set(process[at]!, own);
    let lane = own.find((one) => ends[one]! <= call[at]!);
    if (lane === undefined) {
      lane = list.length;
      const name = history.processes[process[at]!]!;
      list.push({
        name: own.length === 0 ? name : `${name} (${own.length + 1})`,
        session: history.sessions[session[at]!]!,
      });
      own.push(lane);
    }
    // Who goes on without an answer has given up: that takes no lane of its own.
    ends[lane] = Number.isNaN(answered[at]) ? call[at]! : answered[at]!;
    laneOf[position] = lane;
  });
  return sortLanes(list, laneOf);
}

const byName = new Intl.Collator("en", { numeric: true });

function sortLanes(list: { name: string; session: string }[], laneOf: Int32Array) {
  const order = list.map((_, lane) => lane);
  order.sort((a, b) => byName.compare(list[a]!.name, list[b]!.name));
  const rankOf = new Int32Array(list.length);
  order.forEach((lane, rank) => {
    rankOf[lane] = rank;
  });
  return {
    list: order.map((lane) => list[lane]!),
    laneOf: laneOf.map((lane) => rankOf[lane]!),
  };
}
