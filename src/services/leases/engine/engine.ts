import { type Loop, startLoop } from "#kernel/jobs/loop.ts";
import { claimDue, type Due, dropDue } from "../store/due.ts";
import type { Engine } from "../types.ts";
import { workOnBudget } from "./budget.ts";
import { findDrift, reconcile, repairDrift } from "./drift.ts";
import { createHands, type Hands } from "./hands.ts";
import { workOnLease } from "./lease-work.ts";
import { observeLease } from "./observe.ts";
import { openPlaces } from "./places.ts";
import { workOnPools } from "./pools.ts";
import { workOnSnapshot } from "./snapshot-work.ts";
import { createSlots } from "./slots.ts";
import { workOnWarm } from "./warm-work.ts";
import { startWatch } from "./watch.ts";
import type { Wanted, Works } from "./works.ts";

/**
 * Steps under way in one process: each waits for an engine of containers, and engines of tenants'
 * own may hang. Whatever else there is to do needs the database only and never waits for those.
 */
const stepsMost = 96;
const stepsPerTenantMost = 24;
const decidedAtOnceMost = 32;
const queuedMost = 1_000;
const sweepEveryMs = 200;
/** A claim that its process did not live to end is somebody else's after this. */
const claimMs = 2_000;
const perTenantMost = 16;

/** An engine with its hand on the brake. */
export interface RunningEngine extends Engine {
  /** Looks for what is due, and listens to the runtimes, again and again. */
  start(): void;
  /** One round of looking: how much was due. Resolves when that has been worked on. */
  sweep(): Promise<number>;
  /** Aborted when it is stopped. */
  readonly stopped: AbortSignal;
  /** Takes on nothing more, and resolves when what is under way has ended. */
  stop(): Promise<void>;
}

export interface EngineOptions extends Omit<Works, "stopping" | "changed" | "slots"> {
  /** Told of everything that is committed here. */
  readonly onChange?: (id: string) => void;
}

/**
 * Brings leases to where they are to be. The sweep is the truth: what is due is found through
 * pointers, claimed so that processes share the work, and worked on tenant by tenant. Requests of
 * the same process only hasten it.
 */
export function createEngine(options: EngineOptions): RunningEngine {
  const stopping = new AbortController();
  const slots = createSlots<Wanted>({
    most: stepsMost,
    perTenantMost: stepsPerTenantMost,
    waitingMost: queuedMost,
    keyOf,
    tenantOf: ({ tenantId }) => tenantId,
    onRoom: (wanted) => void hands.take(wanted),
  });
  const works: Works = {
    ...options,
    slots,
    stopping: stopping.signal,
    changed: (id) => options.onChange?.(id),
  };
  const hands = createHands<Wanted>({
    atOnceMost: stepsMost + decidedAtOnceMost,
    queuedMost,
    keyOf,
    work: (wanted) => workOn(works, wanted),
  });
  const loops: Loop[] = [];
  let placesOpened: Promise<void> | null = null;
  const { clock, log } = works;
  return {
    nudge: (tenantId, kind, id) => void hands.take({ tenantId, kind, id }),
    settled: hands.settled,
    observe: async (tenant, leaseId) => void (await observeLease(works, tenant, leaseId)),
    drift: (signal) => findDrift(works, signal),
    repair: (drift) => repairDrift(works, drift),
    async reconcile(signal) {
      placesOpened ??= openPlaces(works, signal).catch((error) => {
        placesOpened = null;
        throw error;
      });
      await placesOpened;
      return reconcile(works, signal);
    },
    start() {
      const run = async () => (await takeDue(works, hands)).due.length > 0;
      const sweep = startLoop({ name: "leases sweep", everyMs: sweepEveryMs, clock, log, run });
      loops.push(sweep, startWatch(works));
    },
    stopped: stopping.signal,
    async sweep() {
      const { due, work } = await takeDue(works, hands);
      await Promise.all(work);
      return due.length;
    },
    async stop() {
      stopping.abort(new Error("The process is stopping"));
      slots.close();
      hands.close();
      await Promise.all(loops.map((loop) => loop.stop()));
      await hands.settled();
    },
  };
}

const keyOf = ({ kind, tenantId, id }: Wanted): string => `${kind} ${tenantId} ${id}`;

/** Claims as much of what is due as there are hands for. */
async function takeDue(
  { db, random, clock, slots }: Works,
  hands: Hands<Wanted>,
): Promise<{ due: Due[]; work: Promise<void>[] }> {
  const limit = hands.free();
  if (limit === 0) return { due: [], work: [] };
  const claim = { id: random.id(), limit, perTenant: perTenantMost, holdMs: claimMs, clock };
  const due = await claimDue(db, claim);
  const work = due
    .map(({ tenantId, kind, subjectId: id }) => ({ tenantId, kind, id }))
    // What waits for room is decided already.
    .filter((wanted) => !slots.isWaiting(wanted))
    .map((wanted) => hands.take(wanted));
  return { due, work: work.filter((one) => one !== undefined) };
}

async function workOn(works: Works, { tenantId, kind, id }: Wanted): Promise<void> {
  const { tenants, db, log, stopping } = works;
  try {
    const tenant = await tenants.known(tenantId);
    // Of a deleted tenant: what is left of it on an engine, reconciling removes.
    if (tenant === null) await dropDue(db, { tenantId, kind, subjectId: id });
    else if (kind === "lease") await workOnLease(works, tenant, id);
    else if (kind === "snapshot") await workOnSnapshot(works, tenant, id);
    else if (kind === "warm") await workOnWarm(works, tenant, id);
    else if (kind === "pools") await workOnPools(works, tenant);
    else await workOnBudget(works, tenant);
  } catch (error) {
    if (stopping.aborted) return;
    log.error({ err: error, tenant: tenantId, kind, id }, "a lease could not be worked on");
  }
}
