import type { Clock } from "./clock.ts";
import type { Db, Transaction } from "./db/types.ts";
import {
  flagErrors,
  readOverrides,
  setOfTenant,
  storeForAll,
  storeForTenant,
} from "./flags-store.ts";
import type { Overrides } from "./flags-store.ts";
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

const namePattern = /^[a-z][a-z0-9_]{0,62}$/;
const refreshMs = 4_000;
async function keepFresh(
  load: () => Promise<void>,
  signal: AbortSignal,
  clock: Clock,
  log: Logger,
): Promise<void> {
  let failing = false;
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
}

/** A tenant's override counts more than one for all, and that more than the environment. */
export function createFlags({ environment, db, clock, log }: FlagsOptions): Flags {
  let overrides: Overrides = { byName: new Map(), byTenant: new Map() };
  let changes = 0;
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
      loop = keepFresh(load, stopping.signal, clock, log);
    },
    async stop() {
      stopping?.abort();
      await loop;
    },
  };
}
