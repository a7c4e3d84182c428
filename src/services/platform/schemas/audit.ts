import { Type } from "typebox";
import { HistoryEntry } from "#kernel/http/history.ts";
import { ListQuery, pageOf, strict } from "#kernel/http/schemas.ts";

const Text = (description: string, example: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 200, description, examples: [example] }));
const Moment = (description: string) =>
  Type.Optional(
    Type.String({ format: "date-time", description, examples: ["2026-11-20T12:00:00Z"] }),
  );

const filter = {
  actor: Text(
    "An actor's id, or the user's behind an API key.",
    "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a",
  ),
  action: Text('An action, or all of a kind: "shop.*".', "shop.update"),
  resource: Text('A kind of resource, or one: "shop/<id>".', "shop"),
  from: Moment("Not before."),
  to: Moment("Before."),
};

export const AuditQuery = strict({ ...ListQuery.properties, ...filter });

export const AuditExportQuery = strict({
  ...filter,
  format: Type.Enum(["csv", "ndjson"], { default: "csv", examples: ["csv"] }),
});

export const AuditRecord = strict(
  {
    ...HistoryEntry.properties,
    resource: strict({
      type: Type.String({ examples: ["shop"] }),
      id: Type.String(),
    }),
    hash: Type.String({ description: "SHA-256 over the hash before and this record, in hex." }),
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
        "Of the last record, in hex. Note it elsewhere: a log that was rewritten from end to end " +
        "shows only against it.",
    }),
    firstBad: Type.Optional(
      strict({
        seq: Type.Integer({ minimum: 0 }),
        id: Type.Union([Type.String(), Type.Null()]),
        reason: Type.Enum(["altered", "missing", "truncated"]),
      }),
    ),
  },
  { title: "AuditVerdict" },
);
