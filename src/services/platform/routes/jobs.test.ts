import assert from "node:assert/strict";
import { test } from "node:test";
import { withClient } from "#kernel/db/roles.ts";
import { addJob } from "#kernel/jobs/add-job.ts";
import { startTestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

// Guards against failed jobs that nobody can see or do anything about, and against tenants who can.
test("a platform admin lists, retries and deletes jobs of all tenants, audited", async (t) => {
  const { app, as, tenant } = await startTestApp(t, { services: [platform] });
  const acme = await tenant("acme");
  await app.depsOf("platform").db.inTenant(acme, async (tx) => {
    for (const task of ["test.one", "test.two", "test.two"]) addJob(tx, task, { secret: "x" });
  });
  await withClient(app.ownerUrl, (owner) =>
    owner.query(
      `update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'it broke'
        where task_id = (select id from graphile_worker._private_tasks where identifier = 'test.one')`,
    ),
  );
  const admin = as("ops", "admin");
  const list = async (query: string) => (await admin.get(`/admin/jobs?${query}`)).body;
  const failed = await list("state=failed");
  assert.equal(failed.items.length, 1);
  const [job] = failed.items;
  assert.deepEqual(
    [job.task, job.tenantId, job.lastError, job.state],
    ["test.one", acme.id, "it broke", "failed"],
  );
  const [waiting] = (await list("state=waiting")).items;
  assert.deepEqual([waiting.attempts, waiting.maxAttempts], [0, 10], "as its task allows");
  assert.equal("payload" in job, false);
  assert.deepEqual((await admin.get(`/admin/jobs/${job.id}`)).body, job);
  assert.deepEqual((await admin.get(`/admin/jobs/${waiting.id}`)).body, waiting);
  assert.equal((await admin.get("/admin/jobs/999999")).status, 404);
  assert.equal((await admin.get("/admin/jobs/x")).status, 422);
  const first = await list("limit=2&task=test.two");
  assert.deepEqual([first.items.length, first.nextCursor], [2, null]);
  const page = await list("limit=1&state=waiting");
  const next = await list(`limit=1&state=waiting&cursor=${page.nextCursor}`);
  assert.notEqual(page.items[0].id, next.items[0].id);

  assert.equal((await admin.post(`/admin/jobs/${job.id}/retry`)).status, 204);
  assert.equal((await list("state=failed")).items.length, 0);
  assert.equal((await admin.delete(`/admin/jobs/${job.id}`)).status, 204);
  assert.equal((await admin.delete(`/admin/jobs/${job.id}`)).status, 404);
  assert.equal((await admin.post("/admin/jobs/999999/retry")).status, 404);
  assert.equal((await admin.post("/admin/jobs/x/retry")).status, 422);
  await withClient(app.ownerUrl, (owner) =>
    owner.query(
      `update graphile_worker._private_jobs set locked_at = now(), locked_by = 'busy'
        where id = $1`,
      [next.items[0].id],
    ),
  );
  for (const answer of [
    await admin.post(`/admin/jobs/${next.items[0].id}/retry`),
    await admin.delete(`/admin/jobs/${next.items[0].id}`),
  ]) {
    assert.deepEqual([answer.status, answer.body.code], [409, "ERR_REQUEST_CONFLICT"]);
    assert.match(answer.body.detail, /is running/);
  }
  const { items } = (await admin.get("/audit?resource=job")).body;
  assert.deepEqual(
    items.map(({ action }: { action: string }) => action),
    ["job.delete", "job.retry"],
  );
  for (const role of ["tenant_admin", "user"]) {
    assert.equal((await as("acme", role).get("/admin/jobs")).status, 403);
    assert.equal((await as("acme", role).get(`/admin/jobs/${next.items[0].id}`)).status, 403);
    assert.equal((await as("acme", role).delete("/admin/jobs/1")).status, 403);
  }
});
