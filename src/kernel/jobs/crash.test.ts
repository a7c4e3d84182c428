import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withClient } from "../db/roles.ts";
import { jobHouse } from "../testing/jobs.ts";
import { addJob } from "./add-job.ts";
import { createProgress, readProgress } from "./progress.ts";
import type { JobCatalogue, TenantTask } from "./types.ts";

const catalogue = (run: TenantTask<unknown>["run"]): JobCatalogue<unknown> => ({
  tasks: { "test.work": { title: "Work", timeoutMs: 10_000, run } },
});

// Guards against jobs that stay locked for hours because their worker was killed. With the real
// timings (5 s heartbeat, dead after 20 s) the same takes at most 25 s.
test("after a kill -9 another worker runs the jobs, with one effect each", async (t) => {
  const house = await jobHouse(t);
  const { db, clock, ownerUrl, appUrl } = house;
  const tenant = await house.tenant();
  const ids = ["a", "b", "c"];
  await db.inTenant(tenant, async (tx) => {
    for (const id of ids) addJob(tx, "test.work", { id });
  });
  const program = fileURLToPath(new URL("../testing/doomed-worker.ts", import.meta.url));
  const child = spawn(process.execPath, [program, ownerUrl, appUrl], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => void child.kill("SIGKILL"));
  let said = "";
  while (said.split("\n").length <= ids.length) said += (await once(child.stdout, "data"))[0];

  const ran: string[] = [];
  const all = Promise.withResolvers<void>();
  const run: TenantTask<unknown>["run"] = async ({ id }, { attempt }) => {
    assert.equal(attempt, 2);
    const resource = { type: "thing", id: String(id) };
    await createProgress({ db, tenant, resource, clock }).report(1, 1);
    if (ran.push(String(id)) === ids.length) all.resolve();
  };
  await house.work(catalogue(run), { heartbeatMs: 100, deadAfterMs: 1_000 });
  const before = await house.admin.list({ state: "running", limit: 10 });
  assert.equal(before.length, 3, "a living worker keeps its jobs");
  child.kill("SIGKILL");
  await once(child, "exit");
  await all.promise;
  assert.deepEqual(ran.toSorted(), ids);
  for (const id of ids) {
    const progress = await db.inTenant(tenant, (tx) => readProgress(tx, { type: "thing", id }));
    assert.equal(progress?.done, 1);
  }
  const workers = await withClient(ownerUrl, (owner) =>
    owner.query("select id from platform.worker"),
  );
  assert.equal(workers.rows.length, 1, "the dead one is off the list");
});

// Guards against a worker that silently stops working when the database drops its connections.
test("a worker goes on after all its connections were cut in the middle of a job", async (t) => {
  const house = await jobHouse(t);
  const { db, ownerUrl } = house;
  const tenant = await house.tenant();
  const began = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const runs = new Map<unknown, number>();
  let wanted = Promise.withResolvers<void>();
  await house.work(
    catalogue(async ({ n }) => {
      runs.set(n, (runs.get(n) ?? 0) + 1);
      began.resolve();
      if (n === 1) await held.promise;
      else wanted.resolve();
    }),
    { heartbeatMs: 50, deadAfterMs: 500 },
  );
  const add = (n: number) => db.inTenant(tenant, async (tx) => addJob(tx, "test.work", { n }));
  await add(1);
  await began.promise;
  const cut = () =>
    withClient(ownerUrl, (owner) =>
      owner.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'plimsoll worker' and datname = current_database()`,
      ),
    );
  await cut();
  held.resolve();
  await add(2);
  await wanted.promise;
  wanted = Promise.withResolvers();
  await cut();
  await add(3);
  await wanted.promise;
  while ((await house.admin.list({ limit: 5 })).length > 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(new Set(runs.keys()), new Set([1, 2, 3]));
});
