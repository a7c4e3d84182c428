import type pg from "pg";
import { withClient } from "./roles.ts";

/** A transaction of so many rows stays short, and what waits for it too. */
const rowsAtOnce = 10_000;

interface TenantTable {
  /** Schema and table, quoted. */
  name: string;
  /** `tenant_id`, or `of_tenant` where the rows are not the tenant's own. */
  column: string;
  /** Its rows refer to each other or lie in partitions, so they go all at once. */
  whole: boolean;
  refersTo: string[];
}

const tablesText = `
  with own as (
    select c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) as name,
           quote_ident(a.attname) as column
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
       and a.attname in ('tenant_id', 'of_tenant')
     where c.relkind in ('r', 'p') and not c.relispartition
       and n.nspname !~ '^(pg_|information_schema$)|_t_[0-9a-f]{32}$'
       and pg_has_role(c.relowner, 'usage'))
  select o.name, o.column,
         o.relkind = 'p' or exists (
           select from pg_constraint k
            where k.contype = 'f' and k.conrelid = o.oid and k.confrelid = o.oid) as whole,
         array(
           select distinct other.name from pg_constraint k join own other on other.oid = k.confrelid
            where k.contype = 'f' and k.conrelid = o.oid and k.confrelid <> o.oid) as "refersTo"
    from own o order by o.column, o.name`;

/**
 * Deletes every row of a tenant from all tables that have a `tenant_id` or `of_tenant`, those that
 * refer to others first, as the owner and under the tenant's own setting; answers how many. Schemas
 * of dedicated tenants are `dropDedicated`'s. What refuses to be deleted otherwise lets it pass by
 * `platform.is_erasing()`. May be repeated, and goes on where it was interrupted.
 */
export async function eraseRows(
  ownerUrl: string,
  tenantId: string,
  signal: AbortSignal,
): Promise<number> {
  return withClient(ownerUrl, async (client) => {
    const { rows } = await client.query<TenantTable>(tablesText);
    let erased = 0;
    for (const table of referringFirst(rows)) {
      erased += await eraseTable(client, table, tenantId, signal);
    }
    return erased;
  });
}

async function eraseTable(
  client: pg.Client,
  { name, column, whole }: TenantTable,
  tenantId: string,
  signal: AbortSignal,
): Promise<number> {
  const some = `ctid = any(array(
    select ctid from ${name} where ${column} = $1 limit ${rowsAtOnce}))`;
  // Named although row-level security says it: a superuser is not bound by that.
  const text = `delete from ${name} where ${column} = $1${whole ? "" : ` and ${some}`}`;
  for (let erased = 0; ; ) {
    signal.throwIfAborted();
    await client.query("begin");
    await client.query(
      `select set_config('app.tenant_id', $1, true), set_config('plimsoll.erasing', 'on', true),
              set_config('plimsoll.audit_retention', 'on', true)`,
      [tenantId],
    );
    const { rowCount } = await client.query(text, [tenantId]);
    await client.query("commit");
    erased += rowCount ?? 0;
    if (whole || (rowCount ?? 0) < rowsAtOnce) return erased;
  }
}

/** Throws where foreign keys run in a circle: no order would do. */
export function referringFirst<Table extends Pick<TenantTable, "name" | "refersTo">>(
  tables: readonly Table[],
): Table[] {
  const ordered: Table[] = [];
  let left = [...tables];
  while (left.length > 0) {
    const free = left.filter(({ name }) => !left.some((other) => other.refersTo.includes(name)));
    if (free.length === 0) {
      const names = left.map(({ name }) => name).join(", ");
      throw new Error(`Tables whose foreign keys run in a circle can't be erased: ${names}`);
    }
    ordered.push(...free);
    left = left.filter((table) => !free.includes(table));
  }
  return ordered;
}
