import type { Clock } from "#kernel/clock.ts";
import type { Db } from "#kernel/db/types.ts";
import { Problem } from "#kernel/errors.ts";
import type { Random } from "#kernel/random.ts";
import type { Logger } from "#kernel/telemetry/logger.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { consistencyErrors } from "../errors.ts";
import { claimStore, keepStore, ownerLostSeconds, releaseStore } from "../store/owners.ts";
import type { RecordingLimits } from "./registry-recording.ts";
import { createOpenStore, type OpenStore } from "./registry-store.ts";
import type { Engine, StoreSpec } from "./types.ts";

/** Makes the engine of a store. */
export type OpenEngine = (
  spec: StoreSpec,
  around: { clock: Clock; random: Random; storeId: string },
) => Promise<Engine>;

export interface RegistryLimits {
  readonly openMost: number;
  readonly openMostOfTenant: number;
  readonly idleMs: number;
  readonly recording?: RecordingLimits;
}

export const registryLimits: RegistryLimits = {
  openMost: 32,
  openMostOfTenant: 10,
  idleMs: 30 * 60_000,
};

const beatEveryMs = 5_000;
/** Later than this, whether the store is still held is asked before anything is answered. */
const trustMs = (ownerLostSeconds * 1_000) / 2;

/** The engines of a process, opened when they are first needed. */
export interface Engines {
  /** In whose memory they are. */
  readonly process: string;
  /** Throws `store_elsewhere`, `too_many_open` or `no_engine`. */
  open(tenant: TenantRef, wanted: { id: string; spec: StoreSpec }): Promise<OpenStore>;
  /** Closes it, if it is open here. */
  close(tenantId: string, id: string): Promise<void>;
  opened(): readonly { tenantId: string; store: OpenStore }[];
  /** Says what is still held, and closes what nobody uses or another process has taken. */
  beat(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

interface Entry {
  readonly tenant: TenantRef;
  readonly specText: string;
  readonly store: Promise<OpenStore>;
  /** Once it is open. */
  opened: OpenStore | null;
  keptMs: number;
}

export interface EnginesOptions {
  readonly db: Db;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly openEngine: OpenEngine;
  readonly limits?: RegistryLimits;
}

/** What the functions below share. */
interface Shelf {
  readonly options: EnginesOptions;
  readonly limits: RegistryLimits;
  readonly process: string;
  readonly entries: Map<string, Entry>;
}

const nameOf = (tenantId: string, id: string): string => `${tenantId}/${id}`;

const heldBy = (process: string, { id, generation }: OpenStore) => ({
  storeId: id,
  process,
  generation,
});

/** Makes the registry of a process. */
export function createEngines(options: EnginesOptions): Engines {
  const { clock, random, log, limits = registryLimits } = options;
  const process = random.id();
  const entries = new Map<string, Entry>();
  const shelf: Shelf = { options, limits, process, entries };
  const stopping = new AbortController();
  const registry: Engines = {
    process,
    async open(tenant, { id, spec }) {
      stopping.signal.throwIfAborted();
      const name = nameOf(tenant.id, id);
      const specText = JSON.stringify(spec);
      const there = entries.get(name);
      if (there && there.specText !== specText) await end(shelf, name, there);
      else if (there && clock.monotonicMs() - there.keptMs > trustMs) {
        await keep(shelf, name, there);
      }
      const entry = entries.get(name) ?? begin(shelf, tenant, { id, spec, specText });
      const store = await entry.store;
      store.usedMs = clock.monotonicMs();
      return store;
    },
    async close(tenantId, id) {
      const name = nameOf(tenantId, id);
      const entry = entries.get(name);
      if (entry) await end(shelf, name, entry);
    },
    opened: () =>
      [...entries.values()].flatMap(({ tenant, opened }) =>
        opened ? [{ tenantId: tenant.id, store: opened }] : [],
      ),
    async beat() {
      const nowMs = clock.monotonicMs();
      for (const [name, entry] of entries) {
        const { opened } = entry;
        const isIdle = opened && !opened.runId && nowMs - opened.usedMs > limits.idleMs;
        if (isIdle) await end(shelf, name, entry);
        else await keep(shelf, name, entry);
      }
    },
    start() {
      void beatOn(registry, clock, log, stopping.signal);
    },
    async stop() {
      stopping.abort(new Error("the process stops"));
      await Promise.all([...entries].map(([name, entry]) => end(shelf, name, entry)));
    },
  };
  return registry;
}

function begin(
  { options, limits, process, entries }: Shelf,
  tenant: TenantRef,
  { id, spec, specText }: { id: string; spec: StoreSpec; specText: string },
): Entry {
  assertRoom(entries, limits, tenant.id);
  const name = nameOf(tenant.id, id);
  const store = openStore(options, process, tenant, { id, spec });
  const keptMs = options.clock.monotonicMs();
  const entry: Entry = { tenant, specText, store, opened: null, keptMs };
  entries.set(name, entry);
  store.then(
    (open) => {
      entry.opened = open;
    },
    // Whoever waits for it is told why; the next one tries anew.
    () => {
      if (entries.get(name) === entry) entries.delete(name);
    },
  );
  return entry;
}

function assertRoom(
  entries: ReadonlyMap<string, Entry>,
  { openMost, openMostOfTenant }: RegistryLimits,
  tenantId: string,
): void {
  const own = [...entries.values()].filter(({ tenant }) => tenant.id === tenantId).length;
  if (entries.size < openMost && own < openMostOfTenant) return;
  throw consistencyErrors.too_many_open({
    detail:
      `${openMostOfTenant} stores of a tenant may be open at once, and ${openMost} in this ` +
      "process; delete one, or wait until one is idle.",
    headers: { "retry-after": "60" },
  });
}

/** Closes it and lets others have it; what goes wrong is logged: it is closed all the same. */
async function end(
  { options, process, entries }: Shelf,
  name: string,
  entry: Entry,
): Promise<void> {
  if (entries.get(name) === entry) entries.delete(name);
  try {
    const store = await entry.store;
    await store.engine.close();
    if (store.engine.name === "embedded") {
      await releaseStore(options.db, entry.tenant, heldBy(process, store));
    }
  } catch (error) {
    options.log.warn({ err: error }, "a store could not be closed");
  }
}

/** Says that it is still held, and closes it where another process has taken it. */
async function keep(shelf: Shelf, name: string, entry: Entry): Promise<void> {
  const { options, process } = shelf;
  const { opened, tenant } = entry;
  if (opened?.engine.name !== "embedded") return;
  if (await keepStore(options.db, tenant, heldBy(process, opened))) {
    entry.keptMs = options.clock.monotonicMs();
  } else {
    await end(shelf, name, entry);
  }
}

async function beatOn(registry: Engines, clock: Clock, log: Logger, signal: AbortSignal) {
  while (!signal.aborted) {
    const isOver = await clock.sleep(beatEveryMs, signal).then(
      () => false,
      () => true,
    );
    if (isOver) return;
    await registry
      .beat()
      .catch((error) => log.warn({ err: error }, "stores could not be said to be held"));
  }
}

async function openStore(
  { db, clock, random, openEngine, limits = registryLimits }: EnginesOptions,
  process: string,
  tenant: TenantRef,
  { id, spec }: { id: string; spec: StoreSpec },
): Promise<OpenStore> {
  const isOurs = spec.topology.kind === "embedded";
  const generation = isOurs ? await claimStore(db, tenant, { storeId: id, process }) : 1;
  if (generation === null) {
    throw consistencyErrors.store_elsewhere({
      detail:
        "What stands in an embedded store is in the memory of the process that opened it, and " +
        "that is another one. Ask there, or wait until it has closed it.",
      headers: { "retry-after": String(ownerLostSeconds) },
    });
  }
  try {
    return createOpenStore({
      id,
      generation,
      spec,
      engine: await openEngine(spec, { clock, random, storeId: id }),
      limits: limits.recording,
      newSession: () => `s${random.bytes(6).toString("base64url")}`,
      nowMs: () => clock.monotonicMs(),
    });
  } catch (error) {
    if (isOurs) await releaseStore(db, tenant, { storeId: id, process, generation });
    if (error instanceof Problem) throw error;
    throw consistencyErrors.no_engine({
      detail: "None of the store's nodes answered as it should; see to them and try again.",
      headers: { "retry-after": "5" },
      cause: error,
    });
  }
}
