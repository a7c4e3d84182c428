import { Type } from "typebox";
import { RowFormat } from "#kernel/http/download.ts";
import { HistoryEntry } from "#kernel/http/history.ts";
import { exampleId, ListQuery, pageOf, strict } from "#kernel/http/schemas.ts";

const Text = (description: string, example: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 200, description, examples: [example] }));
const Moment = (description: string, example: string) =>
  Type.Optional(Type.String({ format: "date-time", description, examples: [example] }));

const filter = {
  actor: Text(
    "An actor's id or e-mail address, or those of the user behind an API key.",
    "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a",
  ),
  action: Text('An action, or all of a kind: "shop.*".', "shop.update"),
  resource: Text('A kind of resource, or one: "shop/<id>".', "shop"),
  from: Moment("Not before.", "2026-11-20T00:00:00Z"),
  to: Moment("Before.", "2026-11-21T00:00:00Z"),
};

export const AuditQuery = strict({ ...ListQuery.properties, ...filter });

export const AuditExportQuery = strict({
  ...filter,
  format: RowFormat,
});

const exampleHash = "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730";

export const AuditRecord = strict(
  {
    ...HistoryEntry.properties,
    chain: Type.Integer({
      minimum: 0,
      description: "Which of the tenant's hash chains it belongs to.",
      examples: [0],
    }),
    seq: Type.Integer({ minimum: 1, description: "Its place in the chain.", examples: [12] }),
    resource: strict({
      type: Type.String({ examples: ["shop"] }),
      id: Type.String({ examples: [exampleId] }),
    }),
    hash: Type.String({
      description: "SHA-256 over the hash before and this record, in hex.",
      examples: [exampleHash],
    }),
  },
  { title: "AuditRecord" },
);

export const AuditPage = pageOf(AuditRecord, { title: "AuditPage" });

export const AuditVerdict = strict(
  {
    ok: Type.Boolean({ examples: [true] }),
    records: Type.Integer({ minimum: 0, description: "How many were checked.", examples: [1204] }),
    headHash: Type.String({
      description:
        "Of the last records, in hex. Note it elsewhere: a log rewritten from end to end " +
        "shows only against it.",
    }),
    firstBad: Type.Optional(
      strict({
        chain: Type.Integer({ minimum: 0 }),
        seq: Type.Integer({ minimum: 0 }),
        id: Type.Union([Type.String(), Type.Null()]),
        reason: Type.Enum(["altered", "missing", "truncated"]),
      }),
    ),
  },
  {
    title: "AuditVerdict",
    examples: [{ ok: true, records: 1204, headHash: exampleHash }],
  },
);
