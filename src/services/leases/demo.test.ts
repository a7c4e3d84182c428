import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { verifyAudit } from "#kernel/audit/audit.ts";
import { withClient } from "#kernel/db/roles.ts";
import { systemActor } from "#kernel/tenancy/types.ts";
import { demoHistory, demoLeases, demoTemplates } from "./demo/leases.ts";
import { type Leases, type LeasesFixtureOptions, startLeases } from "./fixture.ts";
import { readQuotaDrift } from "./store/quota.ts";

type Item = Record<string, unknown>;

/** What the demo's start does, and then its job. */
async function startDemo(t: TestContext, options: LeasesFixtureOptions = {}) {
  const house = await startLeases(t, options);
  const { service, db, tenant, test: app } = house;
  const { demo } = service;
  await db.inTenant(tenant, async (tx) => demo?.(tx, app.app.depsOf("leases")));
  return { ...house, fill: () => fill(house), list: () => list(house) };
}

async function fill({ service, deps, tenant, test: app }: Leases): Promise<void> {
  const task = service.jobs?.tasks["leases.demo"];
  const { signal } = new AbortController();
  const on = { actor: systemActor("leases.demo"), requestId: "demo" };
  await task?.run({}, { deps, tenant, signal, log: app.app.log, ...on } as never);
}

async function list({ admin }: Leases): Promise<Item[]> {
  return (await admin.get("/leases?limit=100")).body.items;
}

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a demo that the service's own rules would refuse, or that shows half of it.
  test(`${isolation}: the demo has templates, six days of leases and some that run`, async (t) => {
    const house = await startDemo(t, { isolation });
    const { admin, clock, db, tenant, engine } = house;
    const templates = (await admin.get("/leases/templates")).body.items as Item[];
    assert.equal(templates.length, demoTemplates.length);
    assert.deepEqual(await house.list(), [], "nobody has waited for leases");
    await house.fill();
    await house.settle();
    const leases = await house.list();
    assert.equal(leases.length, demoHistory.length + demoLeases.length);
    const states = leases.map(({ state }) => state).slice(0, demoLeases.length);
    assert.deepEqual(states.map(String).sort(), ["paused", "running", "running"]);
    for (const { createdAt, startedAt, endedAt, costMinor, name } of leases) {
      const moments = [createdAt, startedAt, endedAt ?? startedAt].map((at) => Date.parse(`${at}`));
      assert.deepEqual(
        moments,
        moments.toSorted((a, b) => a - b),
        `${name}`,
      );
      assert.ok((moments[2] as number) <= clock.nowMs(), `${name} ended in the future`);
      if (endedAt !== null) assert.ok(Number(costMinor) >= 0);
    }
    const reasons = new Set(leases.map(({ terminationReason }) => terminationReason));
    assert.ok(reasons.size >= 6, [...reasons].join());
    const usage = (await admin.get("/leases/usage?groupBy=template&from=2025-12-20T00:00:00Z"))
      .body;
    assert.ok(usage.totals[0].costMinor > 10, JSON.stringify(usage.totals));
    assert.deepEqual(await readQuotaDrift(db, tenant), []);
    assert.equal((await db.inTenant(tenant, (tx) => verifyAudit(tx))).ok, true);

    await house.fill();
    assert.equal((await house.list()).length, leases.length, "done twice, it is there once");

    await house.pass(1_800);
    await house.pass(86_400);
    assert.equal(engine.containers.size, 0, "containers of the demo stay behind");
  });
}

// Guards against a start that fails because there is nothing to lease containers from.
test("without an engine the demo has its history only", async (t) => {
  const house = await startDemo(t);
  house.engine.info = { ...house.engine.info, available: false, notes: ["None answers."] };
  await house.fill();
  await house.settle();
  const leases = await house.list();
  assert.equal(leases.length, demoHistory.length);
  assert.deepEqual(new Set(leases.map(({ state }) => state)), new Set(["ended"]));
  assert.deepEqual(house.engine.calls, []);
});

// Guards against a demo that is in the way where somebody has chosen what may be leased.
test("the demo leases no image that may not be leased", async (t) => {
  const house = await startDemo(t, { env: { LEASES_ALLOWED_IMAGES: "debian" } });
  assert.deepEqual((await house.admin.get("/leases/templates")).body.items, []);
  await house.fill();
  assert.deepEqual(await house.list(), []);
});

// Guards against containers that somebody did not want, and a demo whose leases nobody makes.
test("whether the demo leases anything is the installation's to say", async (t) => {
  const jobsOf = ({ test: { app } }: Leases) =>
    withClient(app.ownerUrl, async (client) => {
      const { rows } = await client.query(
        "select task_identifier as task from graphile_worker.jobs",
      );
      return rows.filter(({ task }) => task === "leases.demo").length;
    });
  assert.equal(await jobsOf(await startDemo(t)), 1);
  assert.equal(await jobsOf(await startDemo(t, { env: { LEASES_DEMO: "0" } })), 0);
});
