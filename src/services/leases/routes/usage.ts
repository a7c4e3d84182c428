import { rowsAnswer, sendRows } from "#kernel/http/download.ts";
import { isoOf } from "#kernel/clock.ts";
import type { Routes } from "#kernel/service.ts";
import { leasesErrors } from "../errors.ts";
import { ownerLimit } from "../rules/callers.ts";
import { amountsOf, periodOf } from "../rules/usage.ts";
import {
  Interval,
  intervalColumns,
  Usage,
  UsageExportFilter,
  UsageFilter,
} from "../schemas/usage.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import { exportUsage, readUsage } from "../store/usage.ts";
import type { LeasesDeps } from "../types.ts";
import { callerOf } from "./caller.ts";

const linesMost = 1_000;
const errors = [leasesErrors.too_long_ago];

/** What a caller may see and wants to: both have to agree. */
const ownersOf = (limit: string | null, wanted: string | undefined): string[] =>
  [limit, wanted].filter((owner) => owner !== null && owner !== undefined);

/** What leases used, and what that cost. */
export const usageRoutes: Routes<LeasesDeps> = (app, { db, clock }) => {
  app.get(
    "/leases/usage",
    {
      schema: {
        summary: "Report what leases used and cost",
        description:
          "Of the month so far unless `from` and `to` say otherwise. Leases that run are counted " +
          "until now. Amounts are exact in `costMicros`; `costMinor` is rounded for each line.",
        querystring: UsageFilter,
        response: { 200: Usage },
      },
      config: { permission: "usage:read", errors },
    },
    async ({ tenant, principal, query }) => {
      const owner = ownerLimit(callerOf(principal), "usage:read");
      return db.inTenant(tenant, async (tx) => {
        const [moment] = await tx.batch([selectNow(clock)]);
        const nowMs = nowMsIn(moment);
        const period = periodOf(query, nowMs);
        const ownerIds = ownersOf(owner, query.owner);
        const wanted = { ...period, nowMs, ownerIds };
        const { lines, totals } = await readUsage(tx, query.groupBy, wanted, linesMost + 1);
        return {
          from: isoOf(period.fromMs),
          to: isoOf(period.toMs),
          groupBy: query.groupBy,
          items: lines
            .slice(0, linesMost)
            .map((line) => ({ group: line.group, ...amountsOf(line), currency: line.currency })),
          totals: totals.map((sum) => ({ currency: sum.currency, ...amountsOf(sum) })),
          isPartial: lines.length > linesMost,
        };
      });
    },
  );

  app.get(
    "/leases/usage.csv",
    {
      schema: {
        summary: "Export what leases used and cost",
        description:
          "One row for each interval in which a lease ran, cut to the period. A text that a " +
          "spreadsheet would run as a formula begins with an apostrophe.",
        querystring: UsageExportFilter,
        response: { 200: rowsAnswer("The intervals.", Interval, intervalColumns, ["csv"]) },
      },
      config: { permission: "usage:read", errors },
    },
    async (request, reply) => {
      const { tenant, principal, query } = request;
      const owner = ownerLimit(callerOf(principal), "usage:read");
      const [moment] = await db.inTenant(tenant, (tx) => tx.batch([selectNow(clock)]));
      const nowMs = nowMsIn(moment);
      const period = { ...periodOf(query, nowMs), nowMs, ownerIds: ownersOf(owner, query.owner) };
      const rows = exportUsage(db, tenant, period);
      return sendRows(request, reply, {
        name: "leases-usage",
        format: "csv",
        columns: intervalColumns,
        rows,
      });
    },
  );
};
