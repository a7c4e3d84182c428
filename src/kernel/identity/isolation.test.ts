import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asPrincipal,
  principalOf,
  registerPerson,
  startIdentity,
  type TestIdentity,
} from "../testing/identity.ts";
import { createApiKey } from "./api-keys.ts";
import { createRole } from "./custom-roles.ts";
import { createInvitation } from "./invitations.ts";
import { listOwnMemberships } from "./member-store.ts";
import type { Principal } from "./types.ts";

const tables = ["membership", "invitation", "role", "api_key"];

async function fill(id: TestIdentity, who: Principal): Promise<void> {
  await asPrincipal(id, who, async (tx) => {
    const { permissions: holder } = who;
    const invitedBy = who.actor.id;
    await createInvitation(tx, id, { email: "x@example.com", role: "user", invitedBy, holder });
    const role = { name: "clerk", title: "Clerk", permissions: ["order:read"] };
    await createRole(tx, id, { role, holder });
    const input = { name: "k", permissions: ["order:read"] };
    await createApiKey(tx, id, { principal: who, input });
  });
}

// Guards against a query that forgot its tenant: the database shows and changes one tenant's rows.
test("no verb reaches another tenant's members, invitations, roles or keys", async (t) => {
  const id = await startIdentity(t);
  const ada = await principalOf(id, await registerPerson(id, "ada"));
  const bob = await principalOf(id, await registerPerson(id, "bob"));
  await fill(id, ada);
  await fill(id, bob);
  const other = { id: id.random.id(), isolation: "shared" as const };
  for (const table of tables) {
    const name = `platform.${table}`;
    const { rows } = await id.db.query<{ tenant: string }>(
      ada.tenant,
      `select tenant_id as tenant from ${name}`,
    );
    assert.deepEqual(rows, [{ tenant: ada.tenant.id }], table);
    const inPlatform = (text: string) => id.db.inPlatform((tx) => tx.query(text));
    assert.deepEqual((await inPlatform(`select * from ${name}`)).rows, [], table);
    assert.deepEqual((await id.db.query(other, `select * from ${name}`)).rows, [], table);
    for (const text of [`update ${name} set tenant_id = tenant_id`, `delete from ${name}`]) {
      assert.equal((await inPlatform(text)).rowCount, 0, text);
      assert.equal((await id.db.query(other, text)).rowCount, 0, text);
      const foreign = `${text} where tenant_id = '${bob.tenant.id}'`;
      assert.equal((await id.db.query(ada.tenant, foreign)).rowCount, 0, foreign);
    }
    const steal = `update ${name} set tenant_id = '${bob.tenant.id}'`;
    await assert.rejects(id.db.query(ada.tenant, steal), /row-level security/, table);
  }
  const insert = `insert into platform.membership (tenant_id, user_id, role, created_at, updated_at)
    values ('${bob.tenant.id}', '${ada.actor.id}', 'tenant_admin', now(), now())`;
  await assert.rejects(id.db.query(ada.tenant, insert), /row-level security/);
});

// Guards against the one opening in membership's policies growing: reading, one's own, at sign-in.
test("reading one's own memberships opens nothing else, and closes again", async (t) => {
  const id = await startIdentity(t);
  const ada = await principalOf(id, await registerPerson(id, "ada"));
  const bob = await principalOf(id, await registerPerson(id, "bob"));
  await id.db.inPlatform(async (tx) => {
    const own = await listOwnMemberships(tx, ada.actor.id);
    assert.deepEqual(
      own.map((one) => one.tenant.id),
      [ada.tenant.id],
    );
    assert.deepEqual((await tx.query("select * from platform.membership")).rows, []);
    await tx.query("select set_config('app.user_id', $1, true)", [ada.actor.id]);
    const { rows } = await tx.query<{ id: string }>(
      "select user_id as id from platform.membership",
    );
    assert.deepEqual(rows, [{ id: ada.actor.id }]);
    for (const text of [
      "update platform.membership set role = 'user'",
      "delete from platform.membership",
    ]) {
      assert.equal((await tx.query(text)).rowCount, 0);
    }
    for (const table of tables.slice(1)) {
      assert.deepEqual((await tx.query(`select * from platform.${table}`)).rows, []);
    }
  });
  const { rows } = await id.db.query<{ id: string }>(
    bob.tenant,
    "select user_id as id from platform.membership",
  );
  assert.deepEqual(rows, [{ id: bob.actor.id }]);
});
