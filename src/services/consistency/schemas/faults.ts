import { type Static, Type } from "typebox";
import { Id, strict } from "#kernel/http/schemas.ts";
import { amount, orNull, ReplicaName } from "./common.ts";

const replicas = Type.Array(ReplicaName, {
  minItems: 1,
  maxItems: 9,
  uniqueItems: true,
  description: "Those that it happens to.",
  examples: [["n1"]],
});

const ms = (minimum: number, says: string) =>
  Type.Integer({ minimum, maximum: 600_000, description: says, examples: [200] });

export const NewFault = strict(
  {
    kind: Type.Enum(["partition", "cut", "delay", "loss", "crash", "clock_jump", "slow_disk"], {
      examples: ["partition"],
    }),
    groups: Type.Optional(
      Type.Array(Type.Array(ReplicaName, { minItems: 1, maxItems: 9 }), {
        minItems: 1,
        maxItems: 9,
        description: "Of a partition: those of one group reach each other only.",
        examples: [[["n1"], ["n2", "n3"]]],
      }),
    ),
    from: Type.Optional({ ...ReplicaName, description: "Of a cut: who is not heard." }),
    to: Type.Optional({ ...ReplicaName, description: "Of a cut: by whom." }),
    replicas: Type.Optional(replicas),
    delayMs: Type.Optional(ms(1, "Of a delay and a slow disk.")),
    ratio: Type.Optional(
      Type.Number({ minimum: 0, maximum: 1, description: "Of a loss.", examples: [0.2] }),
    ),
    jumpMs: Type.Optional(ms(-600_000, "Of a clock's jump; negative is back.")),
  },
  {
    title: "NewFault",
    description: "Each kind has members of its own.",
    examples: [{ kind: "partition", groups: [["n1"], ["n2", "n3"]] }],
  },
);
export type NewFault = Static<typeof NewFault>;

const RecordedFault = strict({
  fault: Type.String({ examples: ["partition"] }),
  call: amount("When it began, on the store's clock in ms.", 120),
  return: orNull(amount("When it ended; null while it lasts.", 900)),
  isolated: Type.Array(Type.String({ examples: ["n1"] }), {
    description: "Those that could not reach a majority meanwhile.",
    examples: [["n1"]],
  }),
});

export const FaultsAnswer = strict(
  {
    storeId: Id,
    items: Type.Array(RecordedFault, { description: "The last hundred, oldest first." }),
  },
  { title: "StoreFaults" },
);
export type FaultsAnswer = Static<typeof FaultsAnswer>;

/** What its event tells of a fault. */
export const FaultEvent = strict(
  { storeId: Id, fault: Type.Union([NewFault, Type.Null()]) },
  { title: "FaultEvent" },
);

const BreakerStatus = strict({
  state: Type.Enum(["closed", "half-open", "open"], { examples: ["closed"] }),
  epoch: amount("Begins anew with each move.", 1),
  sinceMs: amount("When it moved, on the store's clock.", 0),
  failures: amount("In this epoch.", 0),
  rejected: amount("What it turned away.", 0),
});

export const ReplicaBreakers = strict(
  {
    items: Type.Array(
      strict({ replica: ReplicaName, ...BreakerStatus.properties }, { title: "ReplicaBreaker" }),
    ),
  },
  { title: "ReplicaBreakers" },
);

const Version = Type.Union([strict({ term: amount("", 1), seq: amount("", 17) }), Type.Null()]);

export const StoreStatus = strict(
  {
    storeId: Id,
    generation: amount("Of an embedded store: each time it began anew, empty.", 1),
    process: orNull(
      Type.String({ description: "In whose memory it is.", examples: ["019a9f6e-2b5c"] }),
    ),
    nowMs: amount("The store's clock.", 1_234),
    faultKinds: Type.Array(Type.String({ examples: ["partition"] }), {
      description: "What can be injected.",
      examples: [["partition"]],
    }),
    activeFaults: amount("Faults that last.", 0),
    history: strict({
      operations: amount("That are kept.", 120),
      droppedOperations: amount("That are not, since a history is bounded.", 0),
    }),
    replicas: Type.Array(
      strict(
        {
          name: ReplicaName,
          role: Type.Enum(
            ["leader", "follower", "candidate", "peer", "primary", "replica", "unknown"],
            { examples: ["leader"] },
          ),
          isUp: Type.Boolean({ examples: [true] }),
          isReachable: Type.Boolean({ examples: [true] }),
          term: orNull(amount("", 1)),
          version: Version,
          lagVersions: orNull(amount("Behind the newest that is known.", 0)),
          stalenessMs: orNull(amount("", 0)),
          breaker: BreakerStatus,
        },
        { title: "ReplicaStatus" },
      ),
    ),
  },
  { title: "StoreStatus" },
);
export type StoreStatus = Static<typeof StoreStatus>;
