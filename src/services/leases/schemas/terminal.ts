import { type Static, Type } from "typebox";
import { strict, Timestamp } from "#kernel/http/schemas.ts";
import { columnsMost, rowsMost } from "../rules/terminal.ts";

const Word = Type.String({ maxLength: 4_096 });

export const TerminalQuery = strict({
  columns: Type.Integer({ minimum: 1, maximum: columnsMost, default: 80, examples: [120] }),
  rows: Type.Integer({ minimum: 1, maximum: rowsMost, default: 24, examples: [40] }),
  command: Type.Optional(
    Type.Union([Type.Array(Word, { minItems: 1, maxItems: 64 }), Word], {
      description: "Program and arguments, each a `command` of its own; a shell without it.",
      examples: [["bash", "-l"]],
    }),
  ),
  terminal: Type.Optional(
    Type.String({
      pattern: "^[0-9a-f]{8}-[0-9a-f]{24}$",
      description: "The one to go on with, as its `ready` named it; `command` is passed over.",
      examples: ["5f0c2a9b-0b1d7c3e9f2a4b6c8d0e1f23"],
    }),
  ),
  position: Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    default: 0,
    description: "With `terminal`: how many of its bytes have come already.",
    examples: [4_096],
  }),
});
export type TerminalQuery = Static<typeof TerminalQuery>;

export const TerminalTicket = strict(
  {
    ticket: Type.String({
      description: "Good once; sent as the subprotocol `ticket.<ticket>`.",
      examples: ["AaGxw3TyWVb0mKxJ1Zc9Qm4tq2V8s7eR5uYpNdLhFkU"],
    }),
    expiresAt: Timestamp,
  },
  { title: "LeaseTerminalTicket" },
);
