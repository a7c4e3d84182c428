import type pg from "pg";
import { dumpQueries } from "./schema-dump-queries.ts";

interface DumpRow {
  object: string;
  /** Null for a kind of object that the dump can't express. */
  text: string | null;
  late?: boolean;
}

const byName = (a: DumpRow, b: DumpRow) => (a.object < b.object ? -1 : a.object > b.object ? 1 : 0);

/** The schemas of the kernel and its services: neither tenants' own ones nor another product's. */
async function ownSchemas(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(
    `select distinct schema_name as name from platform.migration
      where schema_name !~ '_t_[0-9a-f]{32}$'`,
  );
  return rows.map(({ name }) => name);
}

async function dump(client: pg.Client, schemas: readonly string[]): Promise<string> {
  const parts: string[] = [];
  for (const { text, late } of dumpQueries) {
    const values = text.includes("$1") ? [schemas] : [];
    const { rows } = await client.query<DumpRow>(text, values);
    for (const row of rows.sort(byName)) {
      if (late !== undefined && row.late !== late) continue;
      if (row.text === null) throw new Error(`The schema dump can't express ${row.object}`);
      parts.push(row.text);
    }
  }
  return parts.join("\n\n");
}

/**
 * The schemas of the kernel and all services (or `schemas`) as SQL that makes them again in an
 * empty database: sorted, the same from every PostgreSQL version, without data and without tenants'
 * own schemas. There is no pg_dump among the binaries that npm installs.
 */
export async function dumpSchema(client: pg.Client, schemas?: readonly string[]): Promise<string> {
  await client.query("begin isolation level repeatable read read only");
  try {
    await client.query("set local search_path = pg_catalog");
    const header =
      "-- Dumped from a migrated database by `npm run schema -- --write`; never edited.";
    // A function's body may name what comes after it.
    const body = await dump(client, schemas ?? (await ownSchemas(client)));
    return `${header}\nset check_function_bodies = off;\n\n${body}\n`;
  } finally {
    await client.query("rollback");
  }
}
