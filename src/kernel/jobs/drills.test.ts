import assert from "node:assert/strict";
import { test } from "node:test";
import { withClient } from "../db/roles.ts";
import { drill } from "../testing/faults.ts";
import { jobHouse } from "../testing/jobs.ts";
import { addJob } from "./add-job.ts";
import type { JobCatalogue } from "./types.ts";

for (const [point, runs] of [
  ["jobs.task.run", 1],
  ["jobs.task.done", 2],
] as const) {
  // Guards against a job that one bad moment loses, or whose work is done and then forgotten.
  test(`${point}: a job that fails there is tried again, to the same effect`, async (t) => {
    const house = await jobHouse(t);
    const tenant = await house.tenant();
    const faults = drill(house, point);
    let ran = 0;
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const jobs: JobCatalogue<unknown> = {
      tasks: {
        "test.work": {
          title: "Work",
          timeoutMs: 10_000,
          async run(_payload, { attempt }) {
            ran += 1;
            const name = "One and the same";
            await house.db.inTenant(tenant, (tx) =>
              tx.query("update platform.tenant set name = $1 where id = $2", [name, tenant.id]),
            );
            if (attempt === 2) resolve();
          },
        },
      },
    };
    await house.work(jobs, { faults });
    await house.db.inTenant(tenant, async (tx) => addJob(tx, "test.work", {}));
    const isWaiting = async () => {
      const [job] = await house.admin.list({ limit: 10 });
      return job?.attempts === 1 && job.state === "waiting";
    };
    while (!(await isWaiting())) await new Promise((turn) => setImmediate(turn));
    // The pause before the second attempt is the library's, by the database's clock.
    await withClient(house.ownerUrl, (owner) =>
      owner.query("update graphile_worker._private_jobs set run_at = now()"),
    );
    await done;
    assert.deepEqual([faults.struck(), ran], [1, runs]);
    while ((await house.admin.list({ limit: 10 })).length > 0) {
      await new Promise((turn) => setImmediate(turn));
    }
  });
}
