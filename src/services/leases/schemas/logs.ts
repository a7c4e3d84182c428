import { type Static, Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

export const tailLinesUsual = 1_000;

const At = Type.String({
  pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$",
  maxLength: 30,
  description: "The `at` of a line: only what came after it.",
  examples: ["2026-11-20T12:00:00.123456789Z"],
});

export const LogQuery = strict({
  follow: Type.Boolean({
    default: false,
    description: "Stays and sends what is written, until the container ends.",
    examples: [false],
  }),
  since: Type.Optional(At),
  tail: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 10_000,
      description:
        `The last so many lines at first; ${tailLinesUsual} without it, or all of them after ` +
        "`since`.",
      examples: [100],
    }),
  ),
  timestamps: Type.Boolean({
    default: false,
    description: "Of plain text: each line begins with its moment and a blank.",
    examples: [false],
  }),
});
export type LogQuery = Static<typeof LogQuery>;

export const LogHeaders = Type.Object({
  "last-event-id": Type.Optional(
    Type.String({
      ...At,
      description: "The last `id` that was received, as browsers send it; stands for `since`.",
    }),
  ),
});

/** The data of an event of the stream. */
export interface ShownLine {
  readonly at: string;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

/** Why a stream of lines is over; a reader who gets none of these may go on from where it was. */
export type LogEnd =
  | { readonly reason: "exited"; readonly exitCode: number | null; readonly outOfMemory: boolean }
  | { readonly reason: "removed" }
  | { readonly reason: "caught_up" };
