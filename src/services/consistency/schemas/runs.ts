import { type Static, Type } from "typebox";
import { Id, ListQuery, pageOf, strict, Timestamp } from "#kernel/http/schemas.ts";
import { experimentNames } from "../rules/experiment-names.ts";
import { amount, Level, orNull, VerdictStatus, whole } from "./common.ts";
import { NewFault } from "./faults.ts";

const ScriptedFault = strict({
  atMs: whole(0, 300_000, "After the workload's begin.", 500),
  fault: Type.Optional(NewFault),
  heal: Type.Optional(
    Type.Literal(true, { description: "Ends all faults, instead.", examples: [true] }),
  ),
});

export const NewWorkload = strict(
  {
    clients: Type.Optional(whole(1, 50, "At once. 4 unless given.", 4)),
    operations: Type.Optional(whole(1, 100_000, "Of all clients; or durationSeconds.", 200)),
    durationSeconds: Type.Optional(whole(1, 300, "For so long, or 100,000 operations.", 5)),
    readRatio: Type.Optional(
      Type.Number({ minimum: 0, maximum: 1, description: "0.5 unless given.", examples: [0.5] }),
    ),
    keys: Type.Optional(whole(1, 1_000, "Of its own, 5 unless given.", 5)),
    levels: Type.Optional(
      Type.Array(Level, {
        minItems: 1,
        maxItems: 4,
        uniqueItems: true,
        description: "Each is asked for as often; the store's own unless given.",
        examples: [["strong"]],
      }),
    ),
    seed: Type.Optional(whole(0, 2 ** 32 - 1, "Who asks what. 1 unless given.", 1)),
    faults: Type.Optional(
      Type.Array(ScriptedFault, {
        maxItems: 50,
        description: "By time. All are ended before the check.",
        examples: [[{ atMs: 500, fault: { kind: "crash", replicas: ["n1"] } }]],
      }),
    ),
  },
  {
    title: "NewWorkload",
    examples: [{ clients: 2, operations: 20, readRatio: 0.5, keys: 2 }],
  },
);
export type NewWorkload = Static<typeof NewWorkload>;

export const NewExperiment = strict(
  {
    name: Type.Enum([...experimentNames], {
      description: "What is tried.",
      examples: ["partition-cp"],
    }),
    seed: Type.Optional(whole(0, 2 ** 32 - 1, "1 unless given.", 1)),
  },
  { title: "NewExperiment", examples: [{ name: "partition-cp" }] },
);
export type NewExperiment = Static<typeof NewExperiment>;

const Counts = strict({
  ok: amount("Answered.", 180),
  refused: amount("Refused; these took no effect.", 20),
  unknown: amount("Nobody knows whether they took effect.", 0),
});

export const RunSummary = strict(
  {
    ...Counts.properties,
    isolated: {
      ...Counts,
      description: "Of those, asked of a replica that could not reach a majority.",
    },
    slowestRefusalMs: orNull(amount("", 420)),
    fastestRejectionMs: orNull(amount("The quickest refusal.", 0)),
    mostStaleMs: orNull(amount("The most that an answer owned up to.", 0)),
    beyondBound: amount("Bounded answers that told more than the store's bound.", 0),
    breakerMoves: Type.Array(Type.String({ examples: ["n1 open"] }), {
      description: "The first fifty moves of breakers.",
      examples: [["n1 open", "n1 half-open", "n1 closed"]],
    }),
  },
  { title: "RunSummary" },
);
export type RunSummary = Static<typeof RunSummary>;

export const Run = strict(
  {
    id: Id,
    storeId: Id,
    kind: Type.Enum(["workload", "experiment"], { examples: ["workload"] }),
    experiment: orNull(Type.Enum([...experimentNames], { examples: ["partition-cp"] })),
    state: Type.Enum(["running", "done", "cancelled", "failed"], { examples: ["done"] }),
    progress: strict({
      done: amount("Operations that have ended.", 200),
      total: orNull(amount("Null where it goes by time.", 200)),
    }),
    summary: Type.Union([RunSummary, Type.Null()]),
    status: orNull(VerdictStatus),
    words: orNull(
      Type.String({ description: "What it has shown.", examples: ["The minority refused."] }),
    ),
    checkId: Type.Union([Id, Type.Null()], { description: "What its history proved." }),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    finishedAt: Type.Union([Timestamp, Type.Null()]),
  },
  { title: "ConsistencyRun" },
);
export type Run = Static<typeof Run>;

export const RunPage = pageOf(Run, { title: "ConsistencyRunPage" });

export const RunFilter = strict({
  ...ListQuery.properties,
  kind: Type.Optional(Type.Enum(["workload", "experiment"], { examples: ["workload"] })),
});
export type RunFilter = Static<typeof RunFilter>;

export const ByRun = strict({ id: Id, runId: Id });
