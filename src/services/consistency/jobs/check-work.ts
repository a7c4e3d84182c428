import type { FormatName } from "../formats/types.ts";
import type { LevelName, ModelName } from "../rules/history.ts";
import type { ShownReport, ShownVerdict } from "../schemas/checks.ts";

/** How a history is to be checked. */
export interface CheckOptions {
  readonly level?: LevelName | null;
  readonly format?: FormatName | null;
  readonly model?: ModelName | null;
}

/** A history that waits for its check. */
export interface CheckWork {
  readonly name: string;
  readonly options: CheckOptions;
  /** Our own lines, or what somebody has uploaded. */
  readonly source:
    | { readonly kind: "recorded"; readonly lines: readonly string[] }
    | { readonly kind: "uploaded"; readonly chunks: readonly Buffer[] };
}

/** What came of it: `error` where the history can't be read or checked. */
export type CheckResult =
  | { readonly error: string }
  | {
      readonly status: ShownVerdict["status"];
      readonly report: ShownReport;
      /** Compressed with gzip; null where it would be too large. */
      readonly page: Uint8Array | null;
    };
