import { type Static, Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

/** How an import is meant. */
export const ImportQuery = strict({
  dryRun: Type.Boolean({
    default: false,
    description: "Answers what the import would answer, and changes nothing.",
    examples: [true],
  }),
  partial: Type.Boolean({
    default: false,
    description: "Imports the good rows although others are bad. Else it is all of them or none.",
    examples: [true],
  }),
});
export type ImportQuery = Static<typeof ImportQuery>;

const count = (description: string, example: number) =>
  Type.Integer({ minimum: 0, description, examples: [example] });

/** One thing that is wrong with a row. */
export const ImportError = strict({
  line: Type.Integer({
    minimum: 1,
    description: "Of the file, on which the row begins.",
    examples: [12],
  }),
  column: Type.Union([Type.String(), Type.Null()], {
    description: "Null where it is the row as a whole.",
    examples: ["priceMinor"],
  }),
  value: Type.Union([Type.String(), Type.Null()], {
    description: "The cell, cut to 100 characters.",
    examples: ["4.75"],
  }),
  code: Type.String({ examples: ["ERR_REQUEST_INVALID"] }),
  message: Type.String({
    examples: ["must be a whole number in the currency's smallest unit: 475 for 4.75"],
  }),
});
export type ImportError = Static<typeof ImportError>;

/** What came of a file. */
export const ImportReport = strict(
  {
    rows: count("Rows of the file, without its header and empty lines.", 120),
    created: count("Products that are new.", 100),
    updated: count("Products that were changed.", 15),
    unchanged: count("Products that were as the file has them.", 4),
    failed: count("Rows that were left out; none unless `partial`.", 1),
    dryRun: Type.Boolean({ examples: [false] }),
    errors: Type.Array(ImportError, { description: "The first 1,000." }),
    errorsOmitted: count("How many more there are.", 0),
  },
  { title: "ImportReport" },
);
export type ImportReport = Static<typeof ImportReport>;
