import { type ParsedCronItem, parseCronItems } from "graphile-worker";
import { defaultMaxAttempts, type TaskSetting } from "./task.ts";
import type { JobCatalogue } from "./types.ts";

export interface WorkerService {
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: each service has dependencies of its own
  jobs?: JobCatalogue<any> | undefined;
  deps: unknown;
}

const cronCatchUpMs = 600_000;

/** How often a task is tried at most; of one that nobody declares, the default. */
export function attemptLimits(
  services: readonly Pick<WorkerService, "jobs">[],
): (task: string) => number {
  const tasks = services.flatMap(({ jobs }) => Object.entries(jobs?.tasks ?? {}));
  const limits = new Map(tasks.map(([name, { maxAttempts }]) => [name, maxAttempts]));
  return (name) => limits.get(name) ?? defaultMaxAttempts;
}

/** Every service's tasks. Throws, naming it, for one that is not called like its service. */
export function tasksOf(services: readonly WorkerService[]): TaskSetting[] {
  return services.flatMap(({ name: service, jobs, deps }) =>
    Object.entries(jobs?.tasks ?? {}).map(([name, task]) => {
      if (!name.startsWith(`${service}.`)) {
        throw new Error(`Task "${name}" must be named "${service}.<what>"`);
      }
      return { name, task, deps };
    }),
  );
}

/** Every service's cron entries. Throws for one without a fitting task or with bad fields. */
export function cronItemsOf(
  services: readonly WorkerService[],
  tasks: readonly TaskSetting[],
): ParsedCronItem[] {
  const entries = services.flatMap(({ jobs }) => jobs?.cron ?? []);
  return parseCronItems(
    entries.map(({ task: name, every, payload }) => {
      const task = tasks.find((one) => one.name === name)?.task;
      if (task?.scope !== "platform") {
        throw new Error(`Cron entry "${name}" needs a task of that name with scope "platform"`);
      }
      return {
        task: name,
        match: every,
        payload: { ...payload },
        identifier: `${name} ${every}`,
        options: {
          // What fell into a restart is made up for.
          backfillPeriod: cronCatchUpMs,
          maxAttempts: task.maxAttempts ?? defaultMaxAttempts,
        },
      };
    }),
  );
}
