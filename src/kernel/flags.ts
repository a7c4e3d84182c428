import type { Clock } from "./clock.ts";
import type { Db, Transaction } from "./db/types.ts";
import { defineErrors } from "./errors.ts";
import type { Logger } from "./telemetry/logger.ts";

export interface FlagStatus {
  /** In lower case: `FLAG_NEW_EDITOR` is "new_editor". */
  name: string;
  /** For tenants without an override of their own. */
  on: boolean;
  /** Where `on` comes from. */
  source: "environment" | "override" | "default";
  tenants: { tenantId: string; on: boolean }[];
}

/** Switches, from `FLAG_<NAME>` and overridden in the database for all tenants or for one. */
export interface Flags {
  /** Off when nobody ever said anything. Never waits: at most 5 s behind the database. */
  isOn(name: string, tenantId?: string): boolean;
  /** By name; tenants' overrides by their id. */
  list(): FlagStatus[];
  get(name: string): FlagStatus | null;
  /**
   * Sets or, with null, takes away an override, for all tenants or for one. This process follows as
   * soon as the transaction has committed, others within 5 s. Throws `ERR_FLAGS_BAD_NAME`,
   * `_TOO_MANY` or `_NO_SUCH_TENANT`.
   */
  set(tx: Transaction, name: string, on: boolean | null, tenantId?: string): Promise<void>;
  /** Reads the overrides now. */
  load(): Promise<void>;
  /** Reads them every few seconds until `stop`. */
  start(): void;
  stop(): Promise<void>;
}

export interface FlagsOptions {
  /** `FLAG_<NAME>` by name in lower case. */
  environment: Readonly<Record<string, boolean>>;
  /** The kernel's own tables. */
  db: Db;
  clock: Clock;
  log: Logger;
}

export const flagErrors = defineErrors("flags", {
  bad_name: { status: 422, title: "The flag's name is not valid" },
  too_many: { status: 409, title: "There are as many overrides of flags as there may be" },
  no_such_tenant: { status: 422, title: "The tenant of the override does not exist" },
});

const namePattern = /^[a-z][a-z0-9_]{0,62}$/;
const refreshMs = 4_000;
const maxFlags = 500;
const maxTenantOverrides = 10_000;

interface Overrides {
  byName: Map<string, boolean>;
  /** By flag, then by tenant. */
  byTenant: Map<string, Map<string, boolean>>;
}

async function readOverrides(tx: Transaction): Promise<Overrides> {
  const [flags, tenants] = await tx.batch([
    { text: `select name, is_on as "on" from platform.flag limit ${maxFlags}` },
    {
      text: `select name, of_tenant as "tenantId", is_on as "on" from platform.flag_tenant
              order by name, of_tenant limit ${maxTenantOverrides}`,
    },
  ]);
  const byName = new Map<string, boolean>();
  for (const row of flags?.rows ?? []) byName.set(row["name"] as string, row["on"] as boolean);
  const byTenant: Overrides["byTenant"] = new Map();
  for (const row of tenants?.rows ?? []) {
    setOfTenant(byTenant, row["name"] as string, row["tenantId"] as string, row["on"] as boolean);
  }
  return { byName, byTenant };
}

function setOfTenant(
  byTenant: Overrides["byTenant"],
  name: string,
  tenantId: string,
  on: boolean | null,
): void {
  const tenants = byTenant.get(name) ?? new Map<string, boolean>();
  if (on === null) tenants.delete(tenantId);
  else tenants.set(tenantId, on);
  if (tenants.size > 0) byTenant.set(name, tenants);
  else byTenant.delete(name);
}

async function storeForAll(tx: Transaction, name: string, on: boolean | null): Promise<void> {
  if (on === null) {
    await tx.query("delete from platform.flag where name = $1", [name]);
    return;
  }
  const { rowCount } = await tx.query(
    `insert into platform.flag as f (name, is_on)
     select $1, $2
      where exists (select from platform.flag where name = $1)
         or (select count(*) from platform.flag) < ${maxFlags}
         on conflict (name) do update set is_on = excluded.is_on, updated_at = now()`,
    [name, on],
  );
  if (rowCount === 0) throw flagErrors.too_many({ detail: `At most ${maxFlags} flags.` });
}

async function storeForTenant(
  tx: Transaction,
  name: string,
  on: boolean | null,
  tenantId: string,
): Promise<void> {
  if (on === null) {
    await tx.query("delete from platform.flag_tenant where name = $1 and of_tenant = $2", [
      name,
      tenantId,
    ]);
    return;
  }
  const tenant = await tx.query("select from platform.tenant where id = $1", [tenantId]);
  if (tenant.rowCount === 0) throw flagErrors.no_such_tenant();
  const { rowCount } = await tx.query(
    `insert into platform.flag_tenant as f (name, of_tenant, is_on)
     select $1, $2, $3
      where exists (select from platform.flag_tenant where name = $1 and of_tenant = $2)
         or (select count(*) from platform.flag_tenant) < ${maxTenantOverrides}
         on conflict (name, of_tenant) do update set is_on = excluded.is_on, updated_at = now()`,
    [name, tenantId, on],
  );
  if (rowCount === 0) {
    throw flagErrors.too_many({ detail: `At most ${maxTenantOverrides} overrides for tenants.` });
  }
}

/** A tenant's override counts more than one for all, and that more than the environment. */
export function createFlags({ environment, db, clock, log }: FlagsOptions): Flags {
  let overrides: Overrides = { byName: new Map(), byTenant: new Map() };
  let changes = 0;
  let failing = false;
  let stopping: AbortController | null = null;
  let loop: Promise<void> = Promise.resolve();

  const forAll = (name: string): boolean =>
    overrides.byName.get(name) ?? (Object.hasOwn(environment, name) && environment[name] === true);

  const statusOf = (name: string): FlagStatus => {
    const tenants = [...(overrides.byTenant.get(name) ?? [])];
    const inEnvironment = Object.hasOwn(environment, name) ? "environment" : "default";
    return {
      name,
      on: forAll(name),
      source: overrides.byName.has(name) ? "override" : inEnvironment,
      tenants: tenants.map(([tenantId, on]) => ({ tenantId, on })),
    };
  };

  const names = () =>
    new Set([
      ...Object.keys(environment),
      ...overrides.byName.keys(),
      ...overrides.byTenant.keys(),
    ]);

  const load = async (): Promise<void> => {
    const before = changes;
    const read = await db.inPlatform(readOverrides);
    // A change that was committed here meanwhile may be missing from what was read.
    if (changes === before) overrides = read;
  };

  const refresh = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        await clock.sleep(refreshMs, signal);
        await load();
        failing = false;
      } catch (error) {
        if (signal.aborted) return;
        if (!failing) log.warn({ err: error }, "flags could not be read; the last ones hold");
        failing = true;
      }
    }
  };

  const remember = (name: string, on: boolean | null, tenantId: string | undefined) => {
    changes += 1;
    if (tenantId !== undefined) setOfTenant(overrides.byTenant, name, tenantId, on);
    else if (on === null) overrides.byName.delete(name);
    else overrides.byName.set(name, on);
  };

  return {
    isOn(name, tenantId) {
      const ofTenant = tenantId && overrides.byTenant.get(name)?.get(tenantId);
      return typeof ofTenant === "boolean" ? ofTenant : forAll(name);
    },
    list: () => [...names()].sort().map(statusOf),
    get: (name) => (names().has(name) ? statusOf(name) : null),
    async set(tx, name, on, tenantId) {
      if (!namePattern.test(name)) {
        throw flagErrors.bad_name({
          detail: "A flag has 1 to 63 lower-case letters, digits and _, a letter first.",
        });
      }
      if (tenantId === undefined) await storeForAll(tx, name, on);
      else await storeForTenant(tx, name, on, tenantId);
      tx.afterCommit(() => remember(name, on, tenantId));
    },
    load,
    start() {
      if (stopping) return;
      stopping = new AbortController();
      loop = refresh(stopping.signal);
    },
    async stop() {
      stopping?.abort();
      await loop;
    },
  };
}
