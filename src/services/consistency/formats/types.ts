import type { Given } from "../rules/members.ts";

/** How a history may be written down. */
export const formatNames = ["ndjson", "json", "edn", "jepsen-log", "porcupine"] as const;
export type FormatName = (typeof formatNames)[number];

/** Takes the text of a history piece by piece. Both throw HistoryError with the line. */
export interface HistoryParser {
  push(text: string): void;
  end(): void;
}

/** Takes each operation that a parser finds, with the line where it is. */
export type AddOperation = (given: Given, line: number) => void;
