import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import pg from "pg";
import { audit } from "#kernel/audit/audit.ts";
import { systemClock } from "#kernel/clock.ts";
import { withClient } from "#kernel/db/roles.ts";
import { eraseTenants } from "#kernel/identity/erasure.ts";
import { addJob } from "#kernel/jobs/add-job.ts";
import { startWorker } from "#kernel/jobs/worker.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import type { TenantRow } from "#kernel/tenancy/store.ts";
import { fillEveryTable } from "./support/every-table.ts";
import { testServices } from "./support/services.ts";

const env = { PLIMSOLL_ALLOW_PRIVATE_HOSTS: "127.0.0.1:9" };

/** How many rows of a tenant each table has, seen as the tenant; tables without are left out. */
function rowsOf({ app }: TestApp, { id }: TenantRow): Promise<Record<string, number>> {
  return withClient(app.ownerUrl, async (client) => {
    const { rows: tables } = await client.query<{ name: string; column: string }>(
      `select format('%I.%I', n.nspname, c.relname) as name, a.attname as column
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         join pg_attribute a on a.attrelid = c.oid
          and a.attname in ('tenant_id', 'of_tenant', 'acting_tenant_id', 'last_tenant')
        where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema|graphile)'
        order by 1`,
    );
    await client.query("begin");
    await client.query("select set_config('app.tenant_id', $1, true)", [id]);
    const counts: Record<string, number> = {};
    for (const { name, column } of tables) {
      const { rows } = await client.query(
        `select count(*)::int as n from ${name} where ${pg.escapeIdentifier(column)} = $1`,
        [id],
      );
      if (rows[0].n > 0) counts[name] = rows[0].n;
    }
    return counts;
  });
}

function schemasOf({ app }: TestApp, { id }: TenantRow): Promise<string[]> {
  return withClient(app.ownerUrl, async (client) => {
    const { rows } = await client.query(
      "select nspname as name from pg_namespace where right(nspname, 35) = $1 order by 1",
      [`_t_${id.replaceAll("-", "")}`],
    );
    return rows.map(({ name }) => name);
  });
}

/** Runs the jobs that wait, as a process with the worker role does, until none is left. */
async function work(t: TestContext, { app }: TestApp): Promise<void> {
  const platform = app.depsOf("platform") as PlatformDeps;
  const worker = await startWorker({
    ownerUrl: app.ownerUrl,
    services: testServices().map(({ name, jobs }) => ({ name, jobs, deps: app.depsOf(name) })),
    tenants: { ref: platform.tenants.known },
    clock: systemClock,
    log: app.log,
    metrics: platform.metrics,
    lookMs: 10,
  });
  t.after(() => worker.stop(0));
  for (;;) {
    const waiting = await platform.jobs.list({ task: "platform.erase_tenants", limit: 10 });
    for (const { lastError } of waiting) assert.equal(lastError, null);
    if (waiting.length === 0) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

for (const kind of ["shared", "dedicated"]) {
  // Guards against a tenant that is deleted and still there, or that takes a neighbour with it.
  test(`a deleted ${kind} tenant loses all that it had, and its neighbour nothing`, async (t) => {
    const house = await startTestApp(t, { services: testServices(), env });
    const [acme, globex] = [`acme-${kind}`, `globex-${kind}`];
    for (const slug of [acme, globex]) await fillEveryTable(house, slug);
    const [doomed, neighbour] = [await house.tenant(acme), await house.tenant(globex)];
    await house.person(acme, "user");
    const before = {
      rows: await rowsOf(house, neighbour),
      schemas: await schemasOf(house, neighbour),
    };
    assert.ok(Object.keys(before.rows).length > 15, "tables in which a tenant has rows");
    assert.equal((await schemasOf(house, doomed)).length > 0, kind === "dedicated");
    const { db, jobs } = house.app.depsOf("platform") as PlatformDeps;
    for (const tenant of [doomed, neighbour]) {
      await db.inTenant(tenant, async (tx) =>
        addJob(tx, "platform.later", {}, { runAt: "2099-01-01" }),
      );
    }
    const admin = house.as("operations", "admin");
    assert.equal((await admin.delete(`/tenants/${doomed.id}`)).status, 204);
    assert.ok(
      Object.keys(await rowsOf(house, doomed)).length > 15,
      "erased before it is committed",
    );
    await work(t, house);
    assert.deepEqual(await rowsOf(house, doomed), {});
    assert.deepEqual(await schemasOf(house, doomed), []);
    assert.deepEqual(await rowsOf(house, neighbour), before.rows);
    assert.deepEqual(await schemasOf(house, neighbour), before.schemas);
    assert.equal((await house.as(globex).get("/audit/verify")).body.ok, true);
    const left = await jobs.list({ limit: 10, task: "platform.later" });
    assert.deepEqual(
      left.map(({ tenantId }) => tenantId),
      [neighbour.id],
    );
    // What is left: that there was such a tenant, its slug, and the platform's own record.
    const { body } = await admin.get(`/tenants/${doomed.id}/history`);
    assert.deepEqual(
      body.items.map(({ action }: { action: string }) => action),
      ["tenant.erase", "tenant.delete", "tenant.create"],
    );
    assert.ok(body.items[0].before.rows > 15);
    const again = await admin.post("/tenants", { name: "x", slug: acme });
    assert.equal(again.body.code, "ERR_TENANCY_SLUG_TAKEN");
  });
}

// Guards against rows of a request or job that was still under way when its tenant was deleted.
test("a deleted tenant is looked at again until nothing is left", async (t) => {
  const house = await startTestApp(t, { services: testServices().slice(0, 1) });
  const doomed = await house.tenant("acme");
  const admin = house.as("operations", "admin");
  assert.equal((await admin.delete(`/tenants/${doomed.id}`)).status, 204);
  const { db, log } = house.app.depsOf("platform");
  const look = () => {
    const deps = { ...house.app.identity, log };
    return eraseTenants(deps, { signal: new AbortController().signal, requestId: "r" });
  };
  const write = (action: string) =>
    db.inTenant(doomed, async (tx) => audit(tx, { action, resource: { type: "x", id: "x" } }));
  const state = async () => {
    const { rows } = await db.inPlatform((tx) =>
      tx.query("select name, erased_at is null as open from platform.tenant where id = $1", [
        doomed.id,
      ]),
    );
    return rows[0];
  };
  await write("before");
  assert.equal(await look(), 1);
  assert.deepEqual(await state(), { name: "Erased", open: true });
  await write("late");
  assert.equal(await look(), 1);
  assert.deepEqual([await rowsOf(house, doomed), (await state())?.open], [{}, true]);
  assert.equal(await look(), 0);
  assert.equal((await state())?.open, false);
  // From now on it costs nothing.
  assert.equal(await look(), 0);
  assert.equal((await admin.get("/tenants")).body.items.length, 1);
});
