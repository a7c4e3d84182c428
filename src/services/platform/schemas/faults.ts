import { Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

const FaultPoint = Type.String({
  pattern: "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+){0,6}$",
  maxLength: 100,
  description: "A place in the code.",
  examples: ["feeds.page.commit"],
});
const Kind = Type.Enum(["latency", "error", "timeout", "corruption", "crash"], {
  examples: ["latency"],
});
const Probability = Type.Number({ exclusiveMinimum: 0, maximum: 1, examples: [0.5] });
const Milliseconds = Type.Integer({ minimum: 0, maximum: 600_000, examples: [1_000] });

export const ByPoint = strict({ point: FaultPoint });

export const FaultChange = strict(
  {
    kind: Kind,
    probability: Type.Optional(Probability),
    count: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: "How often it strikes before it clears itself.",
        examples: [3],
      }),
    ),
    latencyMs: Type.Optional(Milliseconds),
  },
  { title: "FaultChange" },
);

export const Fault = strict(
  {
    point: FaultPoint,
    kind: Kind,
    probability: Probability,
    remaining: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: "Strikes left; null without limit.",
      examples: [3],
    }),
    latencyMs: Milliseconds,
    struck: Type.Integer({ minimum: 0, examples: [0] }),
  },
  { title: "Fault" },
);

export const Faults = strict({ items: Type.Array(Fault, { maxItems: 100 }) }, { title: "Faults" });
