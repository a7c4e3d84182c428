import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type TestContext, test } from "node:test";
import { emptyDatabase, type TestDatabase } from "../testing/database.ts";
import { requireService } from "../testing/services.ts";
import { migrate } from "./migrate.ts";
import { checkServerVersion, derivedAppRole, ensureRoles, withClient } from "./roles.ts";

const masterKey = Buffer.alloc(32, 7);

/** An empty database; the roles that the test makes for it go with it. */
async function startDatabase(t: TestContext, clusterUrl?: string): Promise<TestDatabase> {
  const database = await emptyDatabase(t, clusterUrl ? { clusterUrl } : {});
  const clusterAdmin = new URL(database.adminUrl);
  clusterAdmin.pathname = "/postgres";
  t.after(() =>
    withClient(clusterAdmin.href, async (client) => {
      await client.query(`drop role if exists ${derivedAppRole(database.name, masterKey).role}`);
      await client.query(`drop role if exists ${ownRole(database)}`);
    }),
  );
  return database;
}

const ownRole = ({ name }: TestDatabase) =>
  `own_${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;

/** Makes a role of the test's own and answers with its URL. */
async function makeRole(database: TestDatabase, how: string): Promise<string> {
  const name = ownRole(database);
  await withClient(database.adminUrl, (client) =>
    client.query(`create role ${name} login password 'test' ${how}`),
  );
  const url = new URL(database.ownerUrl);
  url.username = name;
  url.password = "test";
  return url.href;
}

async function checkDerivedRole(database: TestDatabase): Promise<void> {
  const { ownerUrl } = database;
  const appUrl = await ensureRoles({ ownerUrl, masterKey });
  await migrate({ ownerUrl, services: [] });
  const hash = createHash("sha256").update(database.name).digest("hex").slice(0, 8);
  await withClient(appUrl, async (client) => {
    const { rows } = await client.query(
      "select current_user as role, (select count(*)::int from platform.tenant) as tenants",
    );
    assert.deepEqual(rows, [{ role: `plimsoll_app_${hash}`, tenants: 0 }]);
    for (const forbidden of [
      "create table platform.mine ()",
      "create schema mine",
      "create temporary table mine ()",
      "alter table platform.tenant disable row level security",
      "set role plimsoll_test_owner",
      "select * from platform.migration",
    ]) {
      await assert.rejects(client.query(forbidden), { code: "42501" }, forbidden);
    }
  });
  assert.equal(await ensureRoles({ ownerUrl, masterKey }), appUrl, "the same again");

  const rotated = await ensureRoles({ ownerUrl, masterKey: Buffer.alloc(32, 8) });
  assert.notEqual(rotated, appUrl);
  await withClient(rotated, (client) => client.query("select from platform.tenant"));
  await assert.rejects(
    withClient(appUrl, async () => {}),
    { code: "28P01" },
    "the old key's password is dead",
  );
}

// Guards against an application that logs in with more rights than it needs.
test("without DATABASE_APP_URL a role is derived that can use the tables, no more", async (t) => {
  await checkDerivedRole(await startDatabase(t));
});

test("PostgreSQL 15: the derived role is the same there", async (t) => {
  const url = await requireService(t, "postgres15");
  if (url) await checkDerivedRole(await startDatabase(t, url));
});

// Guards against one installation's credentials opening another's database on the same cluster.
test("a derived role can't connect to another database", async (t) => {
  const [one, two] = [await startDatabase(t), await startDatabase(t)];
  const appUrl = new URL(await ensureRoles({ ownerUrl: one.ownerUrl, masterKey }));
  await ensureRoles({ ownerUrl: two.ownerUrl, masterKey });
  appUrl.pathname = `/${two.name}`;
  await assert.rejects(
    withClient(appUrl.href, async () => {}),
    { code: "42501" },
  );
});

// Guards against servers that start together failing on each other's changes to the cluster's
// roles.
test("many servers of several databases make their roles at once", async (t) => {
  const databases = [await startDatabase(t), await startDatabase(t), await startDatabase(t)];
  const urls = await Promise.all(
    [...databases, ...databases, ...databases].map(({ ownerUrl }) =>
      ensureRoles({ ownerUrl, masterKey }),
    ),
  );
  assert.equal(new Set(urls).size, 3);
});

// Guards against an operator's own role that row-level security does not bind.
test("a role of DATABASE_APP_URL that reaches past row-level security is refused", async (t) => {
  const cases: [string, RegExp][] = [
    ["superuser", /it is a superuser/],
    ["bypassrls", /it has BYPASSRLS/],
    ["createrole", /it may create roles/],
    ["in role plimsoll_test_owner", /it can become plimsoll_test_owner, the owner of the tables/],
    ["in role pg_write_all_data", /it can become pg_write_all_data/],
  ];
  for (const [how, message] of cases) {
    const database = await startDatabase(t);
    const appUrl = await makeRole(database, how);
    const { ownerUrl } = database;
    await assert.rejects(ensureRoles({ ownerUrl, appUrl, masterKey }), message);
  }
  const { ownerUrl } = await startDatabase(t);
  await assert.rejects(ensureRoles({ ownerUrl, appUrl: ownerUrl, masterKey }), /may create roles/);
});

// Guards against an operator's role that has no grants, or serves another database than migrations
// do.
test("a sound role of DATABASE_APP_URL joins the group and is used as it is", async (t) => {
  const database = await startDatabase(t);
  const { ownerUrl } = database;
  const appUrl = await makeRole(database, "");
  assert.equal(await ensureRoles({ ownerUrl, appUrl, masterKey }), appUrl);
  await migrate({ ownerUrl, services: [] });
  await withClient(appUrl, (client) => client.query("select from platform.tenant"));
  const other = await startDatabase(t);
  await assert.rejects(
    ensureRoles({ ownerUrl: other.ownerUrl, appUrl, masterKey }),
    /DATABASE_APP_URL and DATABASE_URL name different databases/,
  );
});

// Guards against a bare "permission denied" where an operator has to know what to do.
test("an owner that may not create roles is told to give DATABASE_APP_URL", async (t) => {
  const database = await startDatabase(t);
  const ownerUrl = await makeRole(database, "");
  await withClient(database.adminUrl, (client) =>
    client.query(`alter database ${database.name} owner to ${ownRole(database)}`),
  );
  await assert.rejects(
    ensureRoles({ ownerUrl, masterKey }),
    /may not make or change the login role plimsoll_app_.* set DATABASE_APP_URL/,
  );
  const { appUrl } = database;
  assert.equal(await ensureRoles({ ownerUrl, appUrl, masterKey }), appUrl);
  await migrate({ ownerUrl, services: [] });
});

// Guards against failing on some syntax error where the server is simply too old.
test("PostgreSQL before 15 is refused by its version", async () => {
  const server = (number: number) => ({ query: async () => ({ rows: [{ number }] }) });
  await assert.rejects(
    checkServerVersion(server(140_012)),
    /PostgreSQL 15 or newer .* PostgreSQL 14/,
  );
  await checkServerVersion(server(150_000));
  await checkServerVersion(server(180_004));
});

// Guards against a password that could be worked out without the master key.
test("the derived password depends on the key and on the database", () => {
  const { password } = derivedAppRole("plimsoll", masterKey);
  assert.equal(derivedAppRole("plimsoll", masterKey).password, password);
  assert.notEqual(derivedAppRole("other", masterKey).password, password);
  assert.notEqual(derivedAppRole("plimsoll", Buffer.alloc(32, 8)).password, password);
  assert.equal(Buffer.from(password, "base64url").length, 32);
});
