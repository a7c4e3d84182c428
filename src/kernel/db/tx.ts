import { systemActor, type TenantRef } from "../tenancy/types.ts";
import type { Links } from "./links.ts";
import { assertTenant } from "./settings.ts";
import { TxCore } from "./tx-core.ts";
import type { OnBehalf, PlatformTx, QueryResult, Transaction, Tx } from "./types.ts";

const ignore = () => {};

/** A failed statement fails its transaction; unawaited, it must not end the process as well. */
function handled<T>(answer: Promise<T>): Promise<T> {
  answer.catch(ignore);
  return answer;
}

function face(core: TxCore, tenantId: () => string): Transaction {
  return {
    query<Row>(text: string, values?: readonly unknown[]) {
      const answers = core.run([{ text, values, tenantId: tenantId() }]);
      return handled(answers.then(([answer]) => answer as QueryResult<Row>));
    },
    batch(statements) {
      const entries = statements.map((one) => ({ ...one, tenantId: tenantId() }));
      return handled(core.run(entries).then((answers) => [...answers]));
    },
    write(statement, onError) {
      core.write({ ...statement, tenantId: tenantId(), onError });
    },
    defer(statement) {
      core.defer({ ...statement, tenantId: tenantId() });
    },
    gather(gathering, item, sizeBytes) {
      core.gather(tenantId(), gathering, item, sizeBytes);
    },
    beforeCommit(make) {
      const id = tenantId();
      core.beforeCommit(() => {
        const statement = make();
        return statement && { ...statement, tenantId: id };
      });
    },
    afterCommit(run) {
      core.afterCommit(run);
    },
  };
}

const coreOf = new WeakMap<Tx, TxCore>();

function tenantFace(core: TxCore, tenant: TenantRef, on: OnBehalf): Tx {
  const tx = {
    ...face(core, () => tenant.id),
    tenant,
    actor: on.actor ?? systemActor("kernel"),
    requestId: on.requestId ?? "",
  };
  coreOf.set(tx, core);
  return tx;
}

/**
 * The same transaction, by the same actor, in another tenant: for a change that one tenant's admin
 * makes to another tenant, which stands in the audit of both. `tx` stays in its own.
 */
export function alsoIn(tx: Tx, tenant: TenantRef): Tx {
  assertTenant(tenant);
  const core = coreOf.get(tx);
  if (!core) throw new TypeError("Only a tenant's transaction can be in another tenant as well");
  return tenantFace(core, tenant, { actor: tx.actor, requestId: tx.requestId });
}

async function settle<T>(core: TxCore, work: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await core.rollback();
    throw error;
  }
  await core.commit();
  return result;
}

/**
 * Runs `work` in one transaction of `tenant` over the schema `path`, and answers what it returned
 * once COMMIT is answered. Work without a statement sends nothing.
 */
export async function inTenant<T>(
  links: Links,
  path: string,
  tenant: TenantRef,
  work: (tx: Tx) => Promise<T>,
  on: OnBehalf = {},
): Promise<T> {
  const core = new TxCore(links, path, tenant.id, on.guard);
  return settle(core, () => work(tenantFace(core, tenant, on)));
}

/** The same for tables that belong to no tenant. */
export async function inPlatform<T>(
  links: Links,
  path: string,
  work: (tx: PlatformTx) => Promise<T>,
): Promise<T> {
  const core = new TxCore(links, path, "");
  let enteredId = "";
  const tx: PlatformTx = {
    ...face(core, () => enteredId),
    async enterTenant(tenant, on = {}) {
      assertTenant(tenant);
      // Sent with the next statement; each Tx keeps its own tenant even when another is entered.
      enteredId = tenant.id;
      return tenantFace(core, tenant, on);
    },
  };
  return settle(core, () => work(tx));
}
