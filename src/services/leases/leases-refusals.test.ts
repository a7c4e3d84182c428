import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLease, makeWritable, refusal, startLeases, type Leases } from "./fixture.ts";

/** Everything that a refused request could have left behind. */
async function leftBehind({ db, tenant, engine, events }: Leases): Promise<unknown> {
  const { rows } = await db.query(
    tenant,
    `select (select count(*) from lease) as leases, (select count(*) from lease_template) as
       templates, (select count(*) from lease_snapshot) as snapshots,
       (select count(*) from lease_usage) as intervals,
       (select coalesce(sum(leases + cpu_millis + memory_mb + snapshots), 0) from lease_quota) as
         quota, (select count(*) from platform.audit) as audited`,
  );
  const due = await db.inPlatform((tx) => tx.query("select 1 from leases.lease_due"));
  const told = (await events()).length;
  return { ...rows[0], due: due.rows.length, containers: engine.containers.size, told };
}

type Case = readonly [title: string, body: object, refused: string];

const env = {
  LEASES_ALLOWED_IMAGES: `alpine,node:24,busybox@sha256:${"a".repeat(64)}`,
  LEASES_MAX_CPU_MILLIS: "1000",
  LEASES_MAX_DISK_MB: "100",
};

const cases: readonly Case[] = [
  ["neither image nor template", {}, "422 ERR_LEASES_NO_IMAGE /image"],
  ["another image", { image: "nginx" }, "422 ERR_LEASES_IMAGE_NOT_ALLOWED /image"],
  ["another tag", { image: "node:22" }, "422 ERR_LEASES_IMAGE_NOT_ALLOWED /image"],
  [
    "another digest",
    { image: `busybox@sha256:${"b".repeat(64)}` },
    "422 ERR_LEASES_IMAGE_NOT_ALLOWED /image",
  ],
  ["an image that is none", { image: "../x" }, "422 ERR_LEASES_IMAGE_NOT_ALLOWED /image"],
  [
    "an image of another place",
    { image: "evil.test/alpine" },
    "422 ERR_LEASES_IMAGE_NOT_ALLOWED /image",
  ],
  ["an unknown template", { template: "none" }, "422 ERR_LEASES_UNKNOWN_TEMPLATE /template"],
  ["a retired template", { template: "retired" }, "422 ERR_LEASES_TEMPLATE_RETIRED /template"],
  [
    "an image beside a template",
    { template: "good", image: "alpine" },
    "422 ERR_LEASES_TEMPLATE_DECIDES /image",
  ],
  ["too much CPU", { image: "alpine", cpuMillis: 1_001 }, "422 ERR_LEASES_BEYOND_LIMIT /cpuMillis"],
  [
    "more than the template allows",
    { template: "good", memoryMb: 601 },
    "422 ERR_LEASES_BEYOND_LIMIT /memoryMb",
  ],
  [
    "too much of everything",
    { image: "alpine", memoryMb: 8, diskMb: 101, ttlSeconds: 59 },
    "422 ERR_LEASES_BEYOND_LIMIT /memoryMb /diskMb /ttlSeconds",
  ],
  [
    "too long a time",
    { image: "alpine", ttlSeconds: 7_201 },
    "422 ERR_LEASES_BEYOND_LIMIT /ttlSeconds",
  ],
  [
    "variables that no shell knows",
    { image: "alpine", env: { "A-B": "1", "9": "x", OK: "" } },
    "422 ERR_LEASES_BAD_ENVIRONMENT /env/9 /env/A-B",
  ],
  [
    "a last snapshot of what is read-only",
    { image: "alpine", snapshotOnEnd: true },
    "409 ERR_LEASES_READ_ONLY /snapshotOnEnd",
  ],
  ["a runtime that the engine has not got", { template: "gvisor" }, "422 ERR_LEASES_NOT_SUPPORTED"],
];

// Guards against a refusal without a name of its own, and against one that leaves something behind.
test("what may not be leased is refused by its own code, and nothing is left of it", async (t) => {
  const leases = await startLeases(t, { env });
  const { admin } = leases;
  await makeWritable(admin, { name: "good", maxMemoryMb: 600 });
  await makeWritable(admin, { name: "gvisor", ociRuntime: "runsc" });
  await makeWritable(admin, { name: "retired", active: false });
  const before = await leftBehind(leases);
  for (const [title, body, refused] of cases) {
    const answer = await admin.post("/leases", body);
    assert.equal(refusal(answer), refused, `${title}: ${answer.text}`);
    assert.ok(answer.body.detail.length > 10, title);
    assert.deepEqual(await leftBehind(leases), before, title);
  }
  const unknown = await admin.post("/leases", { image: "alpine", privileged: true });
  assert.equal(unknown.body.code, "ERR_REQUEST_INVALID");
});

// Guards against an image that is fetched by a name which somebody else may move.
test("who asks for an image that is pinned gets the digest", async (t) => {
  const { admin, engine } = await startLeases(t, { env });
  const { id } = await makeLease(admin, { image: "busybox" });
  assert.equal(engine.of(id)?.spec.image, `busybox@sha256:${"a".repeat(64)}`);
});

// Guards against a template that goes on to lease what the tenant may not lease any more.
test("a template whose image is not allowed any more can't be leased", async (t) => {
  const { admin, limit } = await startLeases(t, { env });
  await makeWritable(admin, { name: "good" });
  await limit({ "leases.allowed_images": "node:24" });
  const refused = await admin.post("/leases", { template: "good" });
  assert.equal(refusal(refused), "422 ERR_LEASES_IMAGE_NOT_ALLOWED /template");
});

// Guards against a limit that a tenant sets for itself, and against one that holds for others too.
test("limits of one tenant are a platform admin's to set", async (t) => {
  const { admin, stranger, limit } = await startLeases(t);
  const limits = { "leases.max_ttl_seconds": 90 };
  const mine = { platformAdmin: false };
  await assert.rejects(limit(limits, mine), { code: "ERR_SETTINGS_PLATFORM_ONLY" });
  await limit(limits);
  const body = { image: "alpine", ttlSeconds: 91 };
  const beyond = await admin.post("/leases", body);
  assert.equal(refusal(beyond), "422 ERR_LEASES_BEYOND_LIMIT /ttlSeconds");
  assert.equal((await stranger.post("/leases", body)).status, 202);
  assert.equal((await admin.get("/leases/quota")).body.limits.maxTtlSeconds, 90);
});

// Guards against requests that do something to a lease whose end is decided, or that is elsewhere.
test("what a lease's state does not allow is refused, and changes nothing", async (t) => {
  const leases = await startLeases(t);
  const { admin, settle } = leases;
  const paused = await makeLease(admin);
  await admin.post(`/leases/${paused.id}/pause?wait=10`);
  const over = await makeLease(admin);
  await admin.delete(`/leases/${over.id}`);
  const running = await makeLease(admin);
  await settle();
  const before = await leftBehind(leases);
  const asks = ["renew", "keepalive", "pause", "resume", "restart", "snapshots"];
  const answers: Record<string, string[]> = {};
  for (const { id } of [paused, over]) {
    for (const ask of asks) {
      if (id === paused.id && (ask === "resume" || ask === "snapshots")) continue;
      (answers[id] ??= []).push(refusal(await admin.post(`/leases/${id}/${ask}`)));
    }
  }
  assert.deepEqual(answers[paused.id], Array(4).fill("409 ERR_LEASES_WRONG_STATE"));
  assert.deepEqual(answers[over.id], Array(6).fill("410 ERR_LEASES_OVER"));
  const resume = await admin.post(`/leases/${running.id}/resume`);
  assert.equal(refusal(resume), "409 ERR_LEASES_WRONG_STATE");
  assert.ok(resume.body.allowed.includes("pause"));
  const kept = await admin.post(`/leases/${running.id}/snapshots`);
  assert.equal(refusal(kept), "409 ERR_LEASES_READ_ONLY");
  assert.deepEqual(await leftBehind(leases), before);
});

// Guards against a wish that the engine can never fulfil.
test("what the engine can't do is refused before it is tried", async (t) => {
  const { admin, engine } = await startLeases(t);
  await makeWritable(admin);
  const { id } = await makeLease(admin, {
    template: "writable",
    image: undefined,
    preset: undefined,
  });
  engine.info = { ...engine.info, canPause: false, canSnapshot: false };
  const pause = await admin.post(`/leases/${id}/pause`);
  assert.equal(refusal(pause), "422 ERR_LEASES_NOT_SUPPORTED");
  const snapshot = await admin.post(`/leases/${id}/snapshots`);
  assert.equal(refusal(snapshot), "422 ERR_LEASES_NOT_SUPPORTED");
});

// Guards against a lease that is accepted although nobody can make its container.
test("without an engine nothing is leased, and everything else answers", async (t) => {
  const leases = await startLeases(t);
  const { admin, engine, clock } = leases;
  await admin.get("/leases");
  engine.info = { ...engine.info, available: false, notes: ["No engine answers."] };
  const before = await leftBehind(leases);
  const refused = await admin.post("/leases", { image: "alpine" });
  assert.equal(refusal(refused), "503 ERR_LEASES_NO_RUNTIME");
  assert.match(refused.body.detail, /No engine answers/);
  assert.deepEqual(await leftBehind(leases), before);
  const runtime = await admin.get("/leases/runtime");
  assert.deepEqual([runtime.body.available, runtime.body.name], [false, null]);
  engine.info = { ...engine.info, available: true, notes: [] };
  clock.advance(5_000);
  assert.equal((await admin.post("/leases", { image: "alpine" })).status, 202);
});
