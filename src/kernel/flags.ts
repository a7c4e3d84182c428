import type { Clock } from "./clock.ts";
import type { Db, Transaction } from "./db/types.ts";
import * as store from "./flags-store.ts";
import { flagErrors, type Override } from "./flags-store.ts";
import type { Logger } from "./telemetry/logger.ts";

export interface FlagStatus {
  /** In lower case: `FLAG_NEW_EDITOR` is "new_editor". */
  name: string;
  /** For tenants without an override of their own. */
  on: boolean;
  /** Where `on` comes from. */
  source: "environment" | "override" | "default";
  tenants: { tenantId: string; on: boolean }[];
  /** Another one with every change of its overrides; 1 while there are none. */
  version: number;
}

/** Switches, from `FLAG_<NAME>` and overridden in the database for all tenants or for one. */
export interface Flags {
  /** Off when nobody ever said anything. Never waits: at most 5 s behind the database. */
  isOn(name: string, tenantId?: string): boolean;
  /** By name; tenants' overrides by their id. */
  list(): FlagStatus[];
  get(name: string): FlagStatus | null;
  /** As it is in the database; locked, so that nobody else changes it meanwhile. */
  lock(tx: Transaction, name: string): Promise<FlagStatus | null>;
  /**
   * Sets or, with null, takes away an override, for all tenants or for one, and answers with the
   * flag as it is then; null when nothing is left of it. This process follows as soon as the
   * transaction has committed, others within 5 s. Throws `ERR_FLAGS_BAD_NAME`, `_TOO_MANY` or
   * `_NO_SUCH_TENANT`.
   */
  set(
    tx: Transaction,
    name: string,
    on: boolean | null,
    tenantId?: string,
  ): Promise<FlagStatus | null>;
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

/** What a flag is, by its override and by what the environment says. */
function readerOf(environment: FlagsOptions["environment"]) {
  const inEnvironment = (name: string) => Object.hasOwn(environment, name);
  const forAll = (name: string, override: Override | null | undefined): boolean =>
    override?.on ?? (inEnvironment(name) && environment[name] === true);
  const statusOf = (name: string, override: Override | null | undefined): FlagStatus | null => {
    if (!override && !inEnvironment(name)) return null;
    const byDefault = inEnvironment(name) ? "environment" : "default";
    return {
      name,
      on: forAll(name, override),
      source: typeof override?.on === "boolean" ? "override" : byDefault,
      tenants: [...(override?.tenants ?? [])].map(([tenantId, on]) => ({ tenantId, on })),
      version: override?.version ?? 1,
    };
  };
  return { forAll, statusOf };
}

/** A tenant's override counts more than one for all, and that more than the environment. */
export function createFlags({ environment, db, clock, log }: FlagsOptions): Flags {
  let overrides = new Map<string, Override>();
  let changes = 0;
  let stopping: AbortController | null = null;
  let loop: Promise<void> = Promise.resolve();

  const { forAll, statusOf } = readerOf(environment);
  const load = async (): Promise<void> => {
    const before = changes;
    const read = await db.inPlatform(store.readOverrides);
    // A change that was committed here meanwhile may be missing from what was read.
    if (changes === before) overrides = read;
  };

  const remember = (name: string, override: Override | null) => {
    changes += 1;
    if (override) overrides.set(name, override);
    else overrides.delete(name);
  };

  return {
    isOn(name, tenantId) {
      const override = overrides.get(name);
      const ofTenant = tenantId && override?.tenants.get(tenantId);
      return typeof ofTenant === "boolean" ? ofTenant : forAll(name, override);
    },
    list: () =>
      [...new Set([...Object.keys(environment), ...overrides.keys()])]
        .sort()
        .map((name) => statusOf(name, overrides.get(name)) as FlagStatus),
    get: (name) => statusOf(name, overrides.get(name)),
    lock: async (tx, name) => statusOf(name, await store.lockOverride(tx, name)),
    async set(tx, name, on, tenantId) {
      if (!namePattern.test(name)) {
        throw flagErrors.bad_name({
          detail: "A flag has 1 to 63 lower-case letters, digits and _, a letter first.",
        });
      }
      const before = await store.lockOverride(tx, name);
      // Also where it is a tenant's: the flag's version has to change.
      await store.storeForAll(tx, name, tenantId === undefined ? on : (before?.on ?? null));
      if (tenantId !== undefined && on !== null) {
        await store.storeForTenant(tx, name, on, tenantId);
      } else if (tenantId !== undefined) await store.forgetForTenant(tx, name, tenantId);
      await store.forgetUnused(tx, name);
      const after = await store.lockOverride(tx, name);
      tx.afterCommit(() => remember(name, after));
      return statusOf(name, after);
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
