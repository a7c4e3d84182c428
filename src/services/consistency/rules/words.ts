import { type History, op, outcome } from "./history.ts";

const valueCharsAtMost = 40;

/** A value as JSON, shortened; "nothing" for null. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > valueCharsAtMost ? `${text.slice(0, valueCharsAtMost)}…` : text;
}

/** The value with a number in a history's list of values. */
export const valueOf = ({ values }: History, number: number): string => valueText(values[number]);

/** A length of time in at most three figures: "0.4 ms", "420 ms", "3.2 s". */
export function durationText(ms: number): string {
  if (ms >= 60_000) return `${trim(ms / 60_000)} min`;
  if (ms >= 1_000) return `${trim(ms / 1_000)} s`;
  if (ms >= 0.001) return `${trim(ms)} ms`;
  return `${trim(ms * 1_000)} µs`;
}

const trim = (amount: number): string => String(Number(amount.toPrecision(3)));

/** " 420 ms", or nothing where times have no length. */
export function lengthText({ meta }: History, ms: number): string {
  return meta.clock === "ms" && ms > 0 ? ` ${durationText(ms)}` : "";
}

/** What an operation did, without its name: `write of 4`, `read of 3`, `cas from 3 to 4`. */
export function deedText(history: History, at: number): string {
  const value = valueOf(history, history.value[at]!);
  switch (history.op[at]) {
    case op.read:
      return `read of ${value}`;
    case op.write:
      return `write of ${value}`;
    case op.append:
      return `append of ${value}`;
    case op.delete:
      return "delete";
    default: {
      const from = valueOf(history, history.expected[at]!);
      const refused = history.isMismatch[at] ? ", which found another value" : "";
      return `cas from ${from} to ${value}${refused}`;
    }
  }
}

/** `w8 (write of 4)`; what was never answered says so. */
export function operationText(history: History, at: number): string {
  const open = history.outcome[at] === outcome.info ? ", outcome unknown" : "";
  return `${history.ids[at]} (${deedText(history, at)}${open})`;
}

/** Several operations by their calls: "a, b and c". */
export function operationsText(history: History, at: readonly number[]): string {
  const texts = [...at]
    .sort((a, b) => history.call[a]! - history.call[b]!)
    .map((one) => operationText(history, one));
  return listText(texts);
}

/** "a, b and c". */
export function listText(texts: readonly string[]): string {
  if (texts.length < 2) return texts.join("");
  return `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;
}

/** ` of key "x"`, or nothing in a history of one key. */
export function keyText({ keys, key }: History, at: number): string {
  return keys.length === 1 ? "" : ` of key ${JSON.stringify(keys[key[at]!])}`;
}
