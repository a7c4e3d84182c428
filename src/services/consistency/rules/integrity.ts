import type { History } from "./history.ts";
import { isAnsweredRead, type Prepared, source } from "./prepared.ts";
import { held, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { keyText, operationText, valueOf } from "./words.ts";

/** Why a read is impossible at every level, or null. */
export function impossibleRead(prepared: Prepared, at: number): Witness | null {
  const { history, failedWriter } = prepared;
  const from = prepared.source[at]!;
  const read = operationText(history, at);
  const where = keyText(history, at);
  if (from === source.phantom) {
    const sentence = `${read}${where} returned what nobody had written.`;
    return witnessOf(history, [at], sentence);
  }
  if (from === source.failed) {
    const write = failedWriter.get(history.key[at]!, history.value[at]!);
    const sentence =
      `${read}${where} returned ${valueOf(history, history.value[at]!)}, ` +
      `whose write ${history.ids[write]} had failed.`;
    return witnessOf(history, [at, write], sentence);
  }
  if (from >= 0 && history.end[at]! < history.call[from]!) {
    const sentence = `${read}${where} returned before its write ${history.ids[from]} was called.`;
    return witnessOf(history, [at, from], sentence);
  }
  return null;
}

/** Whether a read is impossible, without saying why. */
export function isImpossibleRead({ call, end }: History, from: number, at: number): boolean {
  if (from >= 0) return end[at]! < call[from]!;
  return from === source.phantom || from === source.failed;
}

/**
 * What must hold at every level: no read of a value that nobody wrote, that a failed write wrote,
 * or that was written only later. O(n).
 */
export function checkIntegrity(prepared: Prepared): Verdict {
  const { history } = prepared;
  let [checked, found, first] = [0, 0, -1];
  for (const at of prepared.byCall) {
    if (!isAnsweredRead(history, at)) continue;
    checked += 1;
    if (!isImpossibleRead(history, prepared.source[at]!, at)) continue;
    found += 1;
    if (first < 0) first = at;
  }
  const witness = first < 0 ? null : impossibleRead(prepared, first);
  return witness ? violated(checked, witness, found) : held(checked);
}
