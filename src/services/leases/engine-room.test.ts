import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import type { RunningEngine } from "./engine/engine.ts";
import { makeLease, startLeases } from "./fixture.ts";

// Guards against a tenant whose engine hangs and keeps everybody's leases waiting with its own, and
// against leases whose end is decided only when there is time to clean up after others.
test("what an engine keeps waiting delays no other tenant, and no lease's end", async (t) => {
  const { admin, stranger, tenant, engine, deps, clock, settle } = await startLeases(t);
  const doomed = await Promise.all(
    Array.from({ length: 3 }, () => makeLease(admin, { ttlSeconds: 60 })),
  );
  await deps.engine.settled();
  const gate = Promise.withResolvers<void>();
  engine.meddle = (call, when, id) => {
    const isMine = engine.containers.get(id)?.spec.identity.tenantId === tenant.id;
    return call === "start" && when === "before" && isMine ? gate.promise : undefined;
  };
  const asked = { image: "alpine", preset: "tiny", ttlSeconds: 600 };
  const stuck = await Promise.all(Array.from({ length: 150 }, () => admin.post("/leases", asked)));
  const other = await stranger.post("/leases", asked);
  assert.equal(other.status, 202);
  await eventually(
    async () => (await stranger.get(`/leases/${other.body.id}`)).body.state === "running",
    "the other tenant's lease runs",
  );
  clock.advance(60_000);
  const ends = async () => {
    // Resolves when all is done that is due, which is when the engine answers.
    void (deps.engine as RunningEngine).sweep();
    const seen = await Promise.all(doomed.map(({ id }) => admin.get(`/leases/${id}`)));
    return seen.every(({ body }) => body.terminationReason === "expired");
  };
  await eventually(ends, "the ends are decided");
  gate.resolve();
  await settle();
  for (const { body } of stuck) {
    assert.equal((await admin.get(`/leases/${body.id}`)).body.state, "running");
  }
  for (const { id } of doomed) {
    assert.equal((await admin.get(`/leases/${id}`)).body.state, "ended");
  }
});
