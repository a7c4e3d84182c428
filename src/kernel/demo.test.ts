import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { audit } from "./audit/audit.ts";
import { ensureDemo } from "./demo.ts";
import { defineErrors } from "./errors.ts";
import { login } from "./identity/accounts.ts";
import { register } from "./identity/registration.ts";
import { defineService } from "./service.ts";
import { startTestApp, type TestApp } from "./testing.ts";

const client = { address: "192.0.2.1", userAgent: "test", requestId: "r" };

/** What ends the process in the middle of its first start. */
class Killed extends Error {}

/** Two services with demo data; `dies` says in which of them the start ends. */
async function startDemo(t: TestContext) {
  const dataDir = await mkdtemp(join(tmpdir(), "plimsoll-demo-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const filled: string[] = [];
  const state = { dies: "" };
  const services = ["first", "second"].map((name) =>
    defineService({
      name,
      permissions: {},
      errors: defineErrors(name, {}),
      routes: () => {},
      async demo(tx) {
        audit(tx, { action: "thing.create", resource: { type: "thing", id: name } });
        await tx.query("select 1");
        if (state.dies === name) throw new Killed();
        filled.push(name);
      },
    }),
  );
  const config = { dataDir, demo: true };
  const started = await startTestApp(t, { services, config });
  const file = join(dataDir, "demo.json");
  const stored = async () => JSON.parse(await readFile(file, "utf8"));
  return { ...started, dataDir, file, filled, state, stored };
}

const signsIn = (
  { app }: Pick<TestApp, "app">,
  { email, password }: { email: string; password: string },
) => login(app.identity, { credentials: { email, password }, client });

async function count({ app }: Pick<TestApp, "app">, table: string): Promise<unknown> {
  const { rows } = await app.identity.db.inPlatform((tx) =>
    tx.query(`select count(*) as n from platform.${table}`),
  );
  return rows[0]?.n;
}

// Guards against a password that nobody has, of an admin who is there.
test("the demo is made once, and its file opens it", async (t) => {
  const demo = await startDemo(t);
  const access = await ensureDemo(demo.app);
  assert.ok(access);
  assert.deepEqual(await demo.stored(), access);
  assert.equal((await stat(demo.file)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(demo.dataDir), ["demo.json"]);
  const signedIn = await signsIn(demo, access);
  assert.deepEqual([signedIn.tenant.slug, signedIn.role], [access.tenant, "admin"]);
  assert.ok(await demo.app.identity.authenticator.authenticate({ "x-api-key": access.apiKey }));
  assert.deepEqual(await ensureDemo(demo.app), access);
  assert.deepEqual(demo.filled, ["first", "second"]);
});

for (const dies of ["first", "second"]) {
  // Guards against a start that was killed half-way and can neither be used nor begun again.
  test(`a start that ends in the ${dies} service is finished by the next one`, async (t) => {
    const demo = await startDemo(t);
    demo.state.dies = dies;
    await assert.rejects(ensureDemo(demo.app), Killed);
    await assert.rejects(demo.stored(), { code: "ENOENT" });
    const [begun = assert.fail("no file holds the password")] = await readdir(demo.dataDir);
    assert.equal((await stat(join(demo.dataDir, begun))).mode & 0o777, 0o600);
    // Whoever is let in before that gets in with what the file says.
    const early = JSON.parse(await readFile(join(demo.dataDir, begun), "utf8"));
    await signsIn(demo, early);
    demo.state.dies = "";
    const access = await ensureDemo(demo.app);
    assert.ok(access);
    assert.equal(access.password, early.password);
    assert.deepEqual(await demo.stored(), access);
    assert.deepEqual(await readdir(demo.dataDir), ["demo.json"]);
    await signsIn(demo, access);
    assert.deepEqual(demo.filled, ["first", "second"]);
    assert.deepEqual([await count(demo, "tenant"), await count(demo, "app_user")], [1, 1]);
  });
}

// Guards against a demo admin in somebody's own database, and a file that says there is one.
test("a database that has a tenant already gets no demo, whatever its folder says", async (t) => {
  const demo = await startDemo(t);
  demo.state.dies = "first";
  await assert.rejects(ensureDemo(demo.app), Killed);
  const other = await startDemo(t);
  const registration = {
    email: "demo@plimsoll.local",
    password: "their own password",
    name: "Ada",
    tenant: { name: "Ada Ltd" },
  };
  await register(other.app.identity, { registration, client });
  const config = { ...other.app.config, dataDir: demo.dataDir };
  assert.equal(await ensureDemo({ ...other.app, config }), null);
  assert.deepEqual(other.filled, []);
  await signsIn(other, registration);
  // And the folder still opens the database that it belongs to.
  demo.state.dies = "";
  const access = await ensureDemo(demo.app);
  assert.ok(access);
  await signsIn(demo, access);
});
