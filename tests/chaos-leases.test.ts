import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { testFolder } from "#kernel/testing/database.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import { faultsOf, runLeasesDrill } from "../chaos/leases-drill.ts";
import { noProcessRuntime } from "../src/services/leases/fixtures/process-runtime.ts";
import type { Engine } from "./support/leases-house.ts";

const points = [
  "leases.create.container",
  "leases.renew.commit",
  "leases.snapshot.image",
  "leases.expire.container",
  "leases.delete.stop",
  "mutate.after_commit",
];

/** Six kills and restarts of two servers take a minute; on a busy machine several. */
const drill = { timeout: 300_000 };

// Guards against a container, an image, money, a quota or a promise that is lost, left behind or
// counted twice when a server is killed. `npm run chaos -- leases` does the same 200 times.
test(
  "servers that are killed at the worst moments lose no lease and leak nothing",
  drill,
  async (t) => {
    const reason = await noProcessRuntime();
    const isDocker = process.env.PLIMSOLL_TEST_DOCKER_HOST !== undefined || reason !== undefined;
    const host = isDocker ? await requireService(t, "docker") : null;
    if (isDocker && host === null) return;
    const engine: Engine = isDocker
      ? { runtime: "docker", host, image: testImage() }
      : { runtime: "process", host, image: "alpine" };
    const done = await runLeasesDrill({
      engine,
      cycles: points.length,
      points,
      clients: 3,
      leasesMost: 6,
      seed: 7,
      dataDir: await mkdtemp(join(testFolder(), "plimsoll-data-")),
    });
    assert.deepEqual(faultsOf(done), []);
    assert.deepEqual(done.missed, [], "points that nobody came by");
    t.diagnostic(`${engine.runtime}: ${done.counted.leases} leases, ${done.cycles} kills`);
  },
);
