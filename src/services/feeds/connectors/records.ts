import type { DeadLetterCode } from "../rules/contract.ts";
import { canonicalJson, flatten, isRecord } from "../rules/records.ts";
import { hashOfText } from "./hash.ts";

/** A record that can be worked on. `json` is its canonical text, which is stored. */
export interface FetchedRecord {
  readonly index: number;
  readonly json: string;
  readonly hash: string;
  readonly columns: ReadonlyMap<string, unknown>;
}

/** What a page has that is no such record; it becomes a dead letter of the whole record. */
export interface RejectedRecord {
  readonly index: number;
  readonly code: Extract<DeadLetterCode, "not_a_record" | "too_large" | "too_deep">;
  readonly message: string;
  /** The beginning of what came. */
  readonly raw: string;
}

const rawCharsKept = 2_000;

/** Sorts a page's items into records and what can't be one; each item is in one of the two. */
export function sortItems(
  items: readonly unknown[],
  recordBytesMax: number,
): { records: FetchedRecord[]; rejected: RejectedRecord[] } {
  const records: FetchedRecord[] = [];
  const rejected: RejectedRecord[] = [];
  items.forEach((item, index) => {
    const reject = (code: RejectedRecord["code"], message: string, raw: string) =>
      rejected.push({ index, code, message, raw: raw.slice(0, rawCharsKept) });
    if (!isRecord(item)) {
      const raw = JSON.stringify(item) ?? "";
      reject("not_a_record", "It is not an object with members.", raw);
      return;
    }
    let json = "";
    try {
      json = canonicalJson(item);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      reject("too_deep", `It is ${error.message}.`, Object.keys(item).join(", "));
      return;
    }
    const bytes = Buffer.byteLength(json);
    if (bytes > recordBytesMax) {
      reject("too_large", `It has ${bytes} bytes; a record has ${recordBytesMax} at most.`, json);
      return;
    }
    records.push({ index, json, hash: hashOfText(json), columns: flatten(item) });
  });
  return { records, rejected };
}
