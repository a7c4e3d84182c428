import assert from "node:assert/strict";
import { test } from "node:test";
import { installJobs } from "../jobs/install.ts";
import { createSealer } from "../secrets/seal.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { TenantRef } from "../tenancy/types.ts";
import {
  asOwner,
  asPrincipal,
  auditActions,
  principalOf,
  registerPerson,
  startIdentity,
  type TestIdentity,
  testClient,
  testPassword,
} from "../testing/identity.ts";
import { login } from "./accounts.ts";
import { forgetEndedIdentities, resealIdentities } from "./housekeeping.ts";
import { createPlatformAdmin, hasPlatformAdmin } from "./people.ts";
import { register } from "./registration.ts";
import { enrollTotp } from "./second-factor.ts";
import { startKeyRing } from "./signing-keys.ts";
import {
  createTenant,
  deleteTenant,
  listTenants,
  type Provision,
  updateTenant,
} from "./tenants.ts";
import { base32 } from "./totp.ts";

async function startAsAdmin(id: TestIdentity) {
  const input = {
    email: "root@example.com",
    password: testPassword,
    name: "Root",
    tenant: { name: "Operations" },
  };
  const made = await createPlatformAdmin(id, input);
  const credentials = { email: input.email, password: testPassword };
  const signed = await login(id, { credentials, client: testClient });
  return { made, input, signed, admin: await principalOf(id, signed) };
}

// Guards against a platform without an admin, or one made twice.
test("the first platform admin is made once, and promotes who is there already", async (t) => {
  const id = await startIdentity(t);
  assert.equal(await hasPlatformAdmin(id), false);
  const { made, input, admin } = await startAsAdmin(id);
  assert.equal(made.created, true);
  assert.equal(await hasPlatformAdmin(id), true);
  assert.equal(admin.role, "admin");
  assert.equal(admin.platformAdmin, true);
  assert.equal(admin.permissions.size, 5);
  const again = await createPlatformAdmin(id, { ...input, password: "something else" });
  assert.equal(again.created, false);
  assert.equal(again.tenant.id, made.tenant.id);
  const credentials = { email: input.email, password: testPassword };
  await login(id, { credentials, client: testClient });
  const reset = { ...input, password: "something else", resetPassword: true };
  await createPlatformAdmin(id, reset);
  await assert.rejects(login(id, { credentials, client: testClient }));
  assert.equal((await auditActions(id, made.tenant.id)).includes("user.make_platform_admin"), true);
});

// Guards against dedicated tenants that are seen before their schemas are there.
test("a dedicated tenant is provisioned before it exists, or does not exist", async (t) => {
  const id = await startIdentity(t);
  const { admin } = await startAsAdmin(id);
  const seen: [TenantRef, boolean][] = [];
  const make = (provision: Provision | undefined, slug: string) =>
    asPrincipal(id, admin, (tx) =>
      createTenant(tx, { ...id, provision }, { name: "Big Co", slug, isolation: "dedicated" }),
    );
  const tenant = await make(async (ref) => {
    seen.push([ref, (await id.tenants.ref(ref.id)) !== null]);
    id.tenants.forget(ref.id);
  }, "big-co");
  assert.deepEqual(seen, [[{ id: tenant.id, isolation: "dedicated" }, false]]);
  assert.deepEqual(await id.tenants.ref(tenant.id), { id: tenant.id, isolation: "dedicated" });
  await assert.rejects(make(undefined, "other"), { code: "ERR_TENANCY_DEDICATED_UNAVAILABLE" });
  const broken = make(() => Promise.reject(new Error("disk full")), "broken");
  await assert.rejects(broken, /disk full/);
  assert.equal(await id.tenants.bySlug("broken"), null);
  await assert.rejects(
    make(async () => {}, "big-co"),
    { code: "ERR_TENANCY_SLUG_TAKEN" },
  );
  await assert.rejects(
    make(async () => {}, "Big"),
    { code: "ERR_TENANCY_INVALID_SLUG" },
  );
});

// Guards against lost updates, stale references and tenants that come back from the dead.
test("tenants change by version, and a deleted one is gone with its slug", async (t) => {
  const id = await startIdentity(t);
  await installJobs(id.ownerUrl, createLogger({ level: "warn" }));
  const { admin } = await startAsAdmin(id);
  const ada = await registerPerson(id, "ada");
  const { id: tenantId } = ada.tenant;
  const update = (version: number | null, change: Parameters<typeof updateTenant>[2]["change"]) =>
    asPrincipal(id, admin, (tx) => updateTenant(tx, id, { id: tenantId, version, change }));
  assert.equal((await update(1, { name: "Ada & Co" })).version, 2);
  await assert.rejects(update(1, { name: "x" }), { code: "ERR_REQUEST_VERSION_CONFLICT" });
  await assert.rejects(update(2, { slug: "operations" }), { code: "ERR_TENANCY_SLUG_TAKEN" });
  assert.equal((await update(2, { slug: "ada-co" })).slug, "ada-co");
  await principalOf(id, ada);
  assert.ok(await id.tenants.ref(tenantId));
  await asPrincipal(id, admin, (tx) => deleteTenant(tx, id, { id: tenantId, version: null }));
  assert.equal(await id.tenants.ref(tenantId), null);
  assert.equal(await id.tenants.known(tenantId), null);
  await assert.rejects(principalOf(id, ada), { code: "ERR_IDENTITY_INVALID_TOKEN" });
  await assert.rejects(update(null, { active: true }), { code: "ERR_REQUEST_NOT_FOUND" });
  const listed = await asPrincipal(id, admin, (tx) => listTenants(tx, { limit: 9, after: null }));
  assert.deepEqual(
    listed.map((one) => one.slug),
    ["operations"],
  );
  const registration = {
    email: "eve@example.com",
    password: testPassword,
    name: "Eve",
    tenant: { name: "Ada", slug: "ada-co" },
  };
  await assert.rejects(register(id, { registration, client: testClient }), {
    code: "ERR_TENANCY_SLUG_TAKEN",
  });
});

// Guards against work over all tenants that misses one, or meets one that is not active.
test("every active tenant is met once; a reference is remembered for 5 s at most", async (t) => {
  const id = await startIdentity(t);
  await asOwner(
    id.ownerUrl,
    `insert into platform.tenant (id, slug, name, isolation, active)
     select gen_random_uuid(), 'tenant-' || n, 'x', 'shared', n % 10 <> 0
       from generate_series(1, 1200) n`,
  );
  const met = new Set<string>();
  let count = 0;
  for await (const { id: tenantId } of id.tenants.each()) {
    met.add(tenantId);
    count += 1;
  }
  assert.deepEqual([count, met.size], [1_080, 1_080]);
  const [some = ""] = met;
  assert.ok(await id.tenants.ref(some));
  await asOwner(id.ownerUrl, "update platform.tenant set active = false where id = $1", [some]);
  assert.ok(await id.tenants.ref(some));
  id.clock.advance(5_000);
  assert.equal(await id.tenants.ref(some), null);
  // Jobs of a tenant that is not active are still done; looking it up costs no second flight.
  const flights = id.flights();
  assert.deepEqual(await id.tenants.known(some), { id: some, isolation: "shared" });
  assert.equal(id.flights(), flights);
  assert.equal(await id.tenants.ref("nonsense' --"), null);
});

// Guards against tables of ended things that grow for ever, and against forgetting living ones.
test("housekeeping forgets what ended a month ago and nothing else", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const credentials = { email: "ada@example.com", password: "wrong wrong" };
  await assert.rejects(login(id, { credentials, client: testClient }));
  assert.deepEqual(await forgetEndedIdentities(id), {
    sessions: 0,
    throttles: 0,
    invitations: 0,
    privateKeys: 0,
    answers: 0,
    tickets: 0,
  });
  await principalOf(id, ada);
  id.clock.advance(61 * 24 * 60 * 60_000);
  assert.deepEqual(await forgetEndedIdentities(id), {
    sessions: 1,
    throttles: 3,
    invitations: 0,
    privateKeys: 0,
    answers: 0,
    tickets: 0,
  });
});

// Guards against a rotated master key that signing keys and second factors still need.
test("after resealing, the earlier master key is not needed", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const who = await principalOf(id, ada);
  const { secret } = await asPrincipal(id, who, (tx) =>
    enrollTotp(tx, id, { userId: who.actor.id }),
  );
  const [oldKey, newKey] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8)];
  const both = createSealer(newKey, [oldKey], id.random);
  const alone = createSealer(newKey, [], id.random);
  const log = { warn() {} };
  await assert.rejects(startKeyRing({ ...id, log, sealer: alone }), {
    code: "ERR_SECRETS_UNREADABLE",
  });
  assert.equal(await resealIdentities({ db: id.db, sealer: both }), 2);
  assert.equal(await resealIdentities({ db: id.db, sealer: both }), 0);
  const ring = await startKeyRing({ ...id, log, sealer: alone });
  await ring.stop();
  const { rows } = await id.db.inPlatform((tx) =>
    tx.query<{ pending: Buffer }>("select totp_pending as pending from platform.app_user"),
  );
  const opened = alone.open(rows[0]?.pending as Buffer, `totp:${who.actor.id}`);
  assert.equal(base32(opened), secret);
});
