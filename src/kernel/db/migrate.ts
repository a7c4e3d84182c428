import pg from "pg";
import type { Logger } from "../telemetry/logger.ts";
import {
  dedicatedSchema,
  type MigrationFile,
  type MigrationSource,
  readMigrations,
} from "./migration-files.ts";
import { appGroup, checkServerVersion, ensureAppGroup, withClient } from "./roles.ts";

export interface MigrateOptions {
  ownerUrl: string;
  /** In the order in which they migrate; the kernel's own come first by themselves. */
  services: readonly MigrationSource[];
  /** Other migrations in place of the kernel's own; for tests. */
  kernel?: MigrationSource;
  log?: Pick<Logger, "info" | "warn">;
  /** Only this dedicated tenant's schemas. */
  tenantId?: string | undefined;
  /** The tenant's row may be one that is not committed yet. */
  newTenant?: boolean;
  /** How long to wait for another server that is migrating. */
  lockWaitMs?: number;
  /** How long one migration may wait for a table that is in use. */
  ddlLockWaitMs?: number;
}

export interface Step {
  /** PostgreSQL schema that the file runs in. */
  readonly schema: string;
  readonly file: MigrationFile;
}

export interface MigrationReport {
  /** "schema: service/name" of each migration that has run just now. */
  readonly applied: readonly string[];
}

export interface MigrationStatus {
  readonly applied: readonly {
    schema: string;
    name: string;
    appliedAt: Date;
    durationMs: number;
  }[];
  /** What would run next, as "schema: service/name", in order. */
  readonly pending: readonly string[];
  /** Why nothing would run: changed files, a schema newer than the code. */
  readonly faults: readonly string[];
}

interface Applied {
  schema: string;
  name: string;
  checksum: string;
  appliedAt: Date;
  durationMs: number;
}

interface Plan {
  applied: Applied[];
  steps: Step[];
  faults: string[];
}

/** "PLIM" and "migr" as numbers: the lock that every migrating server takes. */
const lockKey = "1347176781, 1835625330";
const defaultLockWaitMs = 60_000;
const defaultDdlLockWaitMs = 10_000;

const label = ({ schema, file }: Step) => `${schema}: ${file.service}/${file.name}`;

async function readBook(client: pg.Client): Promise<Applied[]> {
  const { rows } = await client.query(
    "select to_regclass('platform.migration') is not null as there",
  );
  if (!rows[0].there) return [];
  const book = await client.query(
    `select schema_name as schema, name, checksum, applied_at as "appliedAt",
            duration_ms as "durationMs"
       from platform.migration order by applied_at, schema_name, name`,
  );
  return book.rows;
}

async function dedicatedTenants(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query("select to_regclass('platform.tenant') is not null as there");
  if (!rows[0].there) return [];
  // A deleted tenant is kept up to date while its schemas are there, and not made anew once they
  // are dropped. Its column is from a later migration than the table, hence by way of JSON.
  const tenants = await client.query(
    `select id from platform.tenant t
      where isolation = 'dedicated' and (to_jsonb(t) ->> 'deleted_at' is null or exists (
        select from platform.migration m
         where right(m.schema_name, 35) = '_t_' || replace(t.id::text, '-', '')))
      order by id`,
  );
  return tenants.rows.map(({ id }) => id);
}

/** True for a tenant without a row, as while another transaction is making it. */
async function isUnknownTenant(client: pg.Client, tenantId: string): Promise<boolean> {
  const { rows } = await client.query("select from platform.tenant where id = $1", [tenantId]);
  return rows.length === 0;
}

function stepsOf(files: readonly MigrationFile[], tenants: readonly string[]): Step[] {
  const main = files
    .filter(({ scopes }) => scopes.has("platform") || scopes.has("shared"))
    .map((file) => ({ schema: file.service, file }));
  const dedicated = files.filter(({ scopes }) => scopes.has("dedicated"));
  const own = tenants.flatMap((id) =>
    dedicated.map((file) => ({ schema: dedicatedSchema(file.service, id), file })),
  );
  return [...main, ...own];
}

/** Compares what has run with what the code brings. */
function compare(applied: Applied[], all: Step[]): Plan {
  const faults: string[] = [];
  const steps: Step[] = [];
  const bySchema = Map.groupBy(applied, ({ schema }) => schema);
  for (const [schema, ours] of Map.groupBy(all, (step) => step.schema)) {
    const done = new Map((bySchema.get(schema) ?? []).map((row) => [row.name, row]));
    const last = [...done.keys()].sort().at(-1) ?? "";
    for (const step of ours) {
      const row = done.get(step.file.name);
      done.delete(step.file.name);
      if (!row) {
        steps.push(step);
        if (step.file.name < last) {
          faults.push(`${label(step)} comes before ${last}, which has run: give it a later number`);
        }
      } else if (row.checksum !== step.file.checksum) {
        faults.push(`${label(step)} was changed after it had run: put it back and add a new file`);
      }
    }
    for (const name of done.keys()) {
      faults.push(`${schema}: ${name} has run but is unknown: the schema is newer than this code`);
    }
  }
  return { applied, steps, faults };
}

async function makePlan(client: pg.Client, options: MigrateOptions): Promise<Plan> {
  const files = readMigrations(options.services, options.kernel);
  const tenants = await dedicatedTenants(client);
  const { tenantId } = options;
  const wanted = tenants.filter((id) => tenantId === undefined || id === tenantId.toLowerCase());
  if (tenantId !== undefined && wanted.length === 0) {
    const isNew = options.newTenant === true && (await isUnknownTenant(client, tenantId));
    if (!isNew) throw new Error(`There is no dedicated tenant ${tenantId}`);
    wanted.push(tenantId.toLowerCase());
  }
  const plan = compare(await readBook(client), stepsOf(files, wanted));
  if (tenantId === undefined) return plan;
  const isOwn = (schema: string) => files.every((file) => file.service !== schema);
  return {
    applied: plan.applied.filter(({ schema }) => isOwn(schema)),
    steps: plan.steps.filter(({ schema }) => isOwn(schema)),
    faults: plan.faults,
  };
}

function assertSound(plan: Plan): void {
  if (plan.faults.length === 0) return;
  throw new Error(`The database can't be migrated:\n${plan.faults.join("\n")}`);
}

async function lock(client: pg.Client, waitMs: number): Promise<void> {
  await client.query(`set lock_timeout = ${Math.ceil(waitMs)}`);
  try {
    await client.query(`select pg_advisory_lock(${lockKey})`);
  } catch (error) {
    if ((error as { code?: string }).code !== "55P03") throw error;
    const { rows } = await client.query(
      `select string_agg(format('process %s from %s since %s', a.pid,
          coalesce(host(a.client_addr), 'a local socket'), a.backend_start), ', ') as who
         from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.granted
          and l.database = (select oid from pg_database where datname = current_database())
          and (l.classid, l.objid) = (${lockKey.replace(", ", "::bigint, ")}::bigint)`,
    );
    throw new Error(
      `Another server has been migrating this database for more than ${waitMs} ms ` +
        `(${rows[0].who ?? "it has ended just now"}); start again when it is done`,
      { cause: error },
    );
  }
}

async function prepareBook(client: pg.Client): Promise<void> {
  await client.query("begin");
  await client.query(
    `create schema if not exists platform;
     grant usage on schema platform to ${appGroup};
     create table if not exists platform.migration (
       schema_name text not null,
       name text not null,
       checksum text not null,
       applied_at timestamptz not null default clock_timestamp(),
       duration_ms integer not null,
       primary key (schema_name, name)
     )`,
  );
  const { rows } = await client.query(
    `select coalesce(has_schema_privilege('${appGroup}', to_regnamespace('public'), 'create'),
                     false) as open`,
  );
  if (rows[0].open) await client.query("revoke create on schema public from public");
  await client.query("commit");
}

function lineAndColumn(text: string, position: string | undefined): string {
  if (!position) return "";
  const before = text.slice(0, Number(position) - 1).split("\n");
  return ` at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

function explain(step: Step, error: unknown, ddlLockWaitMs: number): Error {
  const { position, message, code, detail, hint, where } = error as pg.DatabaseError;
  const more = [detail, hint, where].filter(Boolean).join("; ");
  const advice =
    code === "55P03"
      ? ` A table that it changes was in use for more than ${ddlLockWaitMs} ms; try again later.`
      : "";
  return new Error(
    `Migration ${label(step)} failed${lineAndColumn(step.file.text, position)}: ${message}` +
      `${code ? ` (${code})` : ""}${more ? `: ${more}` : ""}. Nothing of it was kept.${advice}`,
    { cause: error },
  );
}

async function runStep(client: pg.Client, step: Step, ddlLockWaitMs: number): Promise<void> {
  const schema = pg.escapeIdentifier(step.schema);
  await client.query(
    `reset all; reset role; set lock_timeout = ${Math.ceil(ddlLockWaitMs)}; begin;
     create schema if not exists ${schema}; grant usage on schema ${schema} to ${appGroup};
     set local search_path = ${schema}`,
  );
  try {
    await client.query(step.file.text);
    await client.query(
      `insert into platform.migration (schema_name, name, checksum, duration_ms) values
       ($1, $2, $3, 1000 * extract(epoch from clock_timestamp() - now()))`,
      [step.schema, step.file.name, step.file.checksum],
    );
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => {
      // The connection is gone, and the transaction with it; `error` says what happened.
    });
    throw explain(step, error, ddlLockWaitMs);
  }
}

async function run(client: pg.Client, options: MigrateOptions): Promise<MigrationReport> {
  const first = await makePlan(client, options);
  assertSound(first);
  if (first.steps.length === 0) return { applied: [] };
  await lock(client, options.lockWaitMs ?? defaultLockWaitMs);
  await ensureAppGroup(client);
  await prepareBook(client);
  // Another server may have migrated while we waited.
  const plan = await makePlan(client, options);
  assertSound(plan);
  const applied: string[] = [];
  for (const step of plan.steps) {
    await runStep(client, step, options.ddlLockWaitMs ?? defaultDdlLockWaitMs);
    applied.push(label(step));
    options.log?.info({ schema: step.schema, migration: step.file.name }, "Migrated");
  }
  return { applied };
}

/**
 * Brings the database up to the code: the kernel's schema, each service's and each dedicated
 * tenant's. Servers that start at once migrate once. Every file is one transaction, so a failing
 * one leaves the schema as the file before it left it, and the error names file, line and
 * PostgreSQL's message.
 */
export async function migrate(options: MigrateOptions): Promise<MigrationReport> {
  return withClient(options.ownerUrl, async (client) => {
    await checkServerVersion(client);
    return run(client, options);
  });
}

/** What has run, what would run (a dry run) and what stands in the way; changes nothing. */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationStatus> {
  return withClient(options.ownerUrl, async (client) => {
    const plan = await makePlan(client, options);
    return {
      applied: plan.applied.map(({ checksum: _, ...row }) => row),
      pending: plan.steps.map(label),
      faults: plan.faults,
    };
  });
}

/**
 * Makes the schemas of a dedicated tenant, or finishes making them; its row may be about to be
 * committed, so that nobody ever sees a tenant without its schemas.
 */
export function provisionDedicated(
  ownerUrl: string,
  tenantId: string,
  services: readonly MigrationSource[],
): Promise<MigrationReport> {
  return migrate({ ownerUrl, services, tenantId, newTenant: true });
}

/** Drops every schema of a dedicated tenant with all that is in it; answers with their names. */
export async function dropDedicated(ownerUrl: string, tenantId: string): Promise<string[]> {
  return withClient(ownerUrl, async (client) => {
    await lock(client, defaultLockWaitMs);
    const { rows } = await client.query(
      `select nspname as name from pg_namespace
        where right(nspname, 35) = $1 and pg_has_role(nspowner, 'usage') order by 1`,
      [dedicatedSchema("", tenantId)],
    );
    const names = rows.map(({ name }) => name as string);
    await client.query(`begin; set local lock_timeout = ${defaultDdlLockWaitMs}`);
    for (const name of names) {
      await client.query(`drop schema ${pg.escapeIdentifier(name)} cascade`);
      await client.query("delete from platform.migration where schema_name = $1", [name]);
    }
    await client.query("commit");
    return names;
  });
}
