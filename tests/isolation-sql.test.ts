import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import { fillEveryTable } from "./support/every-table.ts";
import { testServices } from "./support/services.ts";

interface Table {
  schema: string;
  name: string;
  /** Those that an insert may name, quoted. */
  columns: string;
}

const nobody = "01890000-0000-7000-8000-00000000dead";

/** What the setting may wrongly be when a statement arrives; null: it was never set. */
const settings = [
  { title: "no tenant", value: null },
  { title: "an empty tenant", value: "" },
  { title: "a malformed tenant", value: "x' or true --" },
  { title: "another tenant", value: nobody },
] as const;

async function tablesWithTenant(client: pg.Client): Promise<Table[]> {
  const { rows } = await client.query<Table>(
    `select n.nspname as schema, c.relname as name,
            (select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
              where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = '')
              as columns
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
      where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema|graphile)'
      order by 1, 2`,
  );
  return rows;
}

const quoted = ({ schema, name }: Table) =>
  `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;

/** Runs one statement under a setting and answers how many rows it saw or changed; -1: refused. */
async function attempt(
  client: pg.Client,
  value: string | null,
  text: string,
  values: unknown[] = [],
) {
  await client.query("begin");
  try {
    if (value !== null) await client.query("select set_config('app.tenant_id', $1, true)", [value]);
    const { rowCount } = await client.query(text, values);
    return rowCount ?? 0;
  } catch (error) {
    assert.match(
      (error as pg.DatabaseError).code ?? "",
      /^(42501|22P02|P0001|23\d{3})$/,
      String(error),
    );
    return -1;
  } finally {
    await client.query("rollback");
  }
}

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** One row of the tenant as JSON, to be put back under another tenant's setting. */
async function sample(client: pg.Client, table: Table, tenantId: string): Promise<unknown> {
  await client.query("begin");
  await client.query("select set_config('app.tenant_id', $1, true)", [tenantId]);
  const { rows } = await client.query(`select to_jsonb(r) as row from ${quoted(table)} r limit 1`);
  await client.query("rollback");
  return rows[0]?.row ?? null;
}

async function attack(app: pg.Client, table: Table, row: unknown): Promise<string[]> {
  const name = quoted(table);
  const verbs = {
    select: `select 1 from ${name}`,
    update: `update ${name} set tenant_id = tenant_id`,
    delete: `delete from ${name}`,
    insert: `insert into ${name} (${table.columns}) overriding system value
             select ${table.columns} from jsonb_populate_record(null::${name}, $1::jsonb)`,
  };
  const leaks: string[] = [];
  for (const { title, value } of settings) {
    for (const [verb, text] of Object.entries(verbs)) {
      const touched = await attempt(
        app,
        value,
        text,
        verb === "insert" ? [JSON.stringify(row)] : [],
      );
      if (touched > 0) leaks.push(`${verb} on ${name} with ${title} touched ${touched} rows`);
      if (verb === "insert" && touched === 0) leaks.push(`insert into ${name} was not even tried`);
    }
  }
  return leaks;
}

/** Rows of a dedicated tenant are in its own schemas, a shared one's in those of the services. */
function isOf(tenant: { isolation: string }, { schema }: Table): boolean {
  return schema === "platform" || schema.includes("_t_") === (tenant.isolation === "dedicated");
}

async function matrix({ app, tenant }: TestApp, slug: string) {
  const victim = await tenant(slug);
  const empty: string[] = [];
  let cells = 0;
  await connected(app.ownerUrl, (owner) =>
    connected(app.appUrl, async (client) => {
      for (const table of await tablesWithTenant(owner)) {
        if (!isOf(victim, table)) continue;
        const row = await sample(owner, table, victim.id);
        // The positive control: without a row of the tenant, seeing none would prove nothing.
        if (row === null) empty.push(quoted(table));
        else assert.deepEqual(await attack(client, table, row), []);
        cells += settings.length * 4;
      }
    }),
  );
  return { empty, cells };
}

for (const slug of ["acme", "acme-dedicated"]) {
  // Guards against any table, verb or setting through which one tenant's rows reach another.
  test(`${slug}: in SQL no table gives, changes or takes a row without its tenant`, async (t) => {
    const env = { PLIMSOLL_ALLOW_PRIVATE_HOSTS: "127.0.0.1:9" };
    const app = await startTestApp(t, { services: testServices(), env });
    await fillEveryTable(app, slug);
    const { empty, cells } = await matrix(app, slug);
    assert.deepEqual(empty, [], "tables in which the tenant has no row to steal");
    assert.ok(cells >= 100, `only ${cells} cells`);
    t.diagnostic(`${cells} cells of table × verb × setting denied`);
  });
}
