import assert from "node:assert/strict";
import { test } from "node:test";
import { withClient } from "../db/roles.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { type JobHouse, jobHouse } from "../testing/jobs.ts";
import { addJob } from "./add-job.ts";
import type { AddJobOptions, JobCatalogue, JobPayload, TenantJobContext } from "./types.ts";

type Run = (payload: JobPayload, context: TenantJobContext<unknown>) => Promise<void>;

const catalogue = (run: Run, limits = {}): JobCatalogue<unknown> => ({
  tasks: { "test.work": { title: "Work", timeoutMs: 10_000, ...limits, run } },
});

function queue(
  { db }: JobHouse,
  tenant: TenantRef,
  payload: JobPayload = {},
  options: AddJobOptions = {},
): Promise<void> {
  const change = async (tx: Parameters<Parameters<typeof db.inTenant>[1]>[0]) =>
    addJob(tx, "test.work", payload, options);
  return db.inTenant(tenant, change, { requestId: "r-1" });
}

/** Collects what runs, and waits for so many. */
function recorder<T>() {
  const items: T[] = [];
  let waiters: { count: number; resolve: () => void }[] = [];
  return {
    items,
    add(item: T) {
      items.push(item);
      waiters = waiters.filter(({ count, resolve }) => {
        if (items.length < count) return true;
        resolve();
        return false;
      });
    },
    async until(count: number): Promise<T[]> {
      if (items.length < count) {
        await new Promise<void>((resolve) => void waiters.push({ count, resolve }));
      }
      return items;
    },
  };
}

async function untilJobs(
  { admin }: JobHouse,
  holds: (jobs: Awaited<ReturnType<typeof admin.list>>) => boolean,
) {
  for (;;) {
    const jobs = await admin.list({ limit: 100 });
    if (holds(jobs)) return jobs;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

// Guards against jobs of changes that never were, and jobs that don't know whose they are.
test("a job runs for its tenant once its transaction has committed", async (t) => {
  const house = await jobHouse(t);
  const tenant = await house.tenant();
  const ran = recorder<{ payload: JobPayload; context: TenantJobContext<unknown> }>();
  await house.work(catalogue(async (payload, context) => ran.add({ payload, context })));
  const failing = house.db.inTenant(tenant, async (tx) => {
    addJob(tx, "test.work", { n: 0 });
    throw new Error("no");
  });
  await assert.rejects(failing);
  await queue(house, tenant, { n: 1, tenantId: "someone-else" });
  const [job] = await ran.until(1);
  assert.ok(job);
  assert.deepEqual(job.payload, { n: 1 });
  const { context } = job;
  assert.deepEqual(context.tenant, tenant);
  assert.deepEqual(context.deps, { name: "deps" });
  assert.equal(context.requestId, "r-1");
  assert.deepEqual([context.actor.kind, context.actor.id], ["system", "job:test.work"]);
  assert.deepEqual([context.attempt, context.lastAttempt], [1, false]);
  await untilJobs(house, (jobs) => jobs.length === 0);
  assert.equal(ran.items.length, 1);
});

// Guards against a tenant that makes work for another, or reads the queue.
test("the app role reaches the queue only through its own tenant", async (t) => {
  const house = await jobHouse(t);
  const { db } = house;
  const tenant = await house.tenant();
  const tried = [
    "select graphile_worker.add_job('test.work', '{}')",
    "select * from graphile_worker._private_jobs",
    "select * from graphile_worker.jobs",
    "delete from platform.worker",
  ];
  for (const text of tried) {
    await assert.rejects(
      db.inTenant(tenant, (tx) => tx.query(text)),
      { code: "42501" },
      text,
    );
  }
  const outside = "select platform.add_job('test.work', '{}', null, null, null, null)";
  await assert.rejects(
    db.inPlatform((tx) => tx.query(outside)),
    { code: "42501" },
  );
  await assert.rejects(queue(house, tenant, { text: "x".repeat(70_000) }), { code: "23514" });
  await queue(house, tenant, { tenantId: "another" });
  const [job] = await house.admin.list({ limit: 5 });
  assert.deepEqual([job?.tenantId, job?.state, job?.task], [tenant.id, "waiting", "test.work"]);
});

// Guards against duplicates of keyed jobs, keys shared by tenants, and jobs before their time.
test("a key keeps one waiting job per tenant, and a job waits for its moment", async (t) => {
  const house = await jobHouse(t);
  const [tenant, other] = [await house.tenant(), await house.tenant()];
  const later = "2999-01-01T00:00:00.000000Z";
  await queue(house, tenant, { n: 1 }, { key: "k", runAt: later });
  await queue(house, tenant, { n: 2 }, { key: "k", runAt: later });
  await queue(house, other, { n: 3 }, { key: "k", runAt: later });
  assert.equal((await house.admin.list({ limit: 5 })).length, 2);
  const ran = recorder<unknown>();
  await house.work(catalogue(async ({ n }) => ran.add(n)));
  await queue(house, tenant, { n: 4 });
  await ran.until(1);
  await queue(house, tenant, { n: 5 }, { key: "k" });
  await ran.until(2);
  assert.deepEqual(ran.items, [4, 5]);
  const left = await untilJobs(house, (jobs) => jobs.length === 1);
  assert.deepEqual([left[0]?.tenantId, left[0]?.runAt], [other.id, later]);
});

// Guards against a keyed job that is lost because its forerunner was just running.
test("a job queued under the key of a running one runs after it", async (t) => {
  const house = await jobHouse(t);
  const tenant = await house.tenant();
  const held = Promise.withResolvers<void>();
  const ran = recorder<unknown>();
  await house.work(
    catalogue(async ({ n }) => {
      ran.add(n);
      if (n === 1) await held.promise;
    }),
  );
  await queue(house, tenant, { n: 1 }, { key: "k" });
  await ran.until(1);
  await queue(house, tenant, { n: 2 }, { key: "k" });
  await ran.until(2);
  held.resolve();
  await untilJobs(house, (jobs) => jobs.length === 0);
  assert.deepEqual(ran.items, [1, 2]);
});

// Guards against jobs of one queue that overlap or change places.
test("jobs of one queue run one at a time, in order", async (t) => {
  const house = await jobHouse(t);
  const tenant = await house.tenant();
  for (let n = 1; n <= 20; n += 1) await queue(house, tenant, { n }, { queue: "q" });
  const ran = recorder<unknown>();
  let running = 0;
  const run: Run = async ({ n }) => {
    running += 1;
    assert.equal(running, 1);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    ran.add(n);
  };
  await house.work(catalogue(run));
  await house.work(catalogue(run));
  await ran.until(20);
  assert.deepEqual(
    ran.items,
    Array.from({ length: 20 }, (_, n) => n + 1),
  );
});

// Guards against failures that vanish: they are tried again, then listed until somebody decides.
test("a failing job is tried again, then listed, and can be retried", async (t) => {
  const house = await jobHouse(t);
  const { admin, ownerUrl } = house;
  const tenant = await house.tenant();
  const ran = recorder<boolean>();
  let fails = true;
  const run: Run = async (_payload, { lastAttempt }) => {
    ran.add(lastAttempt);
    if (fails) throw new Error("it broke");
  };
  await house.work(catalogue(run, { maxAttempts: 2 }));
  await queue(house, tenant);
  await ran.until(1);
  const [waiting] = await untilJobs(house, ([job]) => job?.state === "waiting");
  assert.ok(waiting);
  assert.equal(waiting.lastError, "it broke");
  assert.ok(Date.parse(waiting.runAt) > Date.parse(waiting.createdAt) + 1_000, "after a pause");
  assert.equal(await admin.retry("999999"), "gone");
  await withClient(ownerUrl, (owner) =>
    owner.query("update graphile_worker._private_jobs set run_at = now()"),
  );
  await ran.until(2);
  const [failed] = await untilJobs(house, ([job]) => job?.state === "failed");
  assert.ok(failed);
  assert.deepEqual(ran.items, [false, true]);
  assert.deepEqual(
    (await admin.list({ state: "failed", limit: 5 })).map(({ id }) => id),
    [failed.id],
  );
  assert.deepEqual(await admin.list({ state: "waiting", limit: 5 }), []);
  assert.deepEqual(await admin.counts(), [{ task: "test.work", state: "failed", count: 1 }]);
  fails = false;
  assert.equal(await admin.retry(failed.id), "done");
  await ran.until(3);
  await untilJobs(house, (jobs) => jobs.length === 0);
  await queue(house, tenant, {}, { runAt: "2999-01-01T00:00:00Z" });
  const [unwanted] = await admin.list({ limit: 1 });
  assert.ok(unwanted);
  assert.equal(await admin.delete(unwanted.id), "done");
  assert.equal(await admin.delete(unwanted.id), "gone");
});

// Guards against a task that hangs, heeding its signal or not, and keeps its place for ever.
test("a job that takes too long is aborted and counts as failed", async (t) => {
  const house = await jobHouse(t);
  const tenant = await house.tenant();
  const hang: Run = async (_payload, { signal }) => {
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  };
  await house.work(catalogue(hang, { timeoutMs: 30, maxAttempts: 1 }));
  await queue(house, tenant);
  const [failed] = await untilJobs(house, ([job]) => job?.state === "failed");
  assert.match(failed?.lastError ?? "", /took longer than 30 ms/);
});

// Guards against work that is lost, or counted as failed, because a server was stopped.
test("a stopping worker lets jobs end, and hands back what does not", async (t) => {
  const house = await jobHouse(t);
  const tenant = await house.tenant();
  const started = recorder<unknown>();
  const held = Promise.withResolvers<void>();
  const first = await house.work(
    catalogue(async ({ how }, { signal }) => {
      started.add(how);
      if (how === "ends") return held.promise;
      await new Promise((_, reject) => {
        if (how === "ignores") return;
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    }),
  );
  for (const how of ["ends", "heeds", "ignores"]) await queue(house, tenant, { how });
  await started.until(3);
  const stopping = first.stop(300);
  await queue(house, tenant, { how: "later" });
  held.resolve();
  await stopping;
  const left = await house.admin.list({ limit: 10 });
  assert.deepEqual(
    left.map(({ state, attempts, lockedAt }) => ({ state, attempts, lockedAt })),
    Array.from({ length: 3 }, () => ({ state: "waiting", attempts: 0, lockedAt: null })),
  );
  const ran = recorder<unknown>();
  await house.work(catalogue(async ({ how }) => ran.add(how)));
  await ran.until(3);
  assert.deepEqual(new Set(ran.items), new Set(["heeds", "ignores", "later"]));
});

// Guards against jobs for tenants that are gone, and platform work that a tenant sets off.
test("a job without a fitting tenant does nothing", async (t) => {
  const house = await jobHouse(t);
  const [gone, tenant] = [await house.tenant(), await house.tenant()];
  const ran = recorder<string>();
  const jobs: JobCatalogue<unknown> = {
    tasks: {
      ...catalogue(async (_, context) => ran.add(context.tenant.id)).tasks,
      "test.sweep": {
        title: "Sweep",
        scope: "platform",
        timeoutMs: 1_000,
        run: async () => ran.add("sweep"),
      },
    },
  };
  const tenants = {
    ref: async (id: string) => (id === gone.id ? null : { id, isolation: "shared" as const }),
  };
  await house.work(jobs, { tenants });
  await queue(house, gone);
  await house.db.inTenant(tenant, async (tx) => addJob(tx, "test.sweep"));
  await queue(house, tenant);
  await ran.until(1);
  const left = await untilJobs(house, (all) => all.length === 1 && all[0]?.state === "failed");
  assert.match(left[0]?.lastError ?? "", /no task for a tenant/);
  assert.deepEqual(ran.items, [tenant.id]);
});

// Guards against cron entries that run once per replica, or not at all after a restart.
test("a cron entry runs once for each minute, however many workers there are", async (t) => {
  const house = await jobHouse(t);
  const minutes = recorder<string>();
  const jobs: JobCatalogue<unknown> = {
    tasks: {
      "test.tick": {
        title: "Tick",
        scope: "platform",
        timeoutMs: 1_000,
        run: async ({ _cron }) => minutes.add((_cron as { ts: string }).ts),
      },
    },
    cron: [{ task: "test.tick", every: "* * * * *" }],
  };
  // As if the servers had been down for the last minutes, which they then make up for.
  await withClient(house.ownerUrl, (owner) =>
    owner.query(
      `insert into graphile_worker._private_known_crontabs
         values ('test.tick * * * * *', now() - interval '1 hour', now() - interval '4 minutes')`,
    ),
  );
  await Promise.all(Array.from({ length: 3 }, () => house.work(jobs)));
  await minutes.until(3);
  await untilJobs(house, (all) => all.length === 0);
  assert.equal(new Set(minutes.items).size, minutes.items.length, "no minute twice");
});

// Guards against catalogues that only fail when their job is due.
test("a catalogue that can't be run is refused at the start", async (t) => {
  const house = await jobHouse(t);
  const task = { title: "x", timeoutMs: 1, run: async () => {} };
  await assert.rejects(
    house.work({ tasks: { "other.work": task } }),
    /must be named "test\.<what>"/,
  );
  await assert.rejects(
    house.work({ tasks: { "test.work": task }, cron: [{ task: "test.work", every: "* * * * *" }] }),
    /scope "platform"/,
  );
  await assert.rejects(
    house.work({
      tasks: { "test.work": { ...task, scope: "platform" } },
      cron: [{ task: "test.work", every: "every day" }],
    }),
    /every day|match|pattern/i,
  );
});
