import { faultQueries, policyQuery } from "./catalogue-queries.ts";
import { appRoleFaults, type Queryable } from "./roles.ts";

/** The database would not keep tenants apart; `faults` names each reason. */
export class CatalogueError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `The database does not keep tenants apart:\n${faults.map((one) => `- ${one}`).join("\n")}`,
    );
    this.name = "CatalogueError";
    this.faults = faults;
  }
}

interface PolicyRow {
  table: string;
  /** Null for a table without any policy that applies to the application. */
  policy: string | null;
  /** As in pg_policy.polcmd. */
  verb: "r" | "a" | "w" | "d" | "*";
  permissive: boolean;
  using: string | null;
  check: string | null;
}

/** How PostgreSQL writes `column = (select nullif(current_setting('setting', true), '')::uuid)`. */
function comparison(column: string, setting: string): string {
  return (
    `(${column} = ( SELECT (NULLIF(current_setting('${setting}'::text, true), ''::text))::uuid ` +
    `AS "nullif"))`
  );
}

const ofTenant = comparison("tenant_id", "app.tenant_id");

/**
 * Signing in reads one's own memberships before a tenant is chosen; nothing else may look across.
 */
const exceptions = [
  {
    table: "platform.membership",
    policy: "membership_of_user",
    verb: "r",
    using: comparison("user_id", "app.user_id"),
  },
] as const;

/**
 * True for the comparison with the tenant alone or narrowed by "and": in what PostgreSQL prints,
 * every operator is inside parentheses of its own, so what follows a leading "((comparison) AND"
 * can only be more of AND.
 */
const isOfTenant = (expression: string | null) =>
  expression === ofTenant || (expression?.startsWith(`(${ofTenant} AND `) ?? false);

const verbs = { r: "SELECT", a: "INSERT", w: "UPDATE", d: "DELETE" } as const;

function covers(row: PolicyRow, verb: keyof typeof verbs): boolean {
  if (!row.permissive || (row.verb !== "*" && row.verb !== verb)) return false;
  const reads = verb === "a" || isOfTenant(row.using);
  const writes = verb === "r" || verb === "d" || isOfTenant(row.check ?? row.using);
  return reads && writes;
}

function isException(row: PolicyRow): boolean {
  return exceptions.some(
    ({ table, policy, verb, using }) =>
      row.table === table && row.policy === policy && row.verb === verb && row.using === using,
  );
}

function policyFaults(rows: PolicyRow[]): string[] {
  const faults: string[] = [];
  for (const row of rows) {
    // Restrictive policies only take away; without a permissive one nothing is visible at all.
    if (row.policy === null || !row.permissive || isException(row)) continue;
    for (const [clause, expression] of [
      ["using", row.using],
      ["with check", row.check],
    ] as const) {
      if (expression === null || isOfTenant(expression)) continue;
      faults.push(
        `${row.table}: policy ${row.policy} says ${clause} ${expression}, which is not the ` +
          "comparison of tenant_id with app.tenant_id (narrowed by AND at most)",
      );
    }
  }
  for (const table of new Set(rows.map((row) => row.table))) {
    for (const [verb, name] of Object.entries(verbs)) {
      const own = rows.filter((row) => row.table === table && row.policy !== null);
      if (own.some((row) => covers(row, verb as keyof typeof verbs))) continue;
      faults.push(`${table}: no policy compares tenant_id with app.tenant_id for ${name}`);
    }
  }
  return faults;
}

/**
 * Everything in the catalogue that would let one tenant reach another's rows; one sentence each.
 */
export async function catalogueFaults(
  client: Queryable,
  { appRole }: { appRole: string },
): Promise<string[]> {
  const faults = await appRoleFaults(client, appRole);
  for (const query of faultQueries) {
    const { rows } = await client.query(query, [appRole]);
    for (const { object, fault } of rows) faults.push(`${object}: ${fault}`);
  }
  const { rows } = await client.query(policyQuery, [appRole]);
  return [...faults, ...policyFaults(rows as PolicyRow[])].sort();
}

/**
 * Reads PostgreSQL's catalogue and throws a `CatalogueError` unless row-level security holds for
 * every table with a tenant_id, and `appRole`, the role that the pool logs in with, has no way
 * around it.
 */
export async function checkCatalogue(
  client: Queryable,
  options: { appRole: string },
): Promise<void> {
  const faults = await catalogueFaults(client, options);
  if (faults.length > 0) throw new CatalogueError(faults);
}
