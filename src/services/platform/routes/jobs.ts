import { audit } from "#kernel/audit/audit.ts";
import { requestErrors } from "#kernel/errors.ts";
import type { Changed } from "#kernel/jobs/admin.ts";
import { decodeCursor, page } from "#kernel/http/cursor.ts";
import { NoContent } from "#kernel/http/schemas.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { ByJobId, Job, JobPage, JobQuery } from "../schemas/jobs.ts";

const tags = ["administration"];
const running = "A job that is running answers 409: it can't be changed now.";

const gone = (id: string) =>
  requestErrors.not_found({
    detail: `There is no job ${id}: a job that has ended well is not kept.`,
  });

/** Throws where the job could not be changed. */
function assertDone(id: string, changed: Changed): void {
  if (changed === "running") {
    const detail = `Job ${id} is running: ask again when this attempt has ended.`;
    throw requestErrors.conflict({ detail });
  }
  if (changed === "gone") throw gone(id);
}

/** Background jobs of all tenants. */
export const jobRoutes: Routes<PlatformDeps> = (app, deps) => {
  readJobs(app, deps);
  changeJobs(app, deps);
};

const readJobs: Routes<PlatformDeps> = (app, { jobs }) => {
  app.get(
    "/admin/jobs",
    {
      schema: {
        summary: "List background jobs",
        tags,
        querystring: JobQuery,
        response: { 200: JobPage },
      },
      config: { permission: "job:read" },
    },
    async ({ query: { cursor, limit, ...filter } }) => {
      const beforeId = cursor === undefined ? {} : { beforeId: String(decodeCursor(cursor, 1)[0]) };
      const found = await jobs.list({ ...filter, ...beforeId, limit: limit + 1 });
      return page(found, limit, ({ id }) => [id]);
    },
  );

  app.get(
    "/admin/jobs/:id",
    {
      schema: { summary: "Get a background job", tags, params: ByJobId, response: { 200: Job } },
      config: { permission: "job:read" },
    },
    async ({ params: { id } }) => {
      const job = await jobs.find(id);
      if (!job) throw gone(id);
      return job;
    },
  );
};

const changeJobs: Routes<PlatformDeps> = (app, { jobs, mutate }) => {
  app.post(
    "/admin/jobs/:id/retry",
    {
      schema: {
        summary: "Retry a job",
        description: `It starts anew, with as many attempts as it had. ${running}`,
        tags,
        params: ByJobId,
        response: { 204: NoContent },
      },
      config: { permission: "job:update" },
    },
    (request, reply) =>
      mutate(request, reply, 204, async (tx) => {
        const { id } = request.params;
        assertDone(id, await jobs.retry(id));
        audit(tx, { action: "job.retry", resource: { type: "job", id } });
      }),
  );

  app.delete(
    "/admin/jobs/:id",
    {
      schema: {
        summary: "Delete a job",
        description: running,
        tags,
        params: ByJobId,
        response: { 204: NoContent },
      },
      config: { permission: "job:update" },
    },
    (request, reply) =>
      mutate(request, reply, 204, async (tx) => {
        const { id } = request.params;
        assertDone(id, await jobs.delete(id));
        audit(tx, { action: "job.delete", resource: { type: "job", id } });
      }),
  );
};
