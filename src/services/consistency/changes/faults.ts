import { audit } from "#kernel/audit/audit.ts";
import type { OnBehalf } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { EngineFault } from "../engines/types.ts";
import { consistencyErrors } from "../errors.ts";
import { faultOf } from "../rules/faults.ts";
import type { FaultsAnswer, NewFault } from "../schemas/faults.ts";
import type { ConsistencyDeps, Opened } from "../types.ts";
import { storeResource } from "./stores.ts";

const shownFaults = 100;

type FaultDeps = Pick<ConsistencyDeps, "db" | "gauges">;

/** Injects a fault and records who did. Throws `bad_fault`. */
export async function injectFault(
  deps: FaultDeps,
  tenant: TenantRef,
  { open }: Opened,
  { fault, on }: { fault: NewFault; on: OnBehalf },
): Promise<void> {
  const { engine } = open;
  const spec = faultOf(fault, engine.replicas);
  try {
    await engine.inject(spec);
  } catch (error) {
    if (!(error instanceof EngineFault)) throw error;
    throw consistencyErrors.bad_fault({
      detail: `${error.message} What it can have: ${engine.faultKinds.join(", ")}.`,
      errors: [{ path: "/kind", message: "can't be injected here" }],
    });
  }
  deps.gauges.injected(spec.kind);
  await record(deps, tenant, { id: open.id, fault, on });
}

/** Ends every fault and records who did. */
export async function healStore(
  deps: FaultDeps,
  tenant: TenantRef,
  { open }: Opened,
  on: OnBehalf,
): Promise<void> {
  await open.engine.heal();
  await record(deps, tenant, { id: open.id, fault: null, on });
}

const record = (
  { db }: FaultDeps,
  tenant: TenantRef,
  { id, fault, on }: { id: string; fault: NewFault | null; on: OnBehalf },
): Promise<void> =>
  db.inTenant(
    tenant,
    async (tx) => {
      const resource = storeResource({ id });
      const action = fault ? "store.fault" : "store.heal";
      audit(tx, { action, resource, ...(fault && { after: fault }) });
      const type = fault ? "store.fault_injected" : "store.healed";
      emit(tx, { type, resource, data: { storeId: id, fault } });
    },
    on,
  );

/** The faults that a store has had, the last hundred of them. */
export const faultsOf = ({ open }: Opened): FaultsAnswer => ({
  storeId: open.id,
  items: open.engine
    .faults()
    .slice(-shownFaults)
    .map(({ fault, call, return: end, isolated }) => ({
      fault,
      call,
      return: end,
      isolated: [...isolated],
    })),
});
