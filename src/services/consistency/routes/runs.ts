import { requestErrors } from "#kernel/errors.ts";
import { ById } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { openStoreOf } from "../changes/ask.ts";
import { prepareExperiment, prepareWorkload, startRun } from "../changes/runs.ts";
import { consistencyErrors } from "../errors.ts";
import { shownRun } from "../rules/checks.ts";
import { ByRun, NewExperiment, NewWorkload, Run, RunFilter, RunPage } from "../schemas/runs.ts";
import { getRun, listRuns } from "../store/runs.ts";
import { getStore } from "../store/stores.ts";
import type { ConsistencyDeps } from "../types.ts";
import { openErrors } from "./keys.ts";

const runErrors = [
  ...openErrors,
  consistencyErrors.bad_run,
  consistencyErrors.bad_fault,
  consistencyErrors.run_under_way,
];

/** Workloads and experiments. */
export const runRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  startRoutes(app, deps);
  readRoutes(app, deps);
};

const startRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  const { mutate, random } = deps;
  app.post(
    "/stores/:id/workloads",
    {
      schema: {
        summary: "Run a workload on a store",
        description:
          "Clients read and write keys of its own while faults come and go; in the end all " +
          "faults are ended and its history is checked. One run at a time.",
        params: ById,
        body: NewWorkload,
        response: { 202: Run },
      },
      config: { permission: "store:run", idempotent: true, errors: runErrors },
    },
    async (request, reply) => {
      const opened = await openStoreOf(deps, request.tenant, request.params.id);
      const prepared = prepareWorkload(random.id(), opened, request.body);
      return mutate(request, reply, 202, (tx) => startRun(tx, deps, opened, prepared));
    },
  );

  app.post(
    "/stores/:id/experiments",
    {
      schema: {
        summary: "Try something on a store",
        description:
          "`partition-cp`, `partition-ap`: part of it is cut off. `failover-lost-write`: who " +
          "leads goes. `stale-read`, `read-your-writes`: a replica is late. `breaker-cycle`: a " +
          "replica crashes and comes back. Each ends in a verdict and plain words.",
        params: ById,
        body: NewExperiment,
        response: { 202: Run },
      },
      config: { permission: "store:run", idempotent: true, errors: runErrors },
    },
    async (request, reply) => {
      const opened = await openStoreOf(deps, request.tenant, request.params.id);
      const prepared = await prepareExperiment(random.id(), opened, request.body);
      return mutate(request, reply, 202, (tx) => startRun(tx, deps, opened, prepared));
    },
  );
};

const readRoutes: Routes<ConsistencyDeps> = (app, { db, clock, runs }) => {
  app.get(
    "/stores/:id/runs",
    {
      schema: {
        summary: "List a store's runs",
        description: "Workloads and experiments, newest first. The last 100 are kept.",
        params: ById,
        querystring: RunFilter,
        response: { 200: RunPage },
      },
      config: { permission: "store:read" },
    },
    async ({ tenant, params, query }) => {
      if (!(await getStore(db, tenant, params.id))) throw requestErrors.not_found();
      const { items, nextCursor } = await listRuns(db, tenant, params.id, query);
      return { items: items.map((run) => shownRun(run, clock.nowMs())), nextCursor };
    },
  );

  app.get(
    "/stores/:id/runs/:runId",
    {
      schema: { summary: "Get a run", params: ByRun, response: { 200: Run } },
      config: { permission: "store:read" },
    },
    async ({ tenant, params }) => {
      const run = await getRun(db, tenant, { storeId: params.id, id: params.runId });
      if (!run) throw requestErrors.not_found();
      return shownRun(run, clock.nowMs());
    },
  );

  app.post(
    "/stores/:id/runs/:runId/cancel",
    {
      schema: {
        summary: "Cancel a run",
        description: "Its faults are ended; it proves nothing.",
        params: ByRun,
        response: { 200: Run },
      },
      config: { permission: "store:run", errors: [consistencyErrors.not_running] },
    },
    async ({ tenant, params }) => {
      const run = await getRun(db, tenant, { storeId: params.id, id: params.runId });
      if (!run) throw requestErrors.not_found();
      if (run.state !== "running" || !runs.cancel(run.id)) {
        throw consistencyErrors.not_running({
          detail: `The run is ${run.state}, or runs in another process.`,
        });
      }
      return run;
    },
  );
};
