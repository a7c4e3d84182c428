import assert from "node:assert/strict";
import { test } from "node:test";
import { type Leases, makeLease, makeWritable, startLeases } from "./fixture.ts";
import { runtimeErrors } from "./runtimes/errors.ts";

/** The values of a metric by its labels, such as `kind="asked"`; histograms by their count. */
async function read({ test: { app } }: Leases, name: string): Promise<Record<string, number>> {
  const { text } = await app.depsOf("leases").metrics.expose();
  const line = new RegExp(`^plimsoll_leases_${name}(?:\\{(.*)\\})? (\\S+)$`);
  const found = text.split("\n").map((one) => line.exec(one));
  return Object.fromEntries(found.flatMap((one) => (one ? [[one[1] ?? "", Number(one[2])]] : [])));
}

// Guards against a dashboard that shows fewer leases than there are, or starts that never were.
test("what runs, what is late and how long starting took is counted", async (t) => {
  const house = await startLeases(t);
  const { admin, engine, clock } = house;
  assert.deepEqual(await read(house, "active"), { "": 0 });
  await makeLease(admin, { ttlSeconds: 60 });
  engine.meddle = (call, when) => {
    if (call !== "create" || when !== "before") return;
    throw runtimeErrors.image_missing({ detail: "There is none." });
  };
  await admin.post("/leases?wait=10", { image: "alpine" });
  engine.meddle = () => {};
  await house.settle();
  assert.deepEqual(await read(house, "active"), { "": 1 });
  assert.deepEqual(await read(house, "overdue"), { "": 0 });
  const starts = await read(house, "provision_seconds_count");
  assert.deepEqual(starts, {
    'result="running",runtime="docker"': 1,
    'result="failed",runtime="docker"': 1,
  });
  const { code } = runtimeErrors.image_missing;
  assert.deepEqual(await read(house, "failures_total"), {
    [`step="provision",code="${code}"`]: 1,
  });
  clock.advance(66_000);
  assert.deepEqual(await read(house, "overdue"), { "": 1 });
  await house.settle();
  assert.deepEqual(await read(house, "expiry_lag_seconds_count"), { 'reason="expired"': 1 });
  assert.deepEqual(await read(house, "expiry_lag_seconds_sum"), { 'reason="expired"': 6 });
  assert.deepEqual(await read(house, "active"), { "": 0 });
  assert.deepEqual(await read(house, "cleanups_total"), { 'result="removed"': 2 });
});

// Guards against a start that is given up by its deadline and stands nowhere.
test("a start that takes too long is counted as one that failed", async (t) => {
  const house = await startLeases(t);
  house.engine.meddle = (call, when) => {
    if (call === "create" && when === "before") throw runtimeErrors.unavailable();
  };
  await house.admin.post("/leases", { image: "alpine" });
  for (let minutes = 0; minutes < 6; minutes += 1) await house.pass(60);
  assert.deepEqual(await read(house, "provision_seconds_count"), {
    'result="failed",runtime="docker"': 1,
  });
});

// Guards against restarts that look like starts, and crashes that nobody counts.
test("restarts are counted, by who wanted them", async (t) => {
  const house = await startLeases(t);
  const { admin, engine, deps, tenant } = house;
  const { id } = await makeLease(admin);
  assert.equal((await admin.post(`/leases/${id}/restart?wait=10`)).body.state, "running");
  engine.die(engine.of(id)?.id as string, { exitCode: 1 });
  await deps.engine.observe(tenant, id);
  await house.pass(5);
  assert.deepEqual(await read(house, "restarts_total"), {
    'kind="asked"': 1,
    'kind="automatic"': 1,
  });
  const starts = await read(house, "provision_seconds_count");
  assert.deepEqual(starts, { 'result="running",runtime="docker"': 1 });
});

// Guards against containers that can't be removed while everything looks fine.
test("what could not be cleaned up, what differs and what was refused is counted", async (t) => {
  const house = await startLeases(t, { env: { LEASES_QUOTA_LEASES: "1" } });
  const { admin, engine, deps } = house;
  await makeWritable(admin);
  const { id } = await makeLease(admin, { maxRestarts: 0 });
  assert.equal((await admin.post("/leases", { image: "alpine" })).status, 409);
  await house.limit({ "leases.quota_snapshots": 0, "leases.user_quota_leases": 0 });
  assert.equal((await admin.post("/leases", { image: "alpine" })).status, 409);
  assert.deepEqual(await read(house, "quota_refusals_total"), {
    'scope="tenant",limit="leases"': 2,
  });
  engine.vanish(engine.of(id)?.id as string);
  await deps.engine.reconcile(new AbortController().signal);
  await house.settle();
  assert.deepEqual(await read(house, "drift_total"), { 'kind="missing_container"': 1 });
  const next = await house.limit({ "leases.user_quota_leases": 9 }).then(() => makeLease(admin));
  engine.meddle = (call, when) => {
    if (call === "remove" && when === "before") throw runtimeErrors.unavailable();
  };
  await admin.delete(`/leases/${next.id}`);
  await house.settle();
  const failed = (await read(house, "cleanups_total"))['result="failed"'];
  assert.ok(failed && failed > 0, "a removal that failed");
  for (let minutes = 0; minutes < 16; minutes += 1) await house.pass(60);
  assert.equal((await read(house, "cleanups_total"))['result="abandoned"'], 1);
  engine.meddle = () => {};
});

// Guards against a refusal that is counted as the tenant's and is a user's.
test("a user's quota and the tenant's are told apart", async (t) => {
  const house = await startLeases(t, { env: { LEASES_USER_QUOTA_CPU_MILLIS: "300" } });
  await makeLease(house.admin);
  assert.equal((await house.admin.post("/leases", { image: "alpine" })).status, 409);
  assert.deepEqual(await read(house, "quota_refusals_total"), {
    'scope="user",limit="cpuMillis"': 1,
  });
});
