import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLease, refusal, startLeases } from "./fixture.ts";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a lease that does not come up, does not end, or leaves something behind.
  test(`a lease of a ${isolation} tenant lives from asking to expiry`, async (t) => {
    const { admin, engine, pass, events, db, tenant } = await startLeases(t, { isolation });
    const { id } = await makeLease(admin);
    assert.equal(engine.containers.size, 1);
    await pass(299);
    assert.equal((await admin.get(`/leases/${id}`)).body.expiresInSeconds, 1);
    await pass(1);
    const ended = (await admin.get(`/leases/${id}`)).body;
    assert.equal(ended.state, "ended", JSON.stringify(ended));
    assert.equal(ended.terminationReason, "expired");
    assert.equal(ended.expiresAt, "2026-01-01T00:05:00.000000Z");
    assert.equal(engine.containers.size, 0);
    const told = (await events()).map(({ type }) => type);
    assert.deepEqual(told, [
      "lease.created",
      "lease.starting",
      "lease.running",
      "lease.expiring",
      "lease.stopping",
      "lease.ended",
    ]);
    const quota = (await admin.get("/leases/quota")).body.tenant;
    assert.deepEqual([quota.leases.used, quota.cpuMillis.used, quota.memoryMb.used], [0, 0, 0]);
    const { rows } = await db.query(tenant, "select 1 from lease_usage where ended_at is null");
    assert.equal(rows.length, 0);
  });
}

// Guards against an answer that makes people wait although nobody asked for it, or does not wait.
test("asking for a lease answers at once, and waits where it is told to", async (t) => {
  const { admin, engine, settle } = await startLeases(t);
  let letGo: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  engine.meddle = (call, when) => (call === "create" && when === "before" ? gate : undefined);
  const asked = await admin.post("/leases", { image: "alpine" });
  assert.equal(asked.status, 202);
  assert.equal(asked.body.state, "pending");
  assert.equal(asked.headers["location"], `/api/v1/leases/${asked.body.id}`);
  const waiting = admin.post("/leases?wait=10", { image: "alpine" });
  letGo();
  assert.equal((await waiting).body.state, "running");
  await settle();
  assert.equal((await admin.get(`/leases/${asked.body.id}`)).body.state, "running");
});

// Guards against a second container for a request that was only sent again.
test("an idempotency key makes one lease, however often and however fast it is sent", async (t) => {
  const { admin, engine, settle } = await startLeases(t);
  const key = { "idempotency-key": "once" };
  const body = { image: "alpine", env: { TOKEN: "s3cr3t" } };
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => admin.post("/leases", body, key)),
  );
  await settle();
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1, "the same bytes");
  assert.equal(engine.containers.size, 1);
  assert.equal((await admin.get("/leases")).body.items.length, 1);
  assert.equal((await admin.get("/leases/quota")).body.tenant.leases.used, 1);
  const other = await admin.post("/leases", { image: "busybox" }, key);
  assert.equal(other.body.code, "ERR_REQUEST_IDEMPOTENCY_KEY_REUSED");
});

// Guards against secrets in answers, events, audit or history, and in the database once it is over.
test("values of environment variables reach the container and nobody else", async (t) => {
  const { admin, root, engine, events, db, tenant, settle } = await startLeases(t);
  const secret = "hunter2-hunter2-hunter2";
  const lease = await makeLease(admin, { env: { API_TOKEN: secret, EMPTY: "" } });
  const container = engine.of(lease.id);
  assert.deepEqual(container?.spec.env, { API_TOKEN: secret, EMPTY: "" });
  assert.deepEqual(Object.keys(lease.env), ["API_TOKEN", "EMPTY"]);
  const seen = [
    JSON.stringify(lease),
    (await admin.get(`/leases/${lease.id}`)).text,
    (await admin.get("/leases")).text,
    (await admin.get(`/leases/${lease.id}/history`)).text,
    (await root.get("/audit")).text,
    JSON.stringify(await events()),
  ];
  for (const text of seen) assert.ok(!text.includes(secret), text);
  const stored = () => db.query(tenant, "select l::text as row, env_sealed from lease l");
  const [row] = (await stored()).rows;
  assert.ok(!String(row?.row).includes(Buffer.from(secret).toString("hex")), "it is sealed");
  await admin.delete(`/leases/${lease.id}`);
  await settle();
  assert.equal((await stored()).rows[0]?.env_sealed, null);
});

// Guards against a renewal beyond the hard cap, or of what has ended.
test("a lease can be renewed until its hard cap, and never once it is over", async (t) => {
  const { admin, pass, events } = await startLeases(t, { env: { LEASES_HARD_CAP_SECONDS: "600" } });
  const { id } = await makeLease(admin);
  await pass(200);
  const renewed = await admin.post(`/leases/${id}/renew`, { ttlSeconds: 300 });
  assert.equal(renewed.status, 200, renewed.text);
  assert.equal(renewed.body.expiresAt, "2026-01-01T00:08:20.000000Z");
  await pass(200);
  const capped = await admin.post(`/leases/${id}/renew`);
  assert.equal(
    capped.body.expiresAt,
    "2026-01-01T00:10:00.000000Z",
    "the TTL of before, and the cap",
  );
  const expiry = await admin.get(`/leases/${id}/expiry`);
  assert.equal(expiry.body.reason, "hard_cap");
  await pass(200);
  assert.equal((await admin.get(`/leases/${id}`)).body.terminationReason, "hard_cap");
  const late = await admin.post(`/leases/${id}/renew`, { ttlSeconds: 300 });
  assert.equal(refusal(late), "410 ERR_LEASES_OVER");
  const told = (await events()).filter(({ type }) => type === "lease.renewed");
  assert.equal(told.length, 2);
});

// Guards against passive reading that keeps a lease alive, and against use that does not.
test("an unused lease ends; keepalive is use, looking at it is none", async (t) => {
  const { admin, pass } = await startLeases(t);
  const idle = { preset: "standard", idleTtlSeconds: 60 };
  const [used, unused] = [await makeLease(admin, idle), await makeLease(admin, idle)];
  await pass(50);
  assert.equal((await admin.post(`/leases/${used.id}/keepalive`)).status, 200);
  await admin.get(`/leases/${unused.id}`);
  await admin.get(`/leases/${unused.id}/expiry`);
  await pass(10);
  const left = (await admin.get("/leases?live=true")).body.items;
  assert.deepEqual(
    left.map(({ id }: { id: string }) => id),
    [used.id],
  );
  const gone = (await admin.get(`/leases/${unused.id}`)).body;
  assert.deepEqual([gone.state, gone.terminationReason], ["ended", "idle"]);
});

// Guards against a pause that costs its lease time, money, or its end.
test("a paused lease keeps what is left of its time, while it may be paused", async (t) => {
  const { admin, engine, pass } = await startLeases(t, { env: { LEASES_PAUSE_SECONDS: "350" } });
  const { id } = await makeLease(admin);
  await pass(100);
  const paused = await admin.post(`/leases/${id}/pause?wait=10`);
  assert.equal(paused.body.state, "paused", paused.text);
  assert.equal(engine.of(id)?.state, "paused");
  await pass(340);
  assert.equal((await admin.get(`/leases/${id}/expiry`)).body.clocksRun, false);
  const resumed = await admin.post(`/leases/${id}/resume?wait=10`);
  assert.equal(resumed.body.state, "running", resumed.text);
  assert.equal(engine.of(id)?.state, "running");
  assert.equal(resumed.body.expiresInSeconds, 200);
  await admin.post(`/leases/${id}/pause?wait=10`);
  await pass(350);
  const ended = (await admin.get(`/leases/${id}`)).body;
  assert.deepEqual([ended.state, ended.terminationReason], ["ended", "expired"]);
  assert.equal(engine.containers.size, 0);
});

// Guards against a restart that takes the old container for the new one, or gives more time.
test("a restart gives a container of the next generation and keeps the deadlines", async (t) => {
  const { admin, engine, pass } = await startLeases(t);
  const lease = await makeLease(admin);
  const before = engine.of(lease.id);
  await pass(60);
  const restarted = await admin.post(`/leases/${lease.id}/restart?wait=10`);
  assert.equal(restarted.body.state, "running", restarted.text);
  assert.deepEqual([restarted.body.generation, restarted.body.restarts], [2, 0]);
  assert.equal(restarted.body.expiresAt, lease.expiresAt);
  const after = engine.of(lease.id);
  assert.notEqual(after?.id, before?.id);
  assert.equal(engine.containers.size, 1);
  assert.match(after?.spec.name ?? "", new RegExp(`^plm-[0-9a-f]{10}-${lease.id}-2$`));
});

// Guards against a lease that can't be got rid of, whatever state it is in.
test("a lease is ended in any state, and again and again", async (t) => {
  const { admin, engine, settle, pass } = await startLeases(t);
  const running = await makeLease(admin);
  const paused = await makeLease(admin);
  await admin.post(`/leases/${paused.id}/pause?wait=10`);
  const pending = (await admin.post("/leases", { image: "alpine" })).body;
  for (const { id } of [running, paused, pending]) {
    assert.equal((await admin.delete(`/leases/${id}`)).status, 204);
  }
  await settle();
  for (const { id } of [running, paused, pending]) {
    const { body } = await admin.get(`/leases/${id}`);
    assert.deepEqual([body.state, body.terminationReason], ["ended", "released"]);
    assert.equal((await admin.delete(`/leases/${id}`)).status, 204);
  }
  await pass(120);
  assert.equal(engine.containers.size, 0);
  assert.equal((await admin.get("/leases/quota")).body.tenant.leases.used, 0);
});

// Guards against a list that hides or repeats leases, and against one that is in the wrong order.
test("leases are listed by age or by end, page by page, as filters say", async (t) => {
  const { admin, pass } = await startLeases(t);
  const ttls = [300, 120, 240, 180];
  const made: { id: string }[] = [];
  for (const ttlSeconds of ttls) made.push(await makeLease(admin, { ttlSeconds }));
  await admin.delete(`/leases/${made[3]?.id}`);
  await pass(1);
  const pages = async (query: string) => {
    const ids: string[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await admin.get(`/leases?limit=1&${query}${cursor}`);
      ids.push(...body.items.map(({ id }: { id: string }) => id));
      if (body.nextCursor === null) return ids.map((id) => made.findIndex((one) => one.id === id));
      cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
    }
  };
  assert.deepEqual(await pages(""), [3, 2, 1, 0]);
  assert.deepEqual(await pages("sort=expiry&live=true"), [1, 2, 0]);
  assert.deepEqual(await pages("state=ended"), [3]);
  assert.deepEqual(await pages("live=true"), [2, 1, 0]);
  assert.deepEqual(await pages("owner=nobody"), []);
});

// Guards against a past that does not say who did what to a lease, and when.
test("the history of a lease tells everything that happened to it", async (t) => {
  const { admin, pass } = await startLeases(t);
  const { id } = await makeLease(admin);
  await admin.post(`/leases/${id}/renew`, { ttlSeconds: 120 });
  await pass(120);
  const { body } = await admin.get(`/leases/${id}/history`);
  const past = body.items.map(({ action, actor }: { action: string; actor: { kind: string } }) => [
    action,
    actor.kind,
  ]);
  assert.deepEqual(past, [
    ["lease.end", "system"],
    ["lease.expire", "system"],
    ["lease.renew", "user"],
    ["lease.start", "system"],
    ["lease.create", "user"],
  ]);
});

// Guards against a change that was decided on an older lease than there is.
test("an action is refused where If-Match names an older version", async (t) => {
  const { admin } = await startLeases(t);
  const { id, version } = await makeLease(admin);
  const { headers } = await admin.get(`/leases/${id}`);
  assert.equal(headers["etag"], `"${version}"`);
  const stale = { "if-match": `"${version - 1}"` };
  const refused = await admin.post(`/leases/${id}/renew`, { ttlSeconds: 90 }, stale);
  assert.equal(refused.status, 412);
  assert.equal((await admin.delete(`/leases/${id}`, stale)).status, 412);
  const good = { "if-match": `"${version}"` };
  assert.equal((await admin.post(`/leases/${id}/renew`, { ttlSeconds: 90 }, good)).status, 200);
});
