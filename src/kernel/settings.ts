import { LRUCache } from "lru-cache";
import type { TSchema } from "typebox";
import { audit } from "./audit/audit.ts";
import type { Clock } from "./clock.ts";
import type { Db, Tx } from "./db/types.ts";
import { defineErrors } from "./errors.ts";
import type { Secrets } from "./secrets/secrets.ts";
import * as store from "./settings-store.ts";
import type { SettingsRow, SettingValues } from "./settings-store.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { TenantRef } from "./tenancy/types.ts";
import { current, type Expected } from "./versions.ts";

export interface Setting {
  /** What it is for, as one sentence for people. */
  readonly title: string;
  /** Of a value; of a secret, a string. */
  readonly schema: TSchema;
  /** What holds while the tenant has said nothing. */
  readonly default?: string | number | boolean;
  /** Sealed; answered by its last four characters. */
  readonly secret?: true;
  /** Tenants see it, and only a platform admin changes it: limits. */
  readonly platform?: true;
  /**
   * Called in the transaction that changes it, with the value that holds from now on; what it
   * throws refuses the change. Not for secrets. The statements name their tables with the schema.
   */
  readonly changed?: (tx: Tx, value: unknown) => Promise<void>;
}

/** Settings of a service by name in lower case with underscores, such as `model_provider`. */
export type SettingCatalogue = Readonly<Record<string, Setting>>;

export interface TenantSettings {
  /** Every setting by `service.name`: its value, its default, or null; secrets masked. */
  settings: Record<string, unknown>;
  version: number;
  updatedAt: string;
}

/** What a tenant has chosen, and what was chosen for it. */
export interface Settings {
  /** Every service's, by `service.name`. */
  readonly catalogue: SettingCatalogue;
  /** Null when the tenant is gone. */
  read(tx: Tx): Promise<TenantSettings | null>;
  /** A value or its default, in a transaction. For secrets use `secret`. */
  get<Value>(tx: Tx, name: string): Promise<Value | null>;
  /** All of one service's at once, by their names in it; without secrets. */
  ofService(tx: Tx, service: string): Promise<Record<string, unknown>>;
  secret(tx: Tx, name: string): Promise<string | null>;
  /**
   * Replaces the tenant's settings; audited. A value that is absent or null falls back to its
   * default. A secret that is absent, or sent back masked, stays; null removes it. Throws
   * `ERR_REQUEST_VERSION_CONFLICT`, `_NOT_FOUND` or `ERR_SETTINGS_PLATFORM_ONLY`.
   */
  replace(tx: Tx, change: SettingsChange): Promise<TenantSettings>;
  /**
   * Without waiting, at most 5 s old; the default until the tenant's were read for the first time.
   */
  peek<Value>(tenant: TenantRef, name: string): Value | null;
}

export interface SettingsChange {
  settings: Readonly<Record<string, unknown>>;
  version: Expected;
  platformAdmin: boolean;
}

export const settingErrors = defineErrors("settings", {
  platform_only: { status: 403, title: "Only a platform admin may change this setting" },
});

const rememberedMs = 4_000;
const rememberedAtMost = 10_000;
const secretName = (name: string) => `settings/${name}`;

/** One catalogue of every service's settings, by `service.name`. Throws at boot on a bad name. */
export function mergeSettings(
  services: readonly { name: string; settings?: SettingCatalogue }[],
): SettingCatalogue {
  const merged: Record<string, Setting> = {};
  for (const service of services) {
    for (const [name, setting] of Object.entries(service.settings ?? {})) {
      if (!/^[a-z][a-z0-9_]{0,62}$/.test(name)) {
        throw new Error(`Setting "${name}" of ${service.name} must be lower case with underscores`);
      }
      merged[`${service.name}.${name}`] = setting;
    }
  }
  return merged;
}

export interface SettingsOptions {
  catalogue: SettingCatalogue;
  secrets: Secrets;
  /** The kernel's own tables. */
  db: Db;
  clock: Clock;
  log: Logger;
}

interface Remembered {
  values: SettingValues;
  staleAtMs: number;
}

/** Remembers values per tenant for a few seconds and reads them again behind the callers' backs. */
function createMemory({ db, clock, log }: SettingsOptions) {
  const known = new LRUCache<string, Remembered>({ max: rememberedAtMost });
  const keep = (tenantId: string, values: SettingValues) =>
    known.set(tenantId, { values, staleAtMs: clock.monotonicMs() + rememberedMs });

  const refresh = (tenant: TenantRef, before: Remembered | undefined) => {
    // Marked as fresh first, so that one caller reads and the others go on with what is known.
    keep(tenant.id, before?.values ?? {});
    const asked = known.peek(tenant.id);
    store.readSettings(db, tenant).then(
      (values) => {
        // Unless a change was committed here meanwhile, which is newer than what was read.
        if (known.peek(tenant.id) === asked) keep(tenant.id, values);
      },
      (error: unknown) => log.warn({ err: error, tenant: tenant.id }, "settings could not be read"),
    );
  };

  return {
    keep,
    peek(tenant: TenantRef): SettingValues {
      const before = known.get(tenant.id);
      if (!before || clock.monotonicMs() >= before.staleAtMs) refresh(tenant, before);
      return before?.values ?? {};
    },
  };
}

/** Whether the caller may put this value where that one stands. */
function checkPlatformOnly(name: string, setting: Setting, isChanged: boolean, isAdmin: boolean) {
  if (!setting.platform || !isChanged || isAdmin) return;
  throw settingErrors.platform_only({
    errors: [{ path: `/settings/${name}`, message: "may be changed by a platform admin only" }],
  });
}

async function replaceSecret(
  tx: Tx,
  secrets: Secrets,
  name: string,
  wanted: unknown,
  masked: unknown,
): Promise<void> {
  if (wanted === undefined || wanted === masked) return;
  if (wanted === null) await secrets.delete(tx, secretName(name));
  else await secrets.put(tx, secretName(name), wanted as string);
}

async function tellChanges(
  tx: Tx,
  catalogue: SettingCatalogue,
  before: TenantSettings["settings"],
  after: TenantSettings["settings"],
): Promise<void> {
  for (const [name, { changed, secret }] of Object.entries(catalogue)) {
    if (changed && !secret && before[name] !== after[name]) await changed(tx, after[name]);
  }
}

function valueIn(catalogue: SettingCatalogue, values: SettingValues, name: string): unknown {
  return values[name] ?? catalogue[name]?.default ?? null;
}

/** All that a tenant chose or left as it is, secrets masked. */
async function showSettings(
  tx: Tx,
  { catalogue, secrets }: Pick<SettingsOptions, "catalogue" | "secrets">,
  row: SettingsRow,
): Promise<TenantSettings> {
  const settings: Record<string, unknown> = {};
  for (const [name, { secret }] of Object.entries(catalogue)) {
    settings[name] = secret
      ? await secrets.mask(tx, secretName(name))
      : valueIn(catalogue, row.values, name);
  }
  return { settings, version: row.version, updatedAt: row.updatedAt };
}

/** Tenants' settings over the catalogue of those that services declare. */
export function createSettings(options: SettingsOptions): Settings {
  const { catalogue, secrets } = options;
  const memory = createMemory(options);
  const entries = Object.entries(catalogue);
  const valueOf = (values: SettingValues, name: string) => valueIn(catalogue, values, name);
  const shown = (tx: Tx, row: SettingsRow) => showSettings(tx, options, row);

  const replace = async (tx: Tx, change: SettingsChange): Promise<TenantSettings> => {
    const row = current(await store.findSettings(tx, true), change.version);
    const before = await shown(tx, row);
    const values: Record<string, unknown> = {};
    for (const [name, setting] of entries) {
      const wanted = change.settings[name];
      const isKept = setting.platform && !change.platformAdmin && wanted === undefined;
      const target = wanted ?? (setting.secret ? null : (setting.default ?? null));
      const isChanged = wanted !== undefined && target !== before.settings[name];
      checkPlatformOnly(name, setting, isChanged, change.platformAdmin);
      if (setting.secret) await replaceSecret(tx, secrets, name, wanted, before.settings[name]);
      else if (isKept) values[name] = row.values[name];
      else if (wanted !== undefined && wanted !== null) values[name] = wanted;
    }
    const after = await shown(tx, await store.storeSettings(tx, values));
    await tellChanges(tx, catalogue, before.settings, after.settings);
    audit(tx, {
      action: "settings.update",
      resource: { type: "settings", id: tx.tenant.id },
      before: before.settings,
      after: after.settings,
    });
    tx.afterCommit(() => memory.keep(tx.tenant.id, values));
    return after;
  };

  return {
    catalogue,
    async read(tx) {
      const row = await store.findSettings(tx, false);
      return row && shown(tx, row);
    },
    async get<Value>(tx: Tx, name: string) {
      const row = await store.findSettings(tx, false);
      return valueOf(row?.values ?? {}, name) as Value | null;
    },
    async ofService(tx, service) {
      const row = await store.findSettings(tx, false);
      const start = `${service}.`;
      const own = entries.filter(([name, { secret }]) => name.startsWith(start) && !secret);
      return Object.fromEntries(
        own.map(([name]) => [name.slice(start.length), valueOf(row?.values ?? {}, name)]),
      );
    },
    secret: (tx, name) => secrets.get(tx, secretName(name)),
    replace,
    peek: <Value>(tenant: TenantRef, name: string) =>
      valueOf(memory.peek(tenant), name) as Value | null,
  };
}
