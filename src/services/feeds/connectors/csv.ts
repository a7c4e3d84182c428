import { textTypes } from "../rules/schema.ts";
import type { Connector } from "./types.ts";

export interface CsvConfig {
  /** Absent where the file is uploaded. */
  readonly url?: string;
  /** The column, or columns, that tell records apart; `id` by default. */
  readonly key?: readonly string[];
}

/** A file of records with their names in its first line. It is resumed at its row. */
export const csv: Connector<CsvConfig> = {
  kind: "csv",
  stream: "rows",
  format: "csv",
  types: textTypes,
  quote: null,
  budget: { requestsPerMinute: 6 },
  key: ({ key = ["id"] }) => key,
  first: () => ({ row: 0 }),
  request: ({ url = "" }, _position, secret) => ({
    url,
    headers: { accept: "text/csv", ...(secret !== null && { authorization: secret }) },
  }),
  next: (_config, position, { count }) => ({ row: Number(position.row ?? 0) + count }),
};
