import assert from "node:assert/strict";
import { test } from "node:test";
import {
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
import { createRole, deleteRole, listRoles, updateRole } from "./custom-roles.ts";
import { createInvitation, listInvitations, revokeInvitation } from "./invitations.ts";
import { findMember, listMembers, removeMember, updateMember } from "./members.ts";
import { joinTenant } from "./people.ts";
import { refreshSession } from "./sessions.ts";
import { register } from "./registration.ts";
import type { Principal } from "./types.ts";

const dayMs = 24 * 60 * 60_000;

const invite = (id: TestIdentity, by: Principal, email: string, role = "user") =>
  asPrincipal(id, by, (tx) =>
    createInvitation(tx, id, { email, role, invitedBy: by.actor.id, holder: by.permissions }),
  );

async function accept(id: TestIdentity, email: string, invitation: string) {
  const registration = { email, password: testPassword, name: "New", invitation };
  return (await register(id, { registration, client: testClient })).answer;
}

const change = (
  id: TestIdentity,
  by: Principal,
  member: string,
  what: { role?: string; active?: boolean },
  version: number | null = null,
) =>
  asPrincipal(id, by, (tx) =>
    updateMember(tx, id, { id: member, version, change: what, holder: by.permissions }),
  );

const remove = (id: TestIdentity, by: Principal, member: string) =>
  asPrincipal(id, by, (tx) =>
    removeMember(tx, id, { id: member, version: null, holder: by.permissions }),
  );

/** A tenant with an admin and a further member. */
async function pair(id: TestIdentity, role = "user") {
  const ada = await registerPerson(id, "ada");
  const admin = await principalOf(id, ada);
  const { token } = await invite(id, admin, "bob@example.com", role);
  const bob = await accept(id, "bob@example.com", token);
  return { ada, admin, bob, member: await principalOf(id, bob) };
}

const invalid = { code: "ERR_IDENTITY_INVALID_INVITATION" };

// Guards against uninvited members, and invitations that work twice, later or for somebody else.
test("an invitation works once, in time, for its e-mail address", async (t) => {
  const id = await startIdentity(t);
  const admin = await principalOf(id, await registerPerson(id, "ada"));
  const made = await invite(id, admin, "Bob@Example.com");
  assert.match(made.token, /^pli_/);
  await assert.rejects(accept(id, "eve@example.com", made.token), invalid);
  // Not the last character: some of its bits mean nothing.
  const forged = made.token.replace(/.(?=.{5}$)/, (one) => (one === "A" ? "B" : "A"));
  await assert.rejects(accept(id, "bob@example.com", forged), invalid);
  await assert.rejects(accept(id, "bob@example.com", "pli_"), invalid);
  const outcomes = await Promise.allSettled(
    [1, 2].map(() => accept(id, "bob@example.com", made.token)),
  );
  const good = outcomes.filter((one) => one.status === "fulfilled");
  assert.equal(good.length, 1);
  const bob = good[0]?.value;
  assert.equal(bob?.tenant.id, admin.tenant.id);
  assert.equal(bob?.role, "user");
  const late = await invite(id, admin, "late@example.com");
  const taken = await invite(id, admin, "taken@example.com");
  await asPrincipal(id, admin, (tx) => revokeInvitation(tx, id, { id: taken.id, version: null }));
  await assert.rejects(accept(id, "taken@example.com", taken.token), invalid);
  id.clock.advance(7 * dayMs);
  await assert.rejects(accept(id, "late@example.com", late.token), invalid);
  const page = { limit: 10, after: null };
  assert.deepEqual(await asPrincipal(id, admin, (tx) => listInvitations(tx, id, page)), []);
  await assert.rejects(
    asPrincipal(id, admin, (tx) => revokeInvitation(tx, id, { id: late.id, version: null })),
    { code: "ERR_REQUEST_NOT_FOUND" },
  );
});

// Guards against an invitation that takes over an account: who has one signs in and accepts.
test("somebody with an account accepts while signed in, and keeps what they had", async (t) => {
  const id = await startIdentity(t);
  const ada = await principalOf(id, await registerPerson(id, "ada"));
  const bobSigned = await registerPerson(id, "bob");
  const bob = await principalOf(id, bobSigned);
  const { token } = await invite(id, ada, "bob@example.com", "tenant_admin");
  await assert.rejects(accept(id, "bob@example.com", token), {
    code: "ERR_IDENTITY_EMAIL_TAKEN",
  });
  const join = (principal: Principal) =>
    joinTenant(id, { principal, invitation: token, client: testClient });
  await assert.rejects(join(ada), invalid);
  const again = await invite(id, ada, "bob@example.com");
  const { answer: joined } = await join(bob);
  assert.equal(joined.tenant.id, ada.tenant.id);
  await assert.rejects(join(bob), invalid);
  const isMember = { code: "ERR_IDENTITY_ALREADY_MEMBER" };
  await assert.rejects(invite(id, ada, "Bob@example.com"), isMember);
  await assert.rejects(
    joinTenant(id, { principal: bob, invitation: again.token, client: testClient }),
    isMember,
  );
  const credentials = { email: "bob@example.com", password: testPassword };
  for (const tenant of [ada.tenant.id, bob.tenant.id]) {
    const signed = await login(id, {
      credentials: { ...credentials, tenant },
      client: testClient,
    });
    assert.equal(signed.role, "tenant_admin");
  }
  assert.equal((await auditActions(id, ada.tenant.id)).includes("invitation.accept"), true);
});

// Guards against the token of an invitation in a copy of the database or in the audit.
test("an invitation's token is kept as a hash", async (t) => {
  const id = await startIdentity(t);
  const admin = await principalOf(id, await registerPerson(id, "ada"));
  const { token } = await invite(id, admin, "bob@example.com");
  const { rows } = await id.db.query<{ text: string }>(
    admin.tenant,
    `select i::text as text from platform.invitation i
      union all select a::text from platform.audit a`,
  );
  const all = rows.map((row) => row.text).join();
  assert.equal(all.includes(token.slice(30)), false);
});

// Guards against a tenant that nobody can administer any more, also when two act at once.
test("the last active tenant admin stays", async (t) => {
  const id = await startIdentity(t);
  const { admin, member } = await pair(id, "tenant_admin");
  const last = { code: "ERR_IDENTITY_LAST_TENANT_ADMIN" };
  const outcomes = await Promise.allSettled([
    change(id, admin, member.actor.id, { role: "user" }),
    change(id, member, admin.actor.id, { role: "user" }),
  ]);
  assert.deepEqual(outcomes.map((one) => one.status).sort(), ["fulfilled", "rejected"]);
  const left = outcomes[0]?.status === "fulfilled" ? admin : member;
  await assert.rejects(change(id, left, left.actor.id, { role: "user" }), last);
  await assert.rejects(change(id, left, left.actor.id, { active: false }), last);
  await assert.rejects(remove(id, left, left.actor.id), last);
});

// Guards against members who are out and still in, here or elsewhere.
test("a deactivated or removed member is out at once, in this tenant only", async (t) => {
  const id = await startIdentity(t);
  const { admin, bob, member } = await pair(id);
  const out = { code: "ERR_IDENTITY_INVALID_TOKEN" };
  const off = await change(id, admin, member.actor.id, { active: false });
  assert.equal(off.active, false);
  await assert.rejects(principalOf(id, bob), out);
  const refresh = (refreshToken: string) =>
    refreshSession(id, { refreshToken, client: testClient });
  await assert.rejects(refresh(bob.refreshToken), {
    code: "ERR_IDENTITY_INVALID_REFRESH_TOKEN",
  });
  const credentials = { email: "bob@example.com", password: testPassword };
  await assert.rejects(login(id, { credentials, client: testClient }), {
    code: "ERR_IDENTITY_NO_TENANT",
  });
  await change(id, admin, member.actor.id, { active: true });
  const back = await login(id, { credentials, client: testClient });
  await remove(id, admin, member.actor.id);
  await assert.rejects(principalOf(id, back), out);
  await assert.rejects(remove(id, admin, member.actor.id), { code: "ERR_REQUEST_NOT_FOUND" });
  // They may come again by a new invitation, with their own password and not with the invitation.
  const { token: invitation } = await invite(id, admin, "bob@example.com", "tenant_admin");
  await assert.rejects(accept(id, "bob@example.com", invitation), {
    code: "ERR_IDENTITY_EMAIL_TAKEN",
  });
  const signIn = (password: string) =>
    login(id, { credentials: { ...credentials, password, invitation }, client: testClient });
  await assert.rejects(signIn("not bob's password"), { code: "ERR_IDENTITY_INVALID_CREDENTIALS" });
  assert.equal((await signIn(testPassword)).role, "tenant_admin");
  await assert.rejects(signIn(testPassword), invalid);
});

// Guards against a role as a ladder: nobody gives, takes or changes what they do not have.
test("who may change members can raise nobody beyond their own role", async (t) => {
  const id = await startIdentity(t);
  const { admin, member } = await pair(id);
  const role = { name: "clerk", title: "Clerk", permissions: ["member:update", "order:read:own"] };
  const make = (by: Principal, made: typeof role) =>
    asPrincipal(id, by, (tx) => createRole(tx, id, { role: made, holder: by.permissions }));
  await make(admin, role);
  await change(id, admin, member.actor.id, { role: "clerk" });
  const bob = await login(id, {
    credentials: { email: "bob@example.com", password: testPassword },
    client: testClient,
  });
  const clerk = await principalOf(id, bob);
  assert.deepEqual(id.roles.format(clerk.permissions), ["member:update", "order:read:own"]);
  const beyond = { code: "ERR_ACCESS_BEYOND_OWN" };
  await assert.rejects(change(id, clerk, clerk.actor.id, { role: "tenant_admin" }), beyond);
  await assert.rejects(change(id, clerk, admin.actor.id, { active: false }), beyond);
  await assert.rejects(remove(id, clerk, admin.actor.id), beyond);
  await assert.rejects(invite(id, clerk, "eve@example.com", "tenant_admin"), beyond);
  await assert.rejects(
    make(clerk, { ...role, name: "boss", permissions: ["order:confirm"] }),
    beyond,
  );
  await invite(id, clerk, "eve@example.com", "clerk");
  for (const unknown of ["admin", "nothing", "__proto__"]) {
    await assert.rejects(change(id, admin, clerk.actor.id, { role: unknown }), {
      code: "ERR_IDENTITY_UNKNOWN_ROLE",
    });
  }
});

// Guards against roles that vanish under their members, clash with built-in ones, or lose updates.
test("custom roles: made, changed for everybody at once, deleted only when unused", async (t) => {
  const id = await startIdentity(t);
  const { admin, bob, member } = await pair(id);
  const holder = admin.permissions;
  const run = <T>(work: Parameters<typeof asPrincipal<T>>[2]) => asPrincipal(id, admin, work);
  const role = { name: "clerk", title: "Clerk", permissions: ["order:read:own"] };
  const made = await run((tx) => createRole(tx, id, { role, holder }));
  assert.equal(made.version, 1);
  await assert.rejects(
    run((tx) => createRole(tx, id, { role, holder })),
    {
      code: "ERR_IDENTITY_ROLE_TAKEN",
    },
  );
  for (const name of ["admin", "tenant_admin", "user", "api_key", "system", "Clerk", "x", ""]) {
    await assert.rejects(
      run((tx) => createRole(tx, id, { role: { ...role, name }, holder })),
      {
        code: "ERR_IDENTITY_RESERVED_ROLE",
      },
    );
  }
  await change(id, admin, member.actor.id, { role: "clerk" });
  const update = (version: number | null, permissions: string[]) =>
    run((tx) => updateRole(tx, id, { name: "clerk", version, change: { permissions }, holder }));
  await assert.rejects(update(7, []), { code: "ERR_REQUEST_VERSION_CONFLICT" });
  await assert.rejects(update(1, ["tenant:create"]), { code: "ERR_ACCESS_UNKNOWN_PERMISSION" });
  assert.equal((await update(1, ["order:confirm", "order:read"])).version, 2);
  assert.equal((await principalOf(id, bob)).permissions.get("order:confirm"), "all");
  const drop = () => run((tx) => deleteRole(tx, id, { name: "clerk", version: null }));
  await assert.rejects(drop(), { code: "ERR_IDENTITY_ROLE_IN_USE" });
  await change(id, admin, member.actor.id, { role: "user" });
  await drop();
  assert.deepEqual(await run((tx) => listRoles(tx, { limit: 10, after: null })), []);
});

// Guards against lost updates and lists that lose or repeat members.
test("members are listed by page and changed by version", async (t) => {
  const id = await startIdentity(t);
  const { admin, member } = await pair(id);
  const list = (after: [string, string] | null) =>
    asPrincipal(id, admin, (tx) => listMembers(tx, { filter: {}, limit: 1, after }));
  const [first] = await list(null);
  const [second] = await list([first?.createdAt ?? "", first?.id ?? ""]);
  assert.deepEqual(new Set([first?.id, second?.id]), new Set([admin.actor.id, member.actor.id]));
  assert.deepEqual(await list([second?.createdAt ?? "", second?.id ?? ""]), []);
  const one = await change(id, admin, member.actor.id, { role: "tenant_admin" }, 1);
  assert.equal(one.version, 2);
  await assert.rejects(change(id, admin, member.actor.id, { role: "user" }, 1), {
    code: "ERR_REQUEST_VERSION_CONFLICT",
  });
  // Another tenant's admin finds nobody here.
  const eve = await principalOf(id, await registerPerson(id, "eve"));
  assert.equal(await asPrincipal(id, eve, (tx) => findMember(tx, member.actor.id)), null);
  await assert.rejects(change(id, eve, member.actor.id, { active: false }), {
    code: "ERR_REQUEST_NOT_FOUND",
  });
});
