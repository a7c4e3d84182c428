import { audit } from "#kernel/audit/audit.ts";
import { isoNow } from "#kernel/clock.ts";
import type { OnBehalf, Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { CheckResult, CheckWork } from "../jobs/check-work.ts";
import { statusOfPart } from "../rules/shown-report.ts";
import type { Check, CheckSummary } from "../schemas/checks.ts";
import { type CheckEnd, finishCheck, insertCheck } from "../store/checks.ts";
import type { ConsistencyDeps } from "../types.ts";

type ChecksDeps = Pick<ConsistencyDeps, "db" | "clock" | "checker" | "gauges" | "log">;

/** A history that is to be checked. */
export interface NewCheck {
  readonly id: string;
  readonly storeId: string | null;
  readonly work: CheckWork;
  /** What is left out of it, in words; null where it is whole. */
  readonly leftOut: string | null;
}

const checkResource = ({ id }: Pick<CheckSummary, "id">) => ({ type: "check", id });

/** Writes down that a check has begun. */
export async function beginCheck(
  tx: Tx,
  { clock }: Pick<ChecksDeps, "clock">,
  { id, storeId, work }: Pick<NewCheck, "id" | "storeId" | "work">,
): Promise<Check> {
  const check: CheckSummary = {
    id,
    storeId,
    name: work.name,
    state: "running",
    status: null,
    message: null,
    createdAt: isoNow(clock),
    finishedAt: null,
  };
  await tx.batch(insertCheck(tx.tenant.id, check));
  audit(tx, { action: "check.create", resource: checkResource(check), after: check });
  return { ...check, report: null };
}

/** Checks it in a thread and writes down what came of it; never throws. */
export async function runCheck(
  deps: ChecksDeps,
  tenant: TenantRef,
  check: NewCheck,
  on: OnBehalf,
): Promise<CheckResult> {
  const result = await deps.checker
    .check(check.work)
    .catch((error: Error): CheckResult => ({ error: error.message }));
  await finish(deps, tenant, check, { result, on }).catch((error) =>
    deps.log.warn({ err: error, checkId: check.id }, "what a check found could not be kept"),
  );
  return result;
}

async function finish(
  { db, clock, gauges }: ChecksDeps,
  tenant: TenantRef,
  { id, leftOut }: NewCheck,
  { result, on }: { result: CheckResult; on: OnBehalf },
): Promise<void> {
  const finishedAt = isoNow(clock);
  const end: CheckEnd =
    "error" in result
      ? {
          state: "failed",
          status: null,
          report: null,
          message: result.error.slice(0, 1_000),
          page: null,
          finishedAt,
        }
      : {
          state: "done",
          status: statusOfPart(result.status, leftOut === null),
          report: result.report,
          message: leftOut,
          page: result.page,
          finishedAt,
        };
  await db.inTenant(
    tenant,
    async (tx) => {
      const after = await finishCheck(tx, id, end);
      if (!after) return;
      audit(tx, { action: "check.finish", resource: checkResource(after), after });
      emit(tx, { type: "check.finished", resource: checkResource(after), data: after });
    },
    on,
  );
  if (end.status) gauges.checked(end.status);
}
