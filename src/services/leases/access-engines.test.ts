import assert from "node:assert/strict";
import { test } from "node:test";
import { isoNow } from "#kernel/clock.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import { makeLease, refusal, startLeases } from "./fixture.ts";
import { noProcessRuntime } from "./fixtures/process-runtime.ts";
import { reachEverything } from "./fixtures/reaching.ts";
import type { Stats } from "./runtimes/types.ts";

const reason = await noProcessRuntime();

// Guards against ways into a container that only a stand-in for an engine has.
test("a plain process is reached into over HTTP", { skip: reason }, (t) =>
  reachEverything(t, { image: "alpine", env: { LEASES_RUNTIME: "process" } }),
);

// Guards against the same.
test("a container of a real Docker Engine is reached into over HTTP", async (t) => {
  const host = await requireService(t, "docker");
  if (host === null) return;
  const image = testImage();
  const env = { LEASES_RUNTIME: "docker", DOCKER_HOST: host, LEASES_ALLOWED_IMAGES: image };
  await reachEverything(t, { image, env });
});

const nothing: Stats = {
  cpuSeconds: null,
  memoryBytes: null,
  memoryLimitBytes: 1_024,
  pids: null,
  networkInBytes: null,
  networkOutBytes: null,
  diskBytes: null,
};

// Guards against numbers that are made up, shown to others, or keep a lease alive.
test("statistics say what the engine says, to who may see the lease", async (t) => {
  const { admin, user, stranger, engine, clock, pass } = await startLeases(t);
  const { id } = await makeLease(admin, { preset: "standard", idleTtlSeconds: 60 });
  const path = `/leases/${id}/stats`;
  engine.reach.stats = async () => nothing;
  const { status, body } = await admin.get(path);
  assert.equal(status, 200);
  assert.deepEqual(body, { at: isoNow(clock), ...nothing });
  engine.reach.stats = async () => ({ ...nothing, cpuSeconds: 1.25, pids: 2, diskBytes: 0 });
  const { cpuSeconds, pids, diskBytes } = (await admin.get(path)).body;
  assert.deepEqual([cpuSeconds, pids, diskBytes], [1.25, 2, 0]);
  for (const caller of [user, stranger]) {
    assert.equal(refusal(await caller.get(path)), "404 ERR_REQUEST_NOT_FOUND");
  }
  await pass(59);
  await admin.get(path);
  assert.equal((await admin.get(`/leases/${id}`)).body.expiresInSeconds, 1);
  await admin.post(`/leases/${id}/pause?wait=10`);
  assert.equal((await admin.get(path)).status, 200);
  await admin.delete(`/leases/${id}`);
  assert.equal(refusal(await admin.get(path)), "410 ERR_LEASES_OVER");
});
