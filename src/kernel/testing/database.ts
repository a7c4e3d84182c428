import { createHash, randomBytes } from "node:crypto";
import { accessSync, constants, readFileSync, statfsSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { type Embedded, startEmbedded } from "../db/embedded.ts";
import { migrate } from "../db/migrate.ts";
import {
  kernelMigrations,
  type MigrationSource,
  migrationsHash,
  readMigrations,
} from "../db/migration-files.ts";
import { ensureAppGroup, scramVerifier, withClient } from "../db/roles.ts";

export interface TestCluster {
  /** To be given to the test files as PLIMSOLL_TEST_DATABASE_URL. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface TestDatabase {
  /** The owner, who is no superuser: migrations, jobs. */
  readonly ownerUrl: string;
  /** The application's role, to which row-level security applies. */
  readonly appUrl: string;
  /** The cluster's superuser, whom row-level security does not bind: to look at everything. */
  readonly adminUrl: string;
  readonly name: string;
}

/** What a test context has to offer; node:test's own does. */
interface Cleanup {
  after(clean: () => Promise<void>): void;
}

const ownerRole = "plimsoll_test_owner";
const appRole = "plimsoll_test_app";
const templatePrefix = "plimsoll_template_";
const databasePrefix = "plimsoll_test_";
const memoryFolder = "/dev/shm";
const memoryNeededBytes = 2 * 1024 ** 3;
const templatesKeptAtMost = 12;
const cloneAttemptsAtMost = 100;
const farewellLooksAtMost = 50;
const farewellLookMs = 10;
const templateLock = "1347176781, 7";

// Nothing here has to survive a power cut.
const fastSettings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off",
  dynamic_shared_memory_type: "mmap",
  max_connections: "300",
  max_wal_size: "64MB",
  min_wal_size: "32MB",
};

/** A cluster that was not shut down before the machine restarted can't be trusted without fsync. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);
  } catch {
    return "any";
  }
}

/**
 * Where tests put databases: in memory where there is room, since making 300 files costs ext4 270
 * ms and tmpfs 8 ms; else the system's temporary folder.
 */
export function testFolder(): string {
  try {
    const { bavail, bsize } = statfsSync(memoryFolder);
    accessSync(memoryFolder, constants.W_OK);
    if (bavail * bsize >= memoryNeededBytes) return memoryFolder;
  } catch {
    // Not Linux, or not ours to write to.
  }
  return tmpdir();
}

function startShared(): Promise<Embedded> {
  const dataDir = join(testFolder(), `plimsoll-test-${userInfo().uid}-${bootId()}`);
  return startEmbedded({ dataDir, settings: fastSettings });
}

/** Starts, or joins, the cluster that this user's tests share; the last to stop shuts it down. */
export async function startTestCluster(): Promise<TestCluster> {
  const embedded = await startShared();
  if (!embedded.adopted) await dropLeftovers(embedded.adminUrl);
  return { url: embedded.adminUrl, stop: () => embedded.stop() };
}

/**
 * When the cluster had to be started nobody can be using its databases, except those who start with
 * us.
 */
async function dropLeftovers(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query(
      `select datname as name from pg_database d where starts_with(datname, $1)
          and not exists (select from pg_stat_activity a where a.datid = d.oid)`,
      [databasePrefix],
    );
    for (const { name } of rows) {
      const [pid] = name.slice(databasePrefix.length).split("_");
      if (!isAlive(Number(pid))) await client.query(`drop database if exists ${name}`);
    }
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

export interface ClusterOptions {
  /** A superuser's URL of another cluster than the usual one, such as PostgreSQL 15. */
  clusterUrl?: string;
}

/** Which migrations a test database has; `kernel` in place of the kernel's own. */
export interface TestDatabaseOptions extends ClusterOptions {
  services?: readonly MigrationSource[];
  kernel?: MigrationSource;
}

interface Access {
  adminUrl: string;
  ownerUrl(database: string): string;
  appUrl(database: string): string;
}

/** By cluster; "" is the one that tests use unless they name another. */
const accesses = new Map<string, Promise<Access>>();

function accessTo(clusterUrl: string | undefined): Promise<Access> {
  const key = clusterUrl ?? "";
  let access = accesses.get(key);
  if (!access) {
    access = (clusterUrl ? Promise.resolve(clusterUrl) : usualCluster()).then(prepare);
    accesses.set(key, access);
  }
  return access;
}

async function usualCluster(): Promise<string> {
  const given = process.env.PLIMSOLL_TEST_DATABASE_URL;
  if (given) return given;
  const embedded = await startShared();
  process.once("exit", () => embedded.release());
  if (!embedded.adopted) await dropLeftovers(embedded.adminUrl);
  return embedded.adminUrl;
}

const at = (url: string, database: string, role?: { name: string; password: string }) => {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  if (role) {
    changed.username = role.name;
    changed.password = role.password;
  }
  return changed.href;
};

/**
 * Tests run as an owner who is no superuser, as production should: what only a superuser may do
 * fails here first. The password follows from that of the cluster, so that parallel test files
 * agree.
 */
async function prepare(adminUrl: string): Promise<Access> {
  const password = (role: string) =>
    createHash("sha256")
      .update(`${role} ${new URL(adminUrl).password}`)
      .digest("hex");
  const owner = { name: ownerRole, password: password(ownerRole) };
  const app = { name: appRole, password: password(appRole) };
  const isSuperuser = await withClient(adminUrl, async (client) => {
    await client.query(`select pg_advisory_lock(${templateLock})`);
    const { rows } = await client.query(
      "select rolsuper as superuser from pg_roles where rolname = current_user",
    );
    await ensureAppGroup(client);
    const roles = await client.query(
      "select rolname as name from pg_roles where rolname = any ($1)",
      [[ownerRole, appRole]],
    );
    const has = (name: string) => roles.rows.some((row) => row.name === name);
    const make = (role: { name: string; password: string }, how: string) =>
      client.query(
        `create role ${role.name} login ${how} password '${scramVerifier(role.password)}'`,
      );
    if (rows[0].superuser && !has(ownerRole)) await make(owner, "createrole createdb");
    const { rows: administered } = await client.query(
      `select from pg_auth_members where admin_option
          and roleid = to_regrole('plimsoll_app') and member = to_regrole($1)`,
      [ownerRole],
    );
    if (rows[0].superuser && administered.length === 0) {
      await client.query(`grant plimsoll_app to ${ownerRole} with admin option`);
    }
    if (!has(appRole)) {
      await make(app, "");
      await client.query(`grant plimsoll_app to ${appRole}`);
    }
    return rows[0].superuser as boolean;
  });
  return {
    adminUrl,
    ownerUrl: (database) => at(adminUrl, database, isSuperuser ? owner : undefined),
    appUrl: (database) => at(adminUrl, database, app),
  };
}

async function dropOldTemplates(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select datname as name from pg_database where starts_with(datname, $1)
      order by oid desc offset ${templatesKeptAtMost}`,
    [templatePrefix],
  );
  for (const { name } of rows) await client.query(`drop database if exists ${name}`);
}

const ownerOf = (url: string) => pg.escapeIdentifier(decodeURIComponent(new URL(url).username));

async function makeTemplate(
  client: pg.Client,
  { ownerUrl }: Access,
  options: TestDatabaseOptions,
  name: string,
): Promise<void> {
  const { services = [], kernel = kernelMigrations } = options;
  await client.query(`select pg_advisory_lock(${templateLock})`);
  try {
    const { rows } = await client.query("select from pg_database where datname = $1", [name]);
    if (rows.length > 0) return;
    await dropOldTemplates(client);
    const half = `${databasePrefix}${process.pid}_template_${randomBytes(4).toString("hex")}`;
    await client.query(`create database ${half} owner ${ownerOf(ownerUrl(half))}`);
    try {
      await migrate({ ownerUrl: ownerUrl(half), services, kernel });
    } catch (error) {
      await client.query(`drop database ${half} with (force)`);
      throw error;
    }
    // Nobody may connect to it, so that nothing makes PostgreSQL refuse to copy it.
    await client.query(`alter database ${half} with allow_connections false`);
    await client.query(`alter database ${half} rename to ${name}`);
  } finally {
    await client.query(`select pg_advisory_unlock(${templateLock})`);
  }
}

async function cloneTemplate(
  access: Access,
  options: TestDatabaseOptions,
  name: string,
): Promise<void> {
  const files = readMigrations(options.services ?? [], options.kernel);
  const template = `${templatePrefix}${migrationsHash(files)}`;
  await withClient(access.adminUrl, async (client) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const owner = ownerOf(access.ownerUrl(name));
        await client.query(
          `create database ${name} template ${template} strategy file_copy owner ${owner}`,
        );
        return;
      } catch (error) {
        const { code } = error as { code?: string };
        if (attempt === cloneAttemptsAtMost) throw error;
        // Another test dropped it as the oldest, or it was never made; or it is being copied.
        if (code === "3D000") await makeTemplate(client, access, options, template);
        else if (code === "55006") await delay(20);
        else throw error;
      }
    }
  });
}

let databases = 0;

/**
 * A pool's `end` resolves before the server has read it: connections that are just leaving would be
 * cut off, and log that. Those that stay are.
 */
async function dropUnused(client: pg.Client, name: string): Promise<void> {
  for (let looks = 0; looks < farewellLooksAtMost; looks += 1) {
    const users = "select from pg_stat_activity where datname = $1 limit 1";
    const { rows } = await client.query(users, [name]);
    if (rows.length === 0) break;
    await delay(farewellLookMs);
  }
  await client.query(`drop database if exists ${name} with (force)`);
}

async function makeDatabase(
  t: Cleanup,
  { clusterUrl }: ClusterOptions,
  make: (access: Access, name: string) => Promise<unknown>,
): Promise<TestDatabase> {
  const here = await accessTo(clusterUrl);
  databases += 1;
  const name = `${databasePrefix}${process.pid}_${databases}_${randomBytes(3).toString("hex")}`;
  await make(here, name);
  t.after(() => withClient(here.adminUrl, (client) => dropUnused(client, name)));
  return {
    ownerUrl: here.ownerUrl(name),
    appUrl: here.appUrl(name),
    adminUrl: at(here.adminUrl, name),
    name,
  };
}

/**
 * A fresh database with everything migrated, dropped after the test. A copy of a template that is
 * made once per set of migrations. Uses the cluster of PLIMSOLL_TEST_DATABASE_URL, else one of this
 * user's own that all test files share while they run.
 */
export function testDatabase(t: Cleanup, options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  return makeDatabase(t, options, (here, name) => cloneTemplate(here, options, name));
}

/** An empty database without any schema, for tests of what makes them. */
export function emptyDatabase(t: Cleanup, options: ClusterOptions = {}): Promise<TestDatabase> {
  return makeDatabase(t, options, (here, name) =>
    withClient(here.adminUrl, (client) =>
      client.query(`create database ${name} owner ${ownerOf(here.ownerUrl(name))}`),
    ),
  );
}
