import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLease, startLeases } from "./fixture.ts";
import { readQuotaDrift } from "./store/quota.ts";

const statuses = (answers: readonly { status: number }[]) =>
  answers.map(({ status }) => status).sort((left, right) => left - right);

const quotas = [
  ["LEASES_QUOTA_LEASES", "7", "leases"],
  ["LEASES_QUOTA_CPU_MILLIS", "1750", "cpuMillis"],
  ["LEASES_QUOTA_MEMORY_MB", "1792", "memoryMb"],
  ["LEASES_QUOTA_DISK_MB", "700", "diskMb"],
  ["LEASES_QUOTA_STARTS_PER_MINUTE", "7", "startsPerMinute"],
  ["LEASES_USER_QUOTA_LEASES", "7", "leases"],
] as const;

for (const [variable, value, limit] of quotas) {
  // Guards against a quota that gives one too many to many who ask at the same moment.
  test(`of 50 leases asked at once ${variable} gives exactly seven`, async (t) => {
    const { admin, engine, db, tenant, settle } = await startLeases(t, {
      env: { [variable]: value },
    });
    const body = { image: "alpine", preset: "tiny", diskMb: 100 };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => admin.post("/leases", body)),
    );
    assert.deepEqual(statuses(answers), [...Array(7).fill(202), ...Array(43).fill(409)]);
    const refused = answers.filter(({ status }) => status === 409);
    for (const { body: problem } of refused) {
      assert.equal(problem.code, "ERR_LEASES_QUOTA_EXCEEDED");
      assert.equal(problem.limit, limit);
      assert.equal(problem.scope, variable.includes("USER") ? "user" : "tenant");
      assert.equal(problem.used, problem.allowed, problem.detail);
    }
    await settle();
    assert.equal(engine.containers.size, 7);
    assert.equal((await admin.get("/leases")).body.items.length, 7);
    assert.deepEqual(await readQuotaDrift(db, tenant), []);
  });
}

// Guards against a quota that stays taken, or that is given back before the container is gone.
test("what a lease has taken is free once its container is gone, and not before", async (t) => {
  const { admin, engine, settle } = await startLeases(t, { env: { LEASES_QUOTA_LEASES: "1" } });
  const { id } = await makeLease(admin);
  let letGo: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  engine.meddle = (call, when) => (call === "remove" && when === "before" ? gate : undefined);
  await admin.delete(`/leases/${id}`);
  assert.equal((await admin.post("/leases", { image: "alpine" })).status, 409);
  letGo();
  await settle();
  assert.equal((await admin.post("/leases", { image: "alpine" })).status, 202);
});

// Guards against a lease that was renewed and ended all the same, or that ended and lives on.
test("of a renewal and an expiry at the same instant, exactly one wins", async (t) => {
  const { admin, engine, clock, deps, settle } = await startLeases(t);
  for (let round = 0; round < 8; round += 1) {
    const { id } = await makeLease(admin, { ttlSeconds: 60 });
    await deps.engine.settled();
    clock.advance(60_000);
    const [renewed] = await Promise.all([
      admin.post(`/leases/${id}/renew`, { ttlSeconds: 60 }),
      settle(),
      admin.post(`/leases/${id}/renew`, { ttlSeconds: 120 }),
    ]);
    const { body } = await admin.get(`/leases/${id}`);
    assert.equal(renewed.status, 410, "its deadline has passed, whoever comes first");
    assert.equal(body.terminationReason, "expired");
    assert.equal(engine.of(id), undefined);
  }
});

// Guards against a release, a restart and a pause that undo each other.
test("asked for everything at once, a lease that is released ends", async (t) => {
  const { admin, engine, db, tenant, settle, pass } = await startLeases(t);
  for (let round = 0; round < 5; round += 1) {
    const { id } = await makeLease(admin);
    const answers = await Promise.all([
      admin.post(`/leases/${id}/pause`),
      admin.post(`/leases/${id}/restart`),
      admin.delete(`/leases/${id}`),
      admin.post(`/leases/${id}/renew`),
      admin.delete(`/leases/${id}`),
    ]);
    for (const { status } of answers) assert.ok([200, 202, 204, 409, 410].includes(status));
    await settle();
    await pass(61);
    const { body } = await admin.get(`/leases/${id}`);
    assert.equal(body.state, "ended", body.message);
    assert.equal(engine.of(id), undefined);
  }
  assert.deepEqual(await readQuotaDrift(db, tenant), []);
});
