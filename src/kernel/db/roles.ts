import { createHash, createHmac, hkdfSync, pbkdf2Sync } from "node:crypto";
import pg from "pg";

/** What the functions here need of a connection. */
export interface Queryable {
  // biome-ignore lint/suspicious/noExplicitAny: rows of any shape, as pg has it
  query(text: string, values?: unknown[]): Promise<{ rows: any[] }>;
}

/** The group that holds every grant; the role that the pool logs in with is a member of it. */
export const appGroup = "plimsoll_app";

const oldestVersion = 15;
const attemptsAtMost = 10;

export interface RoleOptions {
  /** DATABASE_URL: the role that migrates and owns the tables. */
  ownerUrl: string;
  /** DATABASE_APP_URL: a login role of the operator's own; by default one is derived. */
  appUrl?: string | undefined;
  /** 32 bytes; the derived role's password follows from it. */
  masterKey: Buffer;
}

/** Runs `work` on a connection of its own, with a readable error when there is none to be had. */
export async function withClient<T>(
  url: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // Without a listener a connection that breaks would end the process; the query reports it anyway.
  client.on("error", () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    // Whether it worked has been decided before; a broken connection has nothing left to close.
    await client.end().catch(() => {});
  }
}

/** Refuses a PostgreSQL older than 15: views can't be run with their caller's rights before. */
export async function checkServerVersion(client: Queryable): Promise<void> {
  const { rows } = await client.query(
    "select current_setting('server_version_num')::int as number",
  );
  const major = Math.floor(rows[0].number / 10_000);
  if (major >= oldestVersion) return;
  throw new Error(
    `PostgreSQL ${oldestVersion} or newer is needed; DATABASE_URL is PostgreSQL ${major}`,
  );
}

const quoted = (name: string) => pg.escapeIdentifier(name);

/**
 * Roles belong to the whole cluster, so servers of other databases may be changing them right now.
 */
const raceCodes = new Set(["42710", "23505", "XX000"]);

async function settle(client: Queryable, text: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(text);
      return;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "42710" || code === "23505") return;
      if (attempt === attemptsAtMost || !raceCodes.has(code ?? "")) throw error;
    }
  }
}

function refused(error: unknown, advice: string): Error {
  const { code, message } = error as { code?: string; message: string };
  if (code !== "42501") return error as Error;
  return new Error(`${advice} (PostgreSQL says: ${message})`, { cause: error });
}

/** Makes the group role when it is missing. */
export async function ensureAppGroup(client: Queryable): Promise<void> {
  const { rows } = await client.query("select from pg_roles where rolname = $1", [appGroup]);
  if (rows.length > 0) return;
  await settle(client, `create role ${appGroup} nologin`).catch((error) => {
    throw refused(
      error,
      "The role of DATABASE_URL may not create roles. Have an administrator run " +
        `"create role ${appGroup} nologin" and "create role <name> login password '…' in role ` +
        `${appGroup}", and set DATABASE_APP_URL to that role.`,
    );
  });
}

/** The login role that belongs to a database when DATABASE_APP_URL names none. */
export function derivedAppRole(
  database: string,
  masterKey: Buffer,
): { role: string; password: string } {
  const hash = createHash("sha256").update(database).digest("hex").slice(0, 8);
  const key = hkdfSync("sha256", masterKey, database, "plimsoll database app role", 32);
  return { role: `${appGroup}_${hash}`, password: Buffer.from(key).toString("base64url") };
}

/**
 * What PostgreSQL stores of a password (RFC 5803), so that the password itself never travels in a
 * statement that a log might keep. The salt follows from the password, whose 256 bits are random
 * enough.
 */
export function scramVerifier(password: string): string {
  const iterations = 4096;
  const salt = createHash("sha256").update(`salt of ${password}`).digest().subarray(0, 16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const hmac = (text: string) => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(hmac("Client Key")).digest("base64");
  const server = hmac("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored}:${server}`;
}

function urlFor(ownerUrl: string, role: string, password: string): string {
  const url = new URL(ownerUrl);
  if (url.hostname === "") {
    // postgres:///name?host=/socket/folder has no place before a host for these two.
    url.searchParams.set("user", role);
    url.searchParams.set("password", password);
  } else {
    url.username = role;
    url.password = password;
  }
  return url.href;
}

/**
 * Null when it can log in, else why not: what `ensureLogin` can put right, and pg_hba.conf, which
 * it can't.
 */
async function loginRefusal(url: string): Promise<Error | null> {
  try {
    return await withClient(url, async () => null);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "28P01" || code === "28000" || code === "42501") return error as Error;
    throw error;
  }
}

async function ensureLogin(client: Queryable, role: string, password: string): Promise<void> {
  const name = quoted(role);
  const verifier = pg.escapeLiteral(scramVerifier(password));
  const { rows } = await client.query("select from pg_roles where rolname = $1", [role]);
  try {
    if (rows.length === 0) {
      await settle(client, `create role ${name} login password ${verifier}`);
    }
    await settle(client, `alter role ${name} login inherit password ${verifier}`);
    await settle(client, `grant ${appGroup} to ${name}`);
  } catch (error) {
    throw refused(
      error,
      `The role of DATABASE_URL may not make or change the login role ${role}. ` +
        `Make a login role in ${appGroup} yourself and set DATABASE_APP_URL to it, or have an ` +
        `administrator run: grant ${appGroup} to <the role of DATABASE_URL> with admin option.`,
    );
  }
  const { rows: database } = await client.query(
    `select format('%I', datname) as name, pg_has_role(datdba, 'usage') as own
       from pg_database where datname = current_database()`,
  );
  if (!database[0].own) return;
  // Another product's or another Plimsoll's role of the same cluster has no business here.
  await settle(client, `revoke all on database ${database[0].name} from public`);
  await settle(client, `grant connect on database ${database[0].name} to ${name}`);
}

async function ensureMembership(client: Queryable, role: string): Promise<void> {
  const { rows } = await client.query("select pg_has_role($1, $2, 'usage') as member", [
    role,
    appGroup,
  ]);
  if (rows[0].member) return;
  await settle(client, `grant ${appGroup} to ${quoted(role)}`).catch((error) => {
    throw refused(
      error,
      `The role ${role} of DATABASE_APP_URL is not a member of ${appGroup}, and the role of ` +
        "DATABASE_URL may not change that. Have an administrator run: " +
        `grant ${appGroup} to ${quoted(role)}`,
    );
  });
}

/**
 * Everything that would let the application's role around row-level security, one sentence each.
 * Run as any role; `owner` is whoever owns the schema `platform` (or the database, before there is
 * one).
 */
export async function appRoleFaults(client: Queryable, role: string): Promise<string[]> {
  const { rows } = await client.query(
    `with app as (select * from pg_roles where rolname = $1),
     owner as (select coalesce(
       (select nspowner from pg_namespace where nspname = 'platform'),
       (select datdba from pg_database where datname = current_database())) as oid),
     reachable as (select r.* from pg_roles r, app
       where pg_has_role(app.oid, r.oid, 'member') and not app.rolsuper)
     select format('it does not exist') as fault where not exists (select from app)
     union all select 'it is a superuser' from app where rolsuper
     union all select 'it has BYPASSRLS' from app where rolbypassrls
     union all select 'it may create roles' from app where rolcreaterole
     union all select 'it may replicate, which reads everything' from app where rolreplication
     union all select format('it can become %I, %s', r.rolname, case
         when r.rolsuper then 'a superuser' when r.rolbypassrls then 'which has BYPASSRLS'
         when r.rolcreaterole then 'which may create roles'
         when r.rolreplication then 'which may replicate'
         else 'which reaches past row-level security' end)
       from reachable r, app where r.oid <> app.oid and (r.rolsuper or r.rolbypassrls
         or r.rolcreaterole or r.rolreplication or r.rolname in ('pg_read_all_data',
           'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files',
           'pg_execute_server_program', 'pg_maintain'))
     union all select format('it can become %I, the owner of the tables', r.rolname)
       from reachable r, owner, app where r.oid = owner.oid and r.oid <> app.oid
     union all select 'it owns the tables' from app, owner where app.oid = owner.oid
     union all select format('it is no member of ${appGroup} that inherits its grants') from app
       where not rolsuper and not pg_has_role(app.oid, to_regrole('${appGroup}'), 'usage')`,
    [role],
  );
  return rows.map(({ fault }) => `The application's role ${role} is not safe: ${fault}`);
}

/**
 * Makes or checks the roles that the application needs and answers with the URL that its pool uses.
 * Safe when several servers do it at once, also on several databases of one cluster.
 */
export async function ensureRoles(options: RoleOptions): Promise<string> {
  return withClient(options.ownerUrl, async (client) => {
    await checkServerVersion(client);
    await client.query("set lock_timeout = '30s'");
    await client.query("select pg_advisory_lock(hashtext('plimsoll roles'))");
    await ensureAppGroup(client);
    const { rows } = await client.query("select current_database() as name");
    let { appUrl } = options;
    let role: string;
    if (appUrl === undefined) {
      const derived = derivedAppRole(rows[0].name, options.masterKey);
      role = derived.role;
      appUrl = urlFor(options.ownerUrl, role, derived.password);
      if (await loginRefusal(appUrl)) {
        await ensureLogin(client, role, derived.password);
        const refusal = await loginRefusal(appUrl);
        if (refusal) throw new Error(`PostgreSQL does not let ${role} in: ${refusal.message}`);
      }
    } else {
      role = await withClient(appUrl, async (app) => {
        const { rows: own } = await app.query(
          "select current_user as role, current_database() as database",
        );
        if (own[0].database === rows[0].name) return own[0].role as string;
        throw new Error("DATABASE_APP_URL and DATABASE_URL name different databases");
      });
      await ensureMembership(client, role);
    }
    const faults = await appRoleFaults(client, role);
    if (faults.length > 0) throw new Error(faults.join("\n"));
    return appUrl;
  });
}
