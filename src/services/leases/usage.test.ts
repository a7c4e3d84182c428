import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLease, makeWritable, refusal, startLeases } from "./fixture.ts";
import { runtimeErrors } from "./runtimes/errors.ts";

/** 1 CPU and 1 GB for an hour cost 3.60 + 0.36: a tenth of a penny and a hundredth a second. */
const env = { LEASES_PRICES: "*=360:36:0,debian=720:0:25" };
const size = { cpuMillis: 1_000, memoryMb: 1_024, ttlSeconds: 600, preset: undefined };
/** Of that size, in millionths of a penny. */
const perSecond = 110_000;

// Guards against money for time paused, time between crash and restart, or time beyond a deadline.
test("what a lease costs is exact through pauses, restarts and its expiry", async (t) => {
  const { admin, engine, deps, tenant, clock, pass, settle } = await startLeases(t, { env });
  const { id } = await makeLease(admin, size);
  const cost = async () => {
    const { body } = await admin.get(`/leases/usage?groupBy=lease`);
    return Number(body.totals[0]?.costMicros ?? 0) / perSecond;
  };
  await pass(100);
  assert.equal(await cost(), 100);
  await admin.post(`/leases/${id}/pause?wait=10`);
  await pass(50);
  assert.equal(await cost(), 100, "paused");
  await admin.post(`/leases/${id}/resume?wait=10`);
  await pass(40);
  engine.die(engine.of(id)?.id as string, { exitCode: 1 });
  await pass(3);
  await deps.engine.observe(tenant, id);
  assert.equal(await cost(), 140, "until it died, not until that was seen");
  await pass(1);
  await settle();
  assert.equal((await admin.get(`/leases/${id}`)).body.state, "running");
  await pass(20);
  await admin.post(`/leases/${id}/restart?wait=10`);
  assert.equal(await cost(), 160);
  const { body } = await admin.get(`/leases/${id}`);
  // The sweep comes an hour late.
  await deps.engine.settled();
  clock.set(Date.parse(body.expiresAt) + 3_600_000);
  await settle();
  const { rows } = await deps.db.query(tenant, "select cost_micros::text as micros from lease");
  const left = 600 - 100 - 40 - 3 - 1 - 20;
  assert.equal(Number(rows[0]?.micros) / perSecond, 160 + left, "until its deadline");
});

// Guards against a lease that costs something although nobody ever had it.
test("a lease that failed is free, its flat price too", async (t) => {
  const { admin, engine, settle } = await startLeases(t, { env });
  engine.meddle = (call) => {
    if (call === "create") throw runtimeErrors.image_missing({ detail: "There is no such image." });
  };
  const asked = await admin.post("/leases?wait=10", { image: "debian" });
  await settle();
  const failed = (await admin.get(`/leases/${asked.body.id}`)).body;
  assert.deepEqual(
    [failed.state, failed.terminationReason, failed.message, failed.costMinor],
    ["failed", "failed", "There is no such image.", 0],
  );
  assert.deepEqual((await admin.get("/leases/usage")).body.items, []);
});

// Guards against a flat price that is charged for every interval, and a price of another image.
test("each image has its price, and its flat price is paid once", async (t) => {
  const { admin, pass } = await startLeases(t, { env });
  const debian = await makeLease(admin, { ...size, image: "debian" });
  assert.equal(debian.estimatedCostMinor, 25 + 120);
  await pass(10);
  await admin.post(`/leases/${debian.id}/restart?wait=10`);
  await pass(10);
  const { body } = await admin.get(`/leases/${debian.id}`);
  assert.equal(body.costMinor, 25 + 4);
  const presets = (await admin.get("/leases/presets")).body.items;
  assert.deepEqual(
    presets.map((one: Record<string, unknown>) => [one.name, one.estimatedCostMinor]),
    [
      ["tiny", 8],
      ["standard", 99],
      ["large", 396],
    ],
  );
});

// Guards against a template whose price nobody asks for, and a snapshot that is cheaper than it.
test("a template's own price holds, for what is restored from it too", async (t) => {
  const { admin } = await startLeases(t, { env });
  await makeWritable(admin, { priceCpuHourMinor: 3_600, priceFlatMinor: 7, ttlSeconds: 600 });
  const body = { template: "writable", image: undefined, preset: undefined };
  const { id, estimatedCostMinor } = await makeLease(admin, body);
  assert.equal(estimatedCostMinor, 7 + 300 + 3);
  const kept = await admin.post(`/leases/${id}/snapshots?wait=10`);
  const restored = await admin.post(`/snapshots/${kept.body.id}/restore?wait=10`);
  assert.equal(restored.body.estimatedCostMinor, 7 + 300 + 3, restored.text);
});

// Guards against a report whose parts do not add up, or that shows what is not the reader's.
test("usage is reported by lease, owner, template, image and day, and as a file", async (t) => {
  const leases = await startLeases(t, { env });
  const { admin, user, userId, pass, clock } = leases;
  clock.set(Date.UTC(2026, 0, 31, 23, 55));
  await makeWritable(admin);
  const mine = await makeLease(admin, { ...size, template: "writable", image: undefined });
  const theirs = await makeLease(user, size);
  await pass(540);
  await admin.delete(`/leases/${mine.id}`);
  await leases.settle();
  const of = async (caller: typeof admin, query: string) => {
    const { body, text } = await caller.get(`/leases/usage?from=2026-01-01T00:00:00Z&${query}`);
    assert.ok(body.items, text);
    const micros = body.items.map((one: Record<string, string>) => Number(one.costMicros));
    const sum = micros.reduce((total: number, one: number) => total + one, 0);
    assert.equal(sum, Number(body.totals[0]?.costMicros ?? 0), query);
    return body.items.map((one: Record<string, string>) => [
      one.group,
      Number(one.costMicros) / perSecond,
    ]);
  };
  assert.deepEqual(await of(admin, "groupBy=day"), [
    ["2026-01-31", 600],
    ["2026-02-01", 480],
  ]);
  assert.deepEqual(await of(admin, "groupBy=template"), [
    ["writable", 540],
    [null, 540],
  ]);
  assert.deepEqual(await of(admin, "groupBy=image"), [["alpine", 1_080]]);
  assert.deepEqual(Object.fromEntries(await of(admin, "groupBy=lease")), {
    [mine.id]: 540,
    [theirs.id]: 540,
  });
  assert.deepEqual(await of(user, "groupBy=owner"), [[await userId(), 540]]);
  assert.deepEqual(await of(user, `groupBy=owner&owner=${mine.ownerId}`), []);
  assert.deepEqual(await of(admin, "groupBy=day&to=2026-01-31T23:56:00Z"), [["2026-01-31", 120]]);
  const csv = await admin.get("/leases/usage.csv?from=2026-01-01T00:00:00Z");
  const lines = csv.text.trim().split("\r\n");
  assert.match(lines[0] ?? "", /^leaseId,ownerId,template,image,startedAt,endedAt,milliseconds,/);
  assert.equal(lines.length, 3);
  assert.match(lines[1] ?? "", /,540000,1000,1024,59400000,GBP$/);
  const backwards = await admin.get(
    "/leases/usage?from=2026-02-02T00:00:00Z&to=2026-02-01T00:00:00Z",
  );
  assert.equal(refusal(backwards), "422 ERR_REQUEST_INVALID query/from");
  const long = await admin.get("/leases/usage?from=2020-01-01T00:00:00Z");
  assert.equal(refusal(long), "422 ERR_LEASES_TOO_LONG_AGO query/from");
});

// Guards against a tenant that spends more than its budget because nobody looks until it ends.
test("when the month's budget is spent, what runs ends as of that moment", async (t) => {
  const spend = { ...env, LEASES_QUOTA_SPEND_MINOR: "20" };
  const { admin, pass, events } = await startLeases(t, { env: spend });
  const two = [await makeLease(admin, size), await makeLease(admin, size)];
  await pass(90);
  assert.equal((await admin.get("/leases/quota")).body.tenant.spendMinor.used, 20);
  for (const { id } of two) {
    assert.equal((await admin.get(`/leases/${id}`)).body.state, "running");
  }
  await pass(10);
  for (const { id } of two) {
    const { body } = await admin.get(`/leases/${id}`);
    assert.deepEqual([body.state, body.terminationReason], ["ended", "budget"]);
  }
  const usage = (await admin.get("/leases/usage")).body.totals[0];
  const overspentMicros = Number(usage.costMicros) - 20_000_000;
  assert.ok(Math.abs(overspentMicros) < 1_000, `${overspentMicros} too much`);
  const refused = await admin.post("/leases", { image: "alpine" });
  assert.equal(refused.body.code, "ERR_LEASES_QUOTA_EXCEEDED");
  assert.deepEqual([refused.body.limit, refused.body.allowed], ["spendMinor", 20]);
  assert.equal((await events()).filter(({ type }) => type === "lease.ended").length, 2);
});

// Guards against money for a container that died while no server was there to see it, and against
// time for nothing where it lived.
test("what died unseen is paid for until it died, what lived until its end", async (t) => {
  const { admin, engine, clock, pass, settle } = await startLeases(t, { env });
  const leased = async () => (await makeLease(admin, { ...size, maxRestarts: 0 })).id as string;
  const [dead, alive, unknown] = [await leased(), await leased(), await leased()];
  const cost = async (id: string) => {
    const { body } = await admin.get("/leases/usage?groupBy=lease");
    const line = body.items.find(({ group }: { group: string }) => group === id);
    return Number(line.costMicros) / perSecond;
  };
  await pass(0);
  clock.advance(200_000);
  engine.die(engine.of(dead)?.id as string, { exitCode: 1 });
  clock.advance(400_000);
  const { inspect } = engine.runtime;
  const container = engine.of(unknown)?.id;
  Object.assign(engine.runtime, {
    inspect: async (id: string) => {
      if (id === container) throw runtimeErrors.unavailable();
      return inspect(id);
    },
  });
  await settle();
  Object.assign(engine.runtime, { inspect });
  await pass(30);
  assert.deepEqual([await cost(dead), await cost(alive), await cost(unknown)], [200, 600, 0]);
  const reasons = [dead, alive, unknown].map(async (id) => {
    const { body } = await admin.get(`/leases/${id}`);
    return [body.state, body.terminationReason];
  });
  assert.deepEqual(await Promise.all(reasons), [
    ["ended", "crashed"],
    ["ended", "expired"],
    ["ended", "expired"],
  ]);
});

// Guards against a budget that holds only for what is leased after it was set.
test("a budget that is set while leases run ends those too", async (t) => {
  const { admin, pass, limit, deps } = await startLeases(t, { env });
  const { id } = await makeLease(admin, size);
  await pass(120);
  await limit({ "leases.quota_spend_minor": 5 });
  await deps.engine.reconcile(new AbortController().signal);
  await pass(1);
  const { body } = await admin.get(`/leases/${id}`);
  assert.deepEqual([body.state, body.terminationReason], ["ended", "budget"]);
});

// Guards against a user's budget that ends the leases of others, or of none.
test("a user's budget ends that user's leases only", async (t) => {
  const spend = { ...env, LEASES_USER_QUOTA_SPEND_MINOR: "5" };
  const { admin, user, pass } = await startLeases(t, { env: spend });
  const theirs = await makeLease(user, { ...size, cpuMillis: 2_000 });
  const mine = await makeLease(admin, { ...size, cpuMillis: 100, memoryMb: 64 });
  await pass(60);
  assert.equal((await admin.get(`/leases/${theirs.id}`)).body.terminationReason, "budget");
  assert.equal((await admin.get(`/leases/${mine.id}`)).body.state, "running");
});
