import assert from "node:assert/strict";
import { test } from "node:test";
import { type Leases, makeLease, refusal, startLeases } from "./fixture.ts";
import { readQuotaDrift } from "./store/quota.ts";

const pooled = { name: "shell", image: "alpine", cpuMillis: 100, memoryMb: 64, ttlSeconds: 300 };
const shell = { template: "shell", image: undefined, preset: undefined };

async function makePool(house: Leases, warmSize = 2, body: object = {}) {
  const wanted = { ...pooled, warmSize, ...body };
  const made = await house.admin.post("/leases/templates", wanted);
  assert.equal(made.status, 201, made.text);
  await house.settle();
  return made.body;
}

/** Ids of the containers that run, sorted. */
const running = ({ engine }: Leases) =>
  [...engine.containers.values()]
    .filter(({ state }) => state === "running")
    .map(({ id }) => id)
    .sort();

const creations = ({ engine }: Leases) =>
  engine.calls.filter((call) => call.startsWith("create ")).length;

async function claims({ test: { app } }: Leases, result: string): Promise<number> {
  const { text } = await app.depsOf("leases").metrics.expose();
  const line = new RegExp(`leases_pool_claims_total\\{result="${result}"\\} (\\d+)`).exec(text);
  return Number(line?.[1] ?? 0);
}

async function assertExact({ db, tenant, root }: Leases): Promise<void> {
  assert.deepEqual(await readQuotaDrift(db, tenant), [], "quotas are sums");
  assert.deepEqual((await root.get("/admin/leases/drift")).body.items, []);
}

const used = async ({ admin }: Leases) => {
  const { tenant, warm } = (await admin.get("/leases/quota")).body;
  return [tenant.leases.used, tenant.cpuMillis.used, warm.used];
};

// Guards against a pool whose containers are made anew all the same, and one that is never full.
test("a lease is given a container that runs already, and its place is filled", async (t) => {
  const house = await startLeases(t);
  await makePool(house);
  const ready = running(house);
  assert.equal(ready.length, 2);
  assert.deepEqual(await used(house), [0, 200, 2]);
  await house.pass(600);
  const before = creations(house);
  const lease = await makeLease(house.admin, shell);
  const container = house.engine.of(lease.id);
  assert.ok(ready.includes(container?.id as string), "it was there before");
  assert.equal(creations(house), before + 1, "it is asked for once more, and found by its name");
  assert.deepEqual([lease.generation, lease.costMinor, lease.restarts], [1, 0, 0]);
  assert.equal(lease.startedAt, lease.createdAt, "what it ran before is nobody's to pay");
  assert.equal(house.engine.containers.size, 2);
  await house.settle();
  assert.equal(running(house).length, 3);
  assert.deepEqual(await used(house), [1, 300, 2]);
  assert.deepEqual([await claims(house, "hit"), await claims(house, "miss")], [1, 0]);
  await assertExact(house);
  await house.pass(300);
  const ended = (await house.admin.get(`/leases/${lease.id}`)).body;
  assert.deepEqual([ended.state, ended.terminationReason], ["ended", "expired"]);
  assert.equal(house.engine.of(lease.id), undefined);
  assert.deepEqual(await used(house), [0, 200, 2]);
  await assertExact(house);
});

// Guards against a container that two leases have, or that a lease has whose tenant it is not of.
test("whoever comes at once, each gets a container of its own", async (t) => {
  const house = await startLeases(t);
  const { admin, stranger, engine } = house;
  await makePool(house, 3);
  const ready = new Set(running(house));
  const leases = await Promise.all(Array.from({ length: 8 }, () => makeLease(admin, shell)));
  const ids = leases.map(({ id }) => engine.of(id)?.id as string);
  assert.equal(new Set(ids).size, 8);
  assert.equal(ids.filter((id) => ready.has(id)).length, 3);
  assert.deepEqual([await claims(house, "hit"), await claims(house, "miss")], [3, 5]);
  await stranger.post("/leases/templates", pooled);
  const theirs = await makeLease(stranger, shell);
  await house.settle();
  for (const { spec } of engine.containers.values()) {
    const isTheirs = spec.identity.leaseId === theirs.id;
    assert.equal(spec.identity.tenantId !== house.tenant.id, isTheirs);
  }
  await assertExact(house);
});

// Guards against a lease that is not what was asked for, only because that was at hand.
test("a container that is not exactly what is asked for stays where it is", async (t) => {
  const house = await startLeases(t);
  const { admin, engine } = house;
  await makePool(house, 1);
  const [ready] = running(house);
  const others = [
    { env: { TOKEN: "s3cr3t" } },
    { command: ["sleep", "60"] },
    { memoryMb: 128 },
    { ports: [8080] },
  ];
  for (const other of others) {
    const lease = await makeLease(admin, { ...shell, ...other });
    assert.notEqual(engine.of(lease.id)?.id, ready, JSON.stringify(other));
  }
  const plain = await makeLease(admin, { cpuMillis: 100, memoryMb: 64, preset: undefined });
  assert.notEqual(engine.of(plain.id)?.id, ready);
  // What is only written down needs no container of its own.
  const named = { name: "Mine", ttlSeconds: 120, idleTtlSeconds: 60, maxRestarts: 0 };
  const lease = await makeLease(admin, { ...shell, ...named });
  assert.equal(engine.of(lease.id)?.id, ready);
  assert.deepEqual([lease.name, lease.ttlSeconds, lease.maxRestarts], ["Mine", 120, 0]);
});

for (const harm of ["die", "vanish", "pause"] as const) {
  // Guards against a lease that is said to run in a container that does not.
  test(`a container that was ready and is not alive is replaced: ${harm}`, async (t) => {
    const house = await startLeases(t);
    const { admin, engine } = house;
    await makePool(house, 1);
    const [ready] = running(house) as [string];
    if (harm === "vanish") engine.vanish(ready);
    else if (harm === "die") engine.die(ready, { exitCode: 1 });
    else Object.assign(engine.containers.get(ready) ?? {}, { state: "paused" });
    const lease = await makeLease(admin, shell);
    const container = engine.of(lease.id);
    assert.equal(container?.state, "running");
    assert.notEqual(container?.id, ready);
    assert.equal(engine.containers.has(ready), false);
    assert.deepEqual([lease.generation, lease.restarts], [1, 0], "it is no crash of the lease");
    assert.deepEqual([await claims(house, "hit"), await claims(house, "dead")], [0, 1]);
    await house.settle();
    await assertExact(house);
  });
}

// Guards against leases of what a template was before, and pools of what nobody can lease.
test("a pool goes with what its template says", async (t) => {
  const house = await startLeases(t);
  const { admin, engine } = house;
  const { id } = await makePool(house, 3);
  const path = `/leases/templates/${id}`;
  const change = async (body: object) => {
    const { version } = (await admin.get(path)).body;
    const changed = await admin.patch(path, body, { "if-match": `"${version}"` });
    assert.equal(changed.status, 200, changed.text);
  };
  const old = running(house);
  await change({ memoryMb: 96 });
  // Before anybody has looked at the pool again.
  const lease = await makeLease(admin, shell);
  assert.equal(old.includes(engine.of(lease.id)?.id as string), false);
  assert.equal(lease.memoryMb, 96);
  await house.settle();
  assert.equal(
    old.some((one) => engine.containers.has(one)),
    false,
  );
  assert.equal(running(house).length, 4);
  await change({ warmSize: 1 });
  await house.settle();
  assert.equal(running(house).length, 2);
  await change({ active: false });
  await house.settle();
  assert.equal(running(house).length, 1);
  await change({ active: true });
  await house.settle();
  assert.equal(running(house).length, 2);
  assert.equal((await admin.delete(path)).status, 204);
  await house.settle();
  assert.deepEqual(running(house), [engine.of(lease.id)?.id]);
  await assertExact(house);
});

// Guards against a container that is leased long after its image was mended, and an empty pool.
test("containers that are kept for an hour are replaced, a few at a time", async (t) => {
  const house = await startLeases(t);
  await makePool(house, 6);
  const old = running(house);
  assert.equal(old.length, 6);
  await house.pass(3_500);
  assert.deepEqual(running(house), old);
  let least = 6;
  house.engine.meddle = () => {
    least = Math.min(least, running(house).length);
  };
  await house.pass(160);
  const fresh = running(house);
  assert.equal(fresh.length, 6);
  assert.deepEqual(
    fresh.filter((id) => old.includes(id)),
    [],
  );
  assert.ok(least >= 1, "one was ready all the time");
  await assertExact(house);
});

// Guards against a lease that is refused because of containers that nobody has leased.
test("what is kept ready counts, and gives way", async (t) => {
  const house = await startLeases(t);
  const { admin } = house;
  await house.limit({ "leases.quota_cpu_millis": 550 });
  await makePool(house, 4);
  assert.deepEqual(await used(house), [0, 400, 4]);
  const large = { preset: undefined, memoryMb: 64 };
  await makeLease(admin, { ...large, cpuMillis: 300 });
  assert.deepEqual(await used(house), [1, 500, 2], "two have made room");
  await house.settle();
  assert.deepEqual(await used(house), [1, 500, 2], "and nothing is made for which there is none");
  const refused = await admin.post("/leases", { image: "alpine", ...large, cpuMillis: 300 });
  assert.equal(refusal(refused), "409 ERR_LEASES_QUOTA_EXCEEDED");
  assert.deepEqual(await used(house), [1, 500, 2], "none goes for a lease that comes to nothing");
  await makeLease(admin, shell);
  assert.deepEqual(await used(house), [2, 500, 1], "one that is leased is counted once");
  await house.settle();
  assert.equal(running(house).length, 3);
  await assertExact(house);
});

// Guards against a tenant that keeps more than the installation lets it.
test("a tenant keeps no more ready than it may, of all its templates together", async (t) => {
  const house = await startLeases(t, { env: { LEASES_QUOTA_WARM: "3" } });
  await makePool(house, 2);
  await makePool(house, 2, { name: "other" });
  assert.deepEqual(await used(house), [0, 300, 3]);
  await house.limit({ "leases.quota_warm": 1 });
  await house.pass(60);
  assert.deepEqual(await used(house), [0, 100, 1]);
  await house.limit({ "leases.quota_warm": 0 });
  await house.pass(60);
  assert.deepEqual([await used(house), running(house)], [[0, 0, 0], []]);
  await assertExact(house);
});

// Guards against containers for a tenant that never asked for them, and one that shares a pool.
test("of a platform's template a tenant has a pool when it says so", async (t) => {
  const house = await startLeases(t);
  const { admin, root, stranger, engine } = house;
  await stranger.get("/leases");
  const body = { ...pooled, scope: "platform", warmSize: 2 };
  const { id, version } = (await root.post("/leases/templates", body)).body;
  const path = `/leases/templates/${id}`;
  await house.settle();
  assert.equal(engine.containers.size, 0);
  await house.limit({ "leases.warm_platform_templates": true }, { platformAdmin: false });
  await house.settle();
  const ready = running(house);
  assert.equal(ready.length, 2);
  for (const { spec } of engine.containers.values()) {
    assert.equal(spec.identity.tenantId, house.tenant.id);
  }
  const theirs = await makeLease(stranger, shell);
  assert.equal(ready.includes(engine.of(theirs.id)?.id as string), false);
  const mine = await makeLease(admin, shell);
  assert.ok(ready.includes(engine.of(mine.id)?.id as string));
  const changed = await root.patch(path, { warmSize: 0 }, { "if-match": `"${version}"` });
  assert.equal(changed.status, 200, changed.text);
  await house.pass(60);
  assert.equal(running(house).length, 2, "of both there are only the leases");
  await root.patch(path, { warmSize: 1 }, { "if-match": `"${changed.body.version}"` });
  await house.pass(60);
  assert.equal(running(house).length, 3, "it looks again, though nobody tells it");
});

// Guards against a container that is taken for a stray, and against one that nobody misses.
test("reconciling knows what is kept ready, and mends it", async (t) => {
  const house = await startLeases(t);
  const { engine, deps, root } = house;
  await makePool(house, 3);
  house.clock.advance(61_000);
  const [gone, dead, fine] = running(house) as [string, string, string];
  engine.vanish(gone);
  engine.die(dead, { exitCode: 0 });
  const { items } = (await root.get("/admin/leases/drift")).body;
  assert.deepEqual(
    items.map(({ kind }: { kind: string }) => kind),
    ["warm_mismatch", "warm_mismatch"],
  );
  await deps.engine.reconcile(new AbortController().signal);
  await house.pass(5);
  assert.equal(running(house).length, 3);
  assert.deepEqual([engine.containers.has(dead), engine.containers.has(fine)], [false, true]);
  await assertExact(house);
});

// Guards against a machine that does nothing but start a program that ends at once.
test("a program that ends over and over is started ever less often", async (t) => {
  const house = await startLeases(t);
  const { engine, deps } = house;
  engine.meddle = (call, when, id) => {
    if (call === "start" && when === "after") engine.die(id, { exitCode: 0 });
  };
  await makePool(house, 2);
  for (let minutes = 0; minutes < 30; minutes += 1) {
    await house.pass(60);
    await deps.engine.reconcile(new AbortController().signal);
  }
  const starts = engine.calls.filter((call) => call.startsWith("start ")).length;
  assert.ok(starts > 4 && starts < 50, `started ${starts} times`);
  engine.meddle = () => {};
  await house.pass(300);
  assert.equal(running(house).length, 2, "it is not given up");
});

// Guards against containers for a tenant that has been switched off.
test("a tenant that is not active has no pool", async (t) => {
  const house = await startLeases(t);
  await makePool(house, 2);
  const { identity } = house.test.app;
  await identity.db.inPlatform((tx) =>
    tx.query("update platform.tenant set active = false where id = $1", [house.tenant.id]),
  );
  await house.pass(61);
  assert.equal(house.engine.containers.size, 0);
  assert.deepEqual(await readQuotaDrift(house.db, house.tenant), []);
});

// Guards against a tenant whose schemas are its own, and whose pools are nobody's.
test("a tenant with schemas of its own has pools like any other", async (t) => {
  const house = await startLeases(t, { isolation: "dedicated" });
  await makePool(house, 1);
  const [ready] = running(house);
  const lease = await makeLease(house.admin, shell);
  assert.equal(house.engine.of(lease.id)?.id, ready);
  await house.settle();
  assert.equal(running(house).length, 2);
  await assertExact(house);
});

// Guards against a list in which what was leased last is somewhere in the middle.
test("lists show what was leased last first, however old its container is", async (t) => {
  const house = await startLeases(t);
  const { admin } = house;
  await makePool(house, 1);
  house.clock.advance(1_000);
  const ids: string[] = [];
  for (const body of [{}, shell, {}]) {
    house.clock.advance(1_000);
    ids.unshift((await makeLease(admin, body)).id);
  }
  const first = (await admin.get("/leases?limit=2")).body;
  const rest = (await admin.get(`/leases?limit=2&cursor=${first.nextCursor}`)).body;
  const listed = [...first.items, ...rest.items].map(({ id }: { id: string }) => id);
  assert.deepEqual(listed, ids);
  assert.equal(rest.nextCursor, null);
});
