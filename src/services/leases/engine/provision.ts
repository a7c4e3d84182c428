import type { TenantRef } from "#kernel/tenancy/types.ts";
import { environmentContext } from "../changes/create.ts";
import { containerName, type Lease } from "../rules/lease.ts";
import { isEnding } from "../rules/lifecycle.ts";
import { type Ending, run, stop } from "../rules/moves.ts";
import { containerSpecOf } from "../rules/warm.ts";
import type { Container, ContainerSpec, Runtime } from "../runtimes/types.ts";
import { readEnvironment } from "../store/leases.ts";
import { settle, settleAlive, withLease, write } from "./settle.ts";
import type { Works } from "./works.ts";

/** A step that is in hand. */
export interface StepWork {
  readonly works: Works;
  readonly tenant: TenantRef;
  readonly lease: Lease;
  readonly token: string;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
}

/** How long a program has to end by itself before it is ended. */
export const stopGraceMs = 5_000;

/**
 * Makes a lease's container and starts it. Whatever was there before is adopted: the container's
 * name follows from the lease and its generation.
 */
export async function provisionStep(step: StepWork): Promise<void> {
  const { works, lease, runtime, signal, token } = step;
  const { faults } = works;
  await faults.at("leases.create.intent", signal);
  await removeUnfit(step);
  const made = await runtime.create(await specOf(step), signal);
  await faults.at("leases.create.container", signal);
  const container = made.state === "created" ? await runtime.start(made.id) : made;
  if (container.state === "paused") await runtime.resume(container.id);
  await faults.at("leases.create.start", signal);
  const isOurs = await settleAlive(works, step.tenant, { id: lease.id, token }, async (held) => {
    const isFirst = held.lease.startedAtMs === null;
    await write(works, held, run(held.lease, container, held.nowMs), {
      action: isFirst ? "lease.start" : "lease.restarted",
      event: "lease.running",
      noted: { containerId: container.id },
    });
    await faults.at("leases.create.running", signal);
    held.tx.afterCommit(() => observeStart(step, "running", held.nowMs));
  });
  if (!isOurs) await undo(step, container);
}

/**
 * What is written down before a lease runs is the container of the generation before or, of one
 * that never ran, one that was kept ready: that is good if it is alive, and else made anew.
 */
async function removeUnfit({ works, lease, runtime }: StepWork): Promise<void> {
  if (lease.containerId === null) return;
  if (lease.startedAtMs === null) {
    const isAlive = (await runtime.inspect(lease.containerId))?.state === "running";
    works.gauges.poolClaims.inc({ result: isAlive ? "hit" : "dead" });
    if (isAlive) return;
  }
  await runtime.remove(lease.containerId);
}

/** How long it took from asking for a lease to this; what is made later is a restart. */
export function observeStart(
  { works, lease }: Pick<StepWork, "works" | "lease">,
  result: "running" | "failed",
  nowMs: number,
): void {
  if (lease.startedAtMs !== null) return;
  const seconds = (nowMs - lease.createdAtMs) / 1_000;
  works.gauges.provisionSeconds.observe({ result, runtime: lease.runtime }, seconds);
}

async function specOf({ works, tenant, lease }: StepWork): Promise<ContainerSpec> {
  const { secrets, db, installId } = works;
  const sealed = lease.envNames.length === 0 ? null : await readEnvironment(db, tenant, lease.id);
  const context = environmentContext(tenant.id, lease.id);
  const env = sealed ? JSON.parse(secrets.open(sealed, context).toString("utf8")) : {};
  const { id: leaseId, generation } = lease;
  return containerSpecOf(lease, { installId, tenantId: tenant.id, leaseId, generation }, env);
}

/**
 * The lease went on without us. Where its end was decided meanwhile, or a newer container, ours
 * must not stay; where somebody else makes this very container, it is theirs.
 */
async function undo({ works, tenant, lease, runtime }: StepWork, made: Container): Promise<void> {
  const isUnwanted = await withLease(works, tenant, lease.id, async (held) => {
    if (held === null) return true;
    return isEnding(held.lease) || held.lease.generation !== lease.generation;
  });
  if (isUnwanted) await runtime.remove(made.id);
}

/** The same where nobody knows how far it came: what failed may have been made all the same. */
export async function undoUnknown(step: StepWork): Promise<void> {
  const { works, lease, runtime } = step;
  const found = await runtime.inspect(containerName(works.installId, lease.id, lease.generation));
  if (found?.identity.leaseId === lease.id) await undo(step, found);
}

/** Its container can't be had: the lease is ended, and nothing is paid for it. */
export async function giveUp(step: StepWork, message: string): Promise<void> {
  const { works, tenant, lease, token } = step;
  await settle(works, tenant, { id: lease.id, token }, async (held) => {
    const ending: Ending = { reason: "failed", atMs: held.nowMs, message };
    held.tx.afterCommit(() => observeStart(step, "failed", held.nowMs));
    await write(works, held, stop(held.lease, ending, held.nowMs), {
      action: "lease.fail",
      event: "lease.stopping",
    });
  });
}
