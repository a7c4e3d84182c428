import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLease, refusal, startLeases } from "./fixture.ts";

const wanted = { name: "python", image: "python", cpuMillis: 200, ttlSeconds: 120 };

// Guards against a template that is not what its leases get, and one that changes those there are.
test("a template is made, leased, changed, retired and deleted", async (t) => {
  const { admin, engine, events } = await startLeases(t);
  const made = await admin.post("/leases/templates", { ...wanted, egress: "internet" });
  assert.equal(made.status, 201, made.text);
  const { id, version } = made.body;
  const byName = { template: "python", image: undefined, preset: undefined };
  const lease = await makeLease(admin, byName);
  const { spec } = engine.of(lease.id) ?? {};
  assert.deepEqual([spec?.image, spec?.cpuMillis, spec?.egress], ["python", 200, "internet"]);
  assert.deepEqual([lease.template, lease.ttlSeconds], ["python", 120]);
  await makeLease(admin, { ...byName, template: id });
  const ifMatch = { "if-match": `"${version}"` };
  const path = `/leases/templates/${id}`;
  const changed = await admin.patch(path, { cpuMillis: 300 }, ifMatch);
  assert.equal(changed.body.cpuMillis, 300, changed.text);
  assert.equal((await admin.patch(path, { cpuMillis: 400 }, ifMatch)).status, 412);
  assert.equal((await admin.get(`/leases/${lease.id}`)).body.cpuMillis, 200);
  const taken = await admin.post("/leases/templates", wanted);
  assert.equal(refusal(taken), "409 ERR_LEASES_TEMPLATE_NAME_TAKEN /name");
  assert.equal((await admin.delete(path)).status, 204);
  assert.equal((await admin.get(path)).status, 404);
  assert.equal((await admin.get(`/leases/${lease.id}`)).body.template, "python");
  assert.equal((await admin.get(`${path}/history`)).body.items.length, 3);
  const told = (await events())
    .map(({ type }) => type)
    .filter((type) => type.startsWith("template"));
  assert.deepEqual(told, ["template.created", "template.updated", "template.deleted"]);
});

// Guards against a tenant that changes what is everybody's, or a platform that can't be changed.
test("the platform's templates are everybody's to lease and an admin's to change", async (t) => {
  const { admin, root, stranger, engine } = await startLeases(t, {
    env: { LEASES_ALLOWED_IMAGES: "alpine" },
  });
  const image = `tools.test/shell@sha256:${"c".repeat(64)}`;
  const body = { scope: "platform", name: "shell", image, writable: true };
  const refused = await admin.post("/leases/templates", body);
  assert.equal(refusal(refused), "403 ERR_LEASES_PLATFORM_TEMPLATE");
  const made = await root.post("/leases/templates", body);
  assert.equal(made.status, 201, made.text);
  const path = `/leases/templates/${made.body.id}`;
  const shell = { template: "shell", image: undefined, preset: undefined };
  for (const caller of [admin, stranger]) {
    const lease = await makeLease(caller, shell);
    assert.equal(engine.of(lease.id)?.spec.image, image);
    assert.equal((await caller.get(path)).body.scope, "platform");
    assert.equal(refusal(await caller.delete(path)), "403 ERR_LEASES_PLATFORM_TEMPLATE");
    const ifMatch = { "if-match": '"1"' };
    const patched = await caller.patch(path, { cpuMillis: 1 }, ifMatch);
    assert.equal(refusal(patched), "403 ERR_LEASES_PLATFORM_TEMPLATE");
  }
  // A tenant's own of the same name comes first.
  await admin.post("/leases/templates", { name: "shell", image: "alpine" });
  const own = await makeLease(admin, shell);
  assert.equal(engine.of(own.id)?.spec.image, "alpine");
  assert.equal((await root.patch(path, { active: false }, { "if-match": '"1"' })).status, 200);
  const retired = await stranger.post("/leases", { template: "shell" });
  assert.equal(refusal(retired), "422 ERR_LEASES_TEMPLATE_RETIRED /template");
  assert.equal((await root.delete(path)).status, 204);
});

// Guards against a list that forgets whose template is whose, or stops between the two.
test("templates are listed by name, the tenant's own before the platform's", async (t) => {
  const { admin, root, stranger } = await startLeases(t);
  for (const name of ["b", "a"]) {
    await admin.post("/leases/templates", { name, image: "alpine" });
    await root.post("/leases/templates", { scope: "platform", name, image: "alpine" });
  }
  const names: string[] = [];
  for (let cursor = ""; ; ) {
    const { body } = await admin.get(`/leases/templates?limit=1${cursor}`);
    names.push(
      ...body.items.map((one: { scope: string; name: string }) => `${one.scope} ${one.name}`),
    );
    if (body.nextCursor === null) break;
    cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
  }
  assert.deepEqual(names, ["tenant a", "tenant b", "platform a", "platform b"]);
  const theirs = (await stranger.get("/leases/templates")).body.items;
  assert.deepEqual(
    theirs.map(({ scope }: { scope: string }) => scope),
    ["platform", "platform"],
  );
});

// Guards against a template that could never be leased.
test("a template that the tenant could not lease is refused", async (t) => {
  const { admin } = await startLeases(t);
  const cases: [object, string][] = [
    [{ image: "nginx" }, "422 ERR_LEASES_IMAGE_NOT_ALLOWED /image"],
    [{ cpuMillis: 2_001 }, "422 ERR_LEASES_BEYOND_LIMIT /cpuMillis"],
    [{ memoryMb: 512, maxMemoryMb: 256 }, "422 ERR_LEASES_BEYOND_LIMIT /memoryMb"],
    [{ ttlSeconds: 7_201 }, "422 ERR_LEASES_BEYOND_LIMIT /ttlSeconds"],
    [{ snapshotOnEnd: true }, "409 ERR_LEASES_READ_ONLY /snapshotOnEnd"],
  ];
  for (const [body, refused] of cases) {
    const answer = await admin.post("/leases/templates", { name: "x", image: "alpine", ...body });
    assert.equal(refusal(answer), refused, answer.text);
  }
  assert.deepEqual((await admin.get("/leases/templates")).body.items, []);
});
