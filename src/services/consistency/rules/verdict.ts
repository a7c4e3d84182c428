import type { History } from "./history.ts";

/** The smallest counterexample that was found. */
export interface Witness {
  /** One plain sentence. */
  readonly sentence: string;
  /** Ids of the operations that it takes, by their call. */
  readonly operations: readonly string[];
  /** The same as positions in the history. */
  readonly at: readonly number[];
  /** Null when it is about more than one key. */
  readonly key: string | null;
}

/** It holds for all operations that were held to it. */
export interface Held {
  readonly status: "ok";
  /** How many operations were held to it; of none it is said of that nothing was checked. */
  readonly checked: number;
  readonly note?: string;
}

export interface Violated {
  readonly status: "violation";
  readonly checked: number;
  readonly witness: Witness;
  /** How many counterexamples were seen, where they were counted. */
  readonly found: number;
  readonly note?: string;
}

/** It may or may not hold; never to be shown as good. */
export interface Undecided {
  readonly status: "unknown";
  readonly checked: number;
  readonly reason: string;
}

export type Verdict = Held | Violated | Undecided;

/** It holds. */
export const held = (checked: number, note?: string): Held => ({
  status: "ok",
  checked,
  ...(note && { note }),
});

/** It is not known. */
export const undecided = (checked: number, reason: string): Undecided => ({
  status: "unknown",
  checked,
  reason,
});

/** It does not hold. */
export const violated = (
  checked: number,
  witness: Witness,
  found = 1,
  note?: string,
): Violated => ({
  status: "violation",
  checked,
  witness,
  found,
  ...(note && { note }),
});

/** A witness of these operations; they come sorted by their call, each once. */
export function witnessOf(history: History, at: Iterable<number>, sentence: string): Witness {
  const sorted = [...new Set(at)].sort((a, b) => history.call[a]! - history.call[b]! || a - b);
  const keys = new Set(sorted.map((one) => history.key[one]!));
  const [only] = keys.size === 1 ? [...keys] : [];
  return {
    sentence,
    operations: sorted.map((one) => history.ids[one]!),
    at: sorted,
    key: only === undefined ? null : history.keys[only]!,
  };
}

/** The worst of several: a violation, else an unknown, else ok of all that were checked. */
export function worstOf(verdicts: readonly Verdict[]): Verdict {
  const broken = verdicts.filter((one) => one.status === "violation");
  const smallest = broken.sort((a, b) => a.witness.at.length - b.witness.at.length)[0];
  if (smallest) return smallest;
  const unknown = verdicts.find((one) => one.status === "unknown");
  return unknown ?? held(Math.max(0, ...verdicts.map(({ checked }) => checked)));
}
