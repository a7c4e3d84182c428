import { Type } from "typebox";
import { pageOf, strict, Version } from "#kernel/http/schemas.ts";
import { faultKinds } from "#kernel/resilience/faults.ts";

const PointName = Type.String({
  pattern: "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+){0,6}$",
  "x-must": 'be the name of a point, such as "mutate.before_commit"',
  maxLength: 100,
  description: "A place in the code.",
  examples: ["mutate.before_commit"],
});
const Kind = Type.Enum([...faultKinds], { examples: ["latency"] });
const Probability = Type.Number({ exclusiveMinimum: 0, maximum: 1, examples: [0.5] });
const Milliseconds = Type.Integer({ minimum: 0, maximum: 600_000, examples: [1_000] });
const Count = Type.Integer({ minimum: 1, maximum: 1_000_000, examples: [3] });

export const ByPoint = strict({ point: PointName });

export const FaultChange = strict(
  {
    kind: Kind,
    probability: Type.Optional(Probability),
    count: Type.Optional({
      ...Count,
      description: "How often it strikes, all processes together; a crash once unless said.",
    }),
    latencyMs: Type.Optional(Milliseconds),
  },
  { title: "FaultChange" },
);

const fault = {
  point: PointName,
  service: Type.String({ description: "Who has the point.", examples: ["kernel"] }),
  title: Type.String({
    description: "What goes wrong, and what must hold all the same.",
    examples: ["A change is worked out and not committed: nothing of it remains"],
  }),
  corrupts: Type.Optional(
    Type.Boolean({ description: "Data passes here that can be corrupted.", examples: [true] }),
  ),
  armed: Type.Union(
    [
      strict({
        kind: Kind,
        probability: Probability,
        count: Type.Union([Count, Type.Null()], { description: "Null for no limit." }),
        latencyMs: Milliseconds,
      }),
      Type.Null(),
    ],
    { description: "What happens there; null when nothing does." },
  ),
  version: Version,
};

export const Fault = strict(fault, { title: "Fault" });

export const CountedFault = strict(
  {
    ...fault,
    struck: Type.Integer({
      minimum: 0,
      description: "How often the last arming has struck.",
      examples: [0],
    }),
    remaining: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: "Strikes left; null without limit, or when nothing is armed.",
      examples: [3],
    }),
  },
  { title: "CountedFault" },
);

export const Faults = strict(
  {
    allowed: Type.Boolean({ description: "False in production without FLAG_FAULTS=1." }),
    ...pageOf(CountedFault).properties,
  },
  { title: "Faults" },
);
