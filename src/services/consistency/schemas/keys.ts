import { type Static, Type } from "typebox";
import { Id, strict } from "#kernel/http/schemas.ts";
import { amount, Level, LogVersion, orNull, ReplicaName } from "./common.ts";

export const keyCharsMost = 200;

export const ByKey = strict({
  id: Id,
  key: Type.String({
    minLength: 1,
    maxLength: keyCharsMost,
    description: "Any text without control characters.",
    examples: ["cart-7"],
  }),
});

export const Consistency = strict({
  consistency: Type.Optional({
    ...Level,
    description: "Without it, the store's: strong in CP, eventual in AP.",
  }),
});
export type Consistency = Static<typeof Consistency>;

export const SessionHeaders = Type.Object({
  "x-session-token": Type.Optional(
    Type.String({
      maxLength: 4_096,
      description: "The `sessionToken` of the session's last receipt, unread.",
      examples: [""],
    }),
  ),
});
export type SessionHeaders = Static<typeof SessionHeaders>;

export const NewValue = strict(
  { value: Type.Unknown({ description: "Any JSON but null.", examples: ["three apples"] }) },
  { title: "NewValue", examples: [{ value: "three apples" }] },
);

const NoLevel = orNull({
  ...Level,
  description: "Never another than was asked for; null where nothing was achieved.",
});

export const Receipt = strict(
  {
    level: Level,
    achieved: NoLevel,
    replica: orNull(ReplicaName),
    version: Type.Union([LogVersion, Type.Null()]),
    acknowledgements: amount("How many replicas have it for sure.", 2),
    stalenessMs: orNull(amount("At most so old; null where nobody knows.", 0)),
    stalenessVersions: orNull(amount("At most so many writes behind.", 0)),
    sessionToken: orNull(
      Type.String({ description: "For the session's next request.", examples: ["AbC"] }),
    ),
  },
  { title: "Receipt", description: "What an answer is worth." },
);
export type Receipt = Static<typeof Receipt>;

export const KeyAnswer = strict(
  {
    key: Type.String({ examples: ["cart-7"] }),
    value: Type.Unknown({ description: "Null once it is deleted.", examples: ["three apples"] }),
    receipt: Receipt,
  },
  { title: "KeyAnswer" },
);
export type KeyAnswer = Static<typeof KeyAnswer>;
