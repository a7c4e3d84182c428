import type { Tx } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { containerName } from "../rules/lease.ts";
import { isOver } from "../rules/lifecycle.ts";
import { containerSpecOf, decideWarm, putOff, readied, type StoredWarm } from "../rules/warm.ts";
import { runtimeErrors } from "../runtimes/errors.ts";
import type { Runtime } from "../runtimes/types.ts";
import { setDue, setDueBy } from "../store/due.ts";
import { getLease } from "../store/leases.ts";
import { lockQuota } from "../store/quota.ts";
import { deleteWarm, extendWarmStep, getWarm, lockWarm, updateWarm } from "../store/warm.ts";
import { failureOf } from "./failures.ts";
import { whileHeld } from "./hold.ts";
import { withLocked } from "./locked.ts";
import { withSlot } from "./slots.ts";
import { holdMs, type Works } from "./works.ts";

/** Of a lease that is made of a container that was kept ready, the first one is it. */
const generation = 1;

/** One as the engine has it in hand: locked, as of a moment. */
interface Held {
  readonly tx: Tx;
  readonly warm: StoredWarm;
  readonly nowMs: number;
}

function withWarm<T>(
  works: Works,
  tenant: TenantRef,
  id: string,
  work: (held: Held | null, tx: Tx) => Promise<T>,
): Promise<T> {
  return withLocked<StoredWarm, T>(works, tenant, lockWarm(id), (warm, nowMs, tx) =>
    work(warm && { tx, warm, nowMs }, tx),
  );
}

interface Claimed {
  readonly warm: StoredWarm;
  readonly step: "prepare" | "remove";
  readonly token: string;
}

interface Step extends Claimed {
  readonly works: Works;
  readonly tenant: TenantRef;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
}

/** Makes or removes a container that is kept ready, as far as it can be done now. */
export function workOnWarm(works: Works, tenant: TenantRef, id: string): Promise<void> {
  return withSlot(works.slots, { tenantId: tenant.id, kind: "warm", id }, async (takeSlot) => {
    const claimed = await decideNow(works, tenant, id, takeSlot);
    if (claimed !== null) await takeStep(works, tenant, claimed);
  });
}

async function takeStep(works: Works, tenant: TenantRef, claimed: Claimed): Promise<void> {
  const { warm, step, token } = claimed;
  const { id } = warm;
  const { db, clock, fleet } = works;
  const extend = () => extendWarmStep(db, tenant, { id, token, holdMs, clock });
  try {
    await whileHeld(works, extend, async (signal) => {
      const work = { ...claimed, works, tenant, signal, runtime: fleet.at(warm.spec) };
      await (step === "prepare" ? prepare(work) : remove(work));
    });
  } catch (error) {
    const { code, message } = failureOf(error);
    works.gauges.failures.inc({ step: `warm_${step}`, code });
    works.log.warn({ err: error, warm: id, tenant: tenant.id, step }, "a pool is not filled");
    const isOurs = await settle(works, tenant, claimed, (held) =>
      change(held, putOff(held.warm, message, held.nowMs)),
    );
    if (!isOurs && step === "prepare") await undoUnknown(works, tenant, warm);
  }
}

function decideNow(
  works: Works,
  tenant: TenantRef,
  id: string,
  takeSlot: () => boolean,
): Promise<Claimed | null> {
  return withWarm(works, tenant, id, async (held, tx) => {
    if (held === null) {
      await tx.batch([setDue(tx, "warm", id, null)]);
      return null;
    }
    const { warm, nowMs } = held;
    const decision = decideWarm(warm, nowMs);
    if (decision.kind === "rest") {
      await tx.batch([setDue(tx, "warm", id, decision.dueAtMs)]);
      return null;
    }
    if (decision.kind === "forget") {
      works.gauges.cleanups.inc({ result: "abandoned" });
      await forget(held);
      return null;
    }
    // Without room it stays due, for whoever has room first.
    if (!takeSlot()) return null;
    const token = works.random.id();
    const claimed = { ...warm, stepToken: token, stepUntilMs: nowMs + holdMs };
    await change(held, claimed);
    return { warm: claimed, step: decision.step, token };
  });
}

/** False: somebody else has it, or somebody has leased it. */
async function settle(
  works: Works,
  tenant: TenantRef,
  { warm, token }: Pick<Claimed, "warm" | "token">,
  work: (held: Held) => Promise<void>,
): Promise<boolean> {
  return withWarm(works, tenant, warm.id, async (held) => {
    if (held?.warm.stepToken !== token) return false;
    await work(held);
    return true;
  });
}

/** Writes how one stands; when it can be leased, its pool may have more to do. */
async function change({ tx, nowMs }: Held, after: StoredWarm): Promise<void> {
  const decision = decideWarm(after, nowMs);
  const dueAtMs = decision.kind === "rest" ? decision.dueAtMs : nowMs;
  const isFree = after.stepToken === null;
  await tx.batch([
    updateWarm(after),
    setDue(tx, "warm", after.id, dueAtMs),
    // Behind whoever plans, and may have seen it as it was before.
    ...(isFree ? [lockQuota(tx), setDueBy(tx, "pools", tx.tenant.id, nowMs)] : []),
  ]);
}

/** What of it is left on an engine, if anything, reconciling finds. */
async function forget({ tx, warm }: Held): Promise<void> {
  await tx.batch([deleteWarm(warm.id), setDue(tx, "warm", warm.id, null)]);
}

async function prepare(step: Step): Promise<void> {
  const { works, tenant, warm, runtime, signal } = step;
  const { faults, installId } = works;
  await faults.at("leases.warm.intent", signal);
  const name = containerName(installId, warm.id, generation);
  const there = await runtime.inspect(name);
  // Of an attempt before, whose program has ended.
  if (there && there.state !== "created" && there.state !== "running") {
    await runtime.remove(there.id);
  }
  const identity = { installId, tenantId: tenant.id, leaseId: warm.id, generation };
  const made = await runtime.create(containerSpecOf(warm.spec, identity, {}), signal);
  await faults.at("leases.warm.container", signal);
  const container = made.state === "created" ? await runtime.start(made.id) : made;
  if (container.state !== "running") {
    throw runtimeErrors.conflict({ detail: "Its program ends at once, so none is kept ready." });
  }
  await faults.at("leases.warm.ready", signal);
  const isOurs = await settle(works, tenant, step, (held) =>
    change(held, readied(held.warm, container.id, held.nowMs)),
  );
  if (!isOurs) await undo(works, tenant, warm, container.id);
}

/**
 * It went on without us. Where nobody wants this container any more, it must not stay; where
 * somebody else makes it, or has leased it meanwhile, it is theirs.
 */
async function undo(
  works: Works,
  tenant: TenantRef,
  warm: StoredWarm,
  containerId: string,
): Promise<void> {
  const { db, clock, fleet } = works;
  const { id } = warm;
  // In this order: one may become a lease in between, and never the other way round.
  const known = await getWarm(db, tenant, id);
  if (known !== null && known.state !== "removing") return;
  const lease = (await getLease(db, tenant, { id, ownerId: null, clock }))?.lease;
  if (lease && !isOver(lease) && lease.generation === generation) return;
  await fleet.at(warm.spec).remove(containerId);
}

/** The same where nobody knows how far it came. */
async function undoUnknown(works: Works, tenant: TenantRef, warm: StoredWarm): Promise<void> {
  const name = containerName(works.installId, warm.id, generation);
  const found = await works.fleet.at(warm.spec).inspect(name);
  if (found?.identity.leaseId === warm.id) await undo(works, tenant, warm, found.id);
}

async function remove(step: Step): Promise<void> {
  const { works, tenant, warm, runtime, signal } = step;
  await works.faults.at("leases.warm.remove", signal);
  const found = await runtime.inspect(containerName(works.installId, warm.id, generation));
  if (found?.identity.leaseId === warm.id) await runtime.remove(found.id);
  await settle(works, tenant, step, forget);
  works.gauges.cleanups.inc({ result: "removed" });
}

/** Looks at one that is kept ready: where its program is over, it is made anew in a while. */
export async function observeWarm(works: Works, tenant: TenantRef, id: string): Promise<void> {
  const seen = await getWarm(works.db, tenant, id);
  if (seen?.state !== "ready" || seen.containerId === null) return;
  const container = await works.fleet.at(seen.spec).inspect(seen.containerId);
  if (container?.state === "running") return;
  await withWarm(works, tenant, id, async (held) => {
    if (held?.warm.state !== "ready" || held.warm.containerId !== seen.containerId) return;
    await change(held, putOff(held.warm, "Its program has ended.", held.nowMs));
  });
}
