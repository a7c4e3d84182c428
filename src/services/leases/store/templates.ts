import type { Clock } from "#kernel/clock.ts";
import { onUniqueViolation } from "#kernel/db/pg-errors.ts";
import { alsoIn } from "#kernel/db/tx.ts";
import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { decodeCursor, type Page, page } from "#kernel/http/cursor.ts";
import { isUuid } from "#kernel/random.ts";
import { type TenantRef, thePlatform } from "#kernel/tenancy/types.ts";
import { leasesErrors } from "../errors.ts";
import type { TemplateValues } from "../rules/templates.ts";
import type { Template, TemplateFilter } from "../schemas/templates.ts";
import { momentOf, nowAt } from "./moment.ts";

const columns = {
  name: "name",
  description: "description",
  image: "image",
  command: "command",
  cpuMillis: "cpu_millis",
  memoryMb: "memory_mb",
  diskMb: "disk_mb",
  ttlSeconds: "ttl_seconds",
  idleTtlSeconds: "idle_ttl_seconds",
  maxCpuMillis: "max_cpu_millis",
  maxMemoryMb: "max_memory_mb",
  maxDiskMb: "max_disk_mb",
  maxTtlSeconds: "max_ttl_seconds",
  pidsMax: "pids_max",
  user: "run_as",
  writable: "writable",
  egress: "egress",
  ociRuntime: "oci_runtime",
  ports: "ports",
  preStop: "pre_stop",
  snapshotOnEnd: "snapshot_on_end",
  maxRestarts: "max_restarts",
  priceCpuHourMinor: "price_cpu_hour_minor",
  priceGbHourMinor: "price_gb_hour_minor",
  priceFlatMinor: "price_flat_minor",
  warmSize: "warm_size",
  active: "active",
} as const satisfies Record<keyof TemplateValues, string>;

const names = Object.keys(columns) as (keyof TemplateValues)[];
const written = names.map((name) => columns[name]).join(", ");
const placesFrom = (first: number) => names.map((_, index) => `$${first + index}`).join(", ");
const valuesOf = (values: TemplateValues): unknown[] => names.map((name) => values[name]);

const templateColumns = `id,
  case when tenant_id = '${thePlatform.id}' then 'platform' else 'tenant' end as scope,
  ${names.map((name) => `${columns[name]} as "${name}"`).join(", ")},
  version, created_at as "createdAt", updated_at as "updatedAt"`;

/** Of more pools than a tenant may ever fill nothing needs to be known. */
const pooledMost = 1_000;

const byScope = { tenant: 0, platform: 1 } as const;

/** The tenant's own by name, then the platform's. */
export async function listTemplates(
  db: Db,
  tenant: TenantRef,
  { cursor, limit, scope, active }: TemplateFilter,
): Promise<Page<Template>> {
  const [rank, after] = cursor === undefined ? [0, ""] : decodeCursor(cursor, 2);
  const rows: Template[] = [];
  for (const one of ["tenant", "platform"] as const) {
    if ((scope ?? one) !== one || byScope[one] < Number(rank) || rows.length > limit) continue;
    const first = byScope[one] === rank ? String(after) : "";
    const answer = await db.query<Template>(
      one === "tenant" ? tenant : thePlatform,
      `select ${templateColumns} from lease_template
        where name > $1 collate "C" and ($2::boolean is null or active = $2)
        order by name collate "C" limit $3`,
      [first, active ?? null, limit + 1 - rows.length],
    );
    rows.push(...answer.rows);
  }
  return page(rows, limit, (row) => [byScope[row.scope], row.name]);
}

/** The tenant's own of this id, or the platform's; null: neither has one. */
export async function getTemplate(db: Db, tenant: TenantRef, id: string): Promise<Template | null> {
  for (const owner of [tenant, thePlatform]) {
    const { rows } = await db.query<Template>(
      owner,
      `select ${templateColumns} from lease_template where id = $1`,
      [id],
    );
    if (rows[0]) return rows[0];
  }
  return null;
}

/** Active templates of which containers are kept ready: the tenant's own, or the platform's. */
export async function listPooled(tx: Tx, scope: Template["scope"]): Promise<Template[]> {
  const owner = scope === "platform" ? alsoIn(tx, thePlatform) : tx;
  const { rows } = await owner.query<Template>(
    `select ${templateColumns} from ${tableOf(owner)}
      where tenant_id = $1 and active and warm_size > 0 order by id limit $2`,
    [owner.tenant.id, pooledMost],
  );
  return rows;
}

/** The template of a name or an id, the tenant's own before the platform's; null: there is none. */
export async function findTemplate(tx: Tx, nameOrId: string): Promise<Template | null> {
  const id = isUuid(nameOrId.toLowerCase()) ? nameOrId.toLowerCase() : null;
  for (const owner of [tx, alsoIn(tx, thePlatform)]) {
    const { rows } = await owner.query<Template>(
      `select ${templateColumns} from ${tableOf(owner)}
        where tenant_id = $1 and (name = $2 or id = $3::uuid) order by name = $2 desc limit 1`,
      [owner.tenant.id, nameOrId, id],
    );
    if (rows[0]) return rows[0];
  }
  return null;
}

// Below, `tx` is a transaction of whoever owns the template: the tenant, or the platform. The
// platform's stand in the shared schema, so these statements name it where that is meant.

const tableOf = ({ tenant }: Tx): string =>
  tenant.id === thePlatform.id ? "leases.lease_template" : "lease_template";

const nameTaken = onUniqueViolation("lease_template_name_taken", () =>
  leasesErrors.template_name_taken({
    detail: "Names of templates are used once.",
    errors: [{ path: "/name", message: "is that of another template" }],
  }),
);

/** As it is, and as it stays until the transaction ends. */
export async function lockTemplate(tx: Tx, id: string): Promise<Template | null> {
  const { rows } = await tx.query<Template>(
    `select ${templateColumns} from ${tableOf(tx)} where tenant_id = $1 and id = $2 for update`,
    [tx.tenant.id, id],
  );
  return rows[0] ?? null;
}

/** Throws `template_name_taken`. */
export async function insertTemplate(
  tx: Tx,
  { id, clock, ...values }: TemplateValues & { id: string; clock: Clock },
): Promise<Template> {
  const { rows } = await tx
    .query<Template>(
      `insert into ${tableOf(tx)} (tenant_id, id, created_at, updated_at, ${written})
       values ($1, $2, ${nowAt("$3")}, ${nowAt("$3")}, ${placesFrom(4)})
       returning ${templateColumns}`,
      [tx.tenant.id, id, momentOf(clock), ...valuesOf(values)],
    )
    .catch(nameTaken);
  return rows[0] as Template;
}

/** It is locked by then. Throws `template_name_taken`. */
export async function updateTemplate(
  tx: Tx,
  { id, clock, ...values }: TemplateValues & { id: string; clock: Clock },
): Promise<Template> {
  const { rows } = await tx
    .query<Template>(
      `update ${tableOf(tx)}
          set (${written}) = (${placesFrom(4)}), version = version + 1,
              updated_at = greatest(updated_at, ${nowAt("$3")})
        where tenant_id = $1 and id = $2
    returning ${templateColumns}`,
      [tx.tenant.id, id, momentOf(clock), ...valuesOf(values)],
    )
    .catch(nameTaken);
  return rows[0] as Template;
}

/** It is locked by then. */
export function deleteTemplate(tx: Tx, id: string): Statement {
  return {
    text: `delete from ${tableOf(tx)} where tenant_id = $1 and id = $2`,
    values: [tx.tenant.id, id],
  };
}
