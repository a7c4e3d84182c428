import { Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

const BreakerName = Type.String({
  minLength: 1,
  maxLength: 200,
  description: "The dependency's.",
  examples: ["rabbitmq"],
});
const Count = Type.Integer({ minimum: 0, examples: [0] });

export const ByBreaker = strict({ name: BreakerName });

export const Breaker = strict(
  {
    name: BreakerName,
    state: Type.Enum(["CLOSED", "OPEN", "HALF_OPEN", "ISOLATED"], { examples: ["CLOSED"] }),
    active: Count,
    waiting: Count,
    successes: Count,
    failures: Count,
    rejected: Count,
    changedAt: Type.Union([Type.String({ format: "date-time" }), Type.Null()], {
      examples: ["2026-11-20T12:00:00.123Z"],
    }),
  },
  { title: "Breaker" },
);

export const Breakers = strict(
  { items: Type.Array(Breaker, { maxItems: 1_000 }) },
  { title: "Breakers" },
);
