import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { startTestApp } from "#kernel/testing.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import type { RunningEngine } from "./engine/engine.ts";
import { watched } from "./fixture.ts";
import { leasesService } from "./service.ts";

const size = 4;
const rounds = 5;

// Guards against a pool that only an engine in memory can fill, and against waiting for a container
// that is there.
test("on a real Docker Engine a lease begins in a container that runs already", async (t) => {
  const host = await requireService(t, "docker");
  if (host === null) return;
  const { service, deps: made } = watched(leasesService());
  const env = { LEASES_RUNTIME: "docker", DOCKER_HOST: host, LEASES_ALLOWED_IMAGES: testImage() };
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  // Last come, first served: containers go while there is a server to remove them.
  const cleanup = { after: (clean: () => Promise<void>) => stack.defer(clean) };
  const app = await startTestApp(cleanup, { services: [service], env });
  const deps = made();
  const engine = deps.engine as RunningEngine;
  const { runtime } = await deps.fleet.choose(deps.leases);
  stack.defer(async () => {
    for (const { id } of await runtime.list()) await runtime.remove(id);
    await runtime.tidy?.();
  });
  const admin = app.as("mine", "tenant_admin");
  const wanted = { name: "shell", image: testImage(), command: ["sleep", "600"], memoryMb: 64 };
  const pool = await admin.post("/leases/templates", { ...wanted, cpuMillis: 50, warmSize: size });
  assert.equal(pool.status, 201, pool.text);
  const settle = async () => {
    await engine.settled();
    while ((await engine.sweep()) > 0) await engine.settled();
  };
  const running = async () =>
    (await runtime.list()).filter(({ state }) => state === "running").map(({ id }) => id);

  const tookMs: number[] = [];
  const leased: string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await settle();
    const before = await running();
    assert.equal(before.length, size + leased.length);
    for (let one = 0; one < size; one += 1) {
      const startMs = systemClock.monotonicMs();
      const { status, body } = await admin.post("/leases?wait=20", { template: "shell" });
      tookMs.push(systemClock.monotonicMs() - startMs);
      assert.deepEqual([status, body.state], [202, "running"], body.message);
      const container = await runtime.inspect(`plm-${deps.installId}-${body.id}-1`);
      assert.ok(before.includes(container?.id as string), "it ran before it was leased");
      assert.equal(container?.identity.tenantId, (await app.tenant("mine")).id);
      leased.push(body.id);
    }
    for (const id of leased.splice(0)) await admin.delete(`/leases/${id}`);
  }
  tookMs.sort((a, b) => a - b);
  const at = (part: number) => Math.round(tookMs[Math.floor(tookMs.length * part)] as number);
  t.diagnostic(`from asking to running: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`);

  assert.equal((await admin.delete(`/leases/templates/${pool.body.id}`)).status, 204);
  await settle();
  assert.deepEqual(await runtime.list(), [], "containers that nobody has any more");
});
