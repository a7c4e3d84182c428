import { type Static, Type } from "typebox";
import { Id, ListQuery, pageOf, strict, Timestamp } from "#kernel/http/schemas.ts";
import { formatNames } from "../formats/types.ts";
import { levelNames, modelNames } from "../rules/history.ts";
import { amount, orNull, VerdictStatus } from "./common.ts";

const words = (description: string, example: string) =>
  Type.String({ description, examples: [example] });

const ShownVerdict = strict(
  {
    name: words("What it was held to.", "strong"),
    status: VerdictStatus,
    checked: amount("How many operations were held to it.", 120),
    words: words("The counterexample, or why nobody knows.", "Kept by 120 operations."),
    operations: Type.Array(Type.String({ examples: ["w1"] }), {
      description: "Ids of the counterexample's, by their call; fifty at most.",
      examples: [["w1", "r2"]],
    }),
    key: orNull(Type.String({ examples: ["cart-7"] })),
  },
  { title: "ShownVerdict" },
);
export type ShownVerdict = Static<typeof ShownVerdict>;

export const ShownReport = strict(
  {
    operations: amount("", 120),
    keys: amount("", 4),
    sessions: amount("", 3),
    strongest: strict({
      level: orNull(Type.Enum([...levelNames], { examples: ["strong"] })),
      words: words("", "The strongest level of the whole history is strong."),
    }),
    claims: Type.Array(ShownVerdict, {
      description: "Each operation held to the level that it asked for.",
    }),
    checks: Type.Array(ShownVerdict, { description: "All operations held to everything." }),
    staleReads: amount("Reads that missed an acknowledged write.", 0),
    mostVersionsStale: amount("", 0),
    mostMsStale: orNull(amount("", 0)),
    lostWrites: amount("Acknowledged writes that are gone.", 0),
  },
  { title: "ShownReport" },
);
export type ShownReport = Static<typeof ShownReport>;

const members = {
  id: Id,
  storeId: Type.Union([Id, Type.Null()], { description: "Null for an uploaded history." }),
  name: words("", "Cart"),
  state: Type.Enum(["running", "done", "failed"], { examples: ["done"] }),
  status: orNull(VerdictStatus),
  message: orNull(words("Why it failed, or what was not looked at.", "line 3: it is no JSON")),
  createdAt: Timestamp,
  finishedAt: Type.Union([Timestamp, Type.Null()]),
};

export const CheckSummary = strict(members, { title: "CheckSummary" });
export type CheckSummary = Static<typeof CheckSummary>;

export const Check = strict(
  { ...members, report: Type.Union([ShownReport, Type.Null()]) },
  { title: "Check" },
);
export type Check = Static<typeof Check>;

export const CheckPage = pageOf(CheckSummary, { title: "CheckPage" });

export const CheckFilter = strict({
  ...ListQuery.properties,
  storeId: Type.Optional({ ...Id, description: "Only those of this store." }),
});
export type CheckFilter = Static<typeof CheckFilter>;

const level = Type.Optional(
  Type.Enum([...levelNames], {
    description: "Holds all operations to it, whatever they asked for.",
    examples: ["strong"],
  }),
);

export const NewStoreCheck = strict(
  {
    level,
    finalReads: Type.Optional(
      Type.Boolean({
        description:
          "Reads every key of every replica in the end, once they agree or 2 s have passed; true " +
          "unless given or while faults last.",
        examples: [true],
      }),
    ),
  },
  { title: "NewStoreCheck", examples: [{ finalReads: true }] },
);
export type NewStoreCheck = Static<typeof NewStoreCheck>;

export const UploadQuery = strict({
  name: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: "Of the check.",
      examples: ["Run 7"],
    }),
  ),
  format: Type.Optional(
    Type.Enum([...formatNames], { description: "Else as it begins.", examples: ["ndjson"] }),
  ),
  model: Type.Optional(Type.Enum([...modelNames], { examples: ["register"] })),
  level,
});
export type UploadQuery = Static<typeof UploadQuery>;
