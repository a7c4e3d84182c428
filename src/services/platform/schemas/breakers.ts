import { Type } from "typebox";
import { Id, pageOf, strict } from "#kernel/http/schemas.ts";

const BreakerName = Type.String({
  minLength: 1,
  maxLength: 400,
  description: "The dependency's.",
  examples: ["rabbitmq"],
});
const Count = Type.Integer({ minimum: 0, examples: [0] });

export const ByBreaker = strict({ name: BreakerName });

const Moment = Type.String({ format: "date-time", examples: ["2026-11-20T12:00:00.123456Z"] });

const Instance = strict(
  {
    id: { ...Id, description: "Made at each start." },
    host: Type.String({ examples: ["api-1"] }),
    pid: Type.Integer({ minimum: 1, examples: [1204] }),
    role: Type.Enum(["api", "worker", "all"], { examples: ["all"] }),
    startedAt: Moment,
  },
  { title: "Instance", description: "The process that answers; each has breakers of its own." },
);

const breaker = {
  name: BreakerName,
  group: Type.Union([Type.String(), Type.Null()], {
    description: "Of those that there are many of, such as one for each host: `outgoing`.",
    examples: [null],
  }),
  state: Type.Enum(["CLOSED", "OPEN", "HALF_OPEN", "ISOLATED"], { examples: ["CLOSED"] }),
  active: Count,
  waiting: Count,
  successes: Count,
  failures: Count,
  rejected: Count,
  changedAt: Type.Union([Moment, Type.Null()], { examples: ["2026-11-20T12:00:00.123456Z"] }),
};

export const Breaker = strict({ ...breaker, instance: Instance }, { title: "Breaker" });

export const Breakers = strict(
  {
    instance: Instance,
    ...pageOf(strict(breaker, { title: "ListedBreaker" })).properties,
  },
  { title: "Breakers" },
);
