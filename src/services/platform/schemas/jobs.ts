import { Type } from "typebox";
import { Id, ListQuery, pageOf, strict, Timestamp } from "#kernel/http/schemas.ts";

const JobId = Type.String({
  pattern: "^[1-9][0-9]{0,17}$",
  "x-must": 'be the number of a job, such as "42"',
  examples: ["42"],
});
const State = Type.Enum(["waiting", "running", "failed"], {
  description: "`failed`: for good; it waits for somebody to retry or delete it.",
  examples: ["failed"],
});
const Task = Type.String({ minLength: 1, maxLength: 100, examples: ["orders.expire"] });

export const ByJobId = strict({ id: JobId });

export const JobQuery = strict({
  ...ListQuery.properties,
  state: Type.Optional(State),
  task: Type.Optional(Task),
});

export const Job = strict(
  {
    id: JobId,
    task: Task,
    state: State,
    tenantId: Type.Union([Id, Type.Null()], { description: "Null for the platform's own." }),
    attempts: Type.Integer({ minimum: 0, examples: [10] }),
    maxAttempts: Type.Integer({ minimum: 1, examples: [10] }),
    runAt: Timestamp,
    createdAt: Timestamp,
    lockedAt: Type.Union([Timestamp, Type.Null()]),
    lastError: Type.Union([Type.String(), Type.Null()], {
      examples: ["The mail server did not answer within 10000 ms"],
    }),
  },
  { title: "Job" },
);

export const JobPage = pageOf(Job, { title: "JobPage" });
