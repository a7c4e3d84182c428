import type { Db } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { firstIdOf, utcOf } from "../rules/ids.ts";
import { exact } from "../rules/money.ts";
import { orderStates } from "../rules/orders.ts";
import { type OrderSummary, revenueDaysMost, type SummaryFilter } from "../schemas/orders.ts";
import { type Condition, conditionsOf } from "./common.ts";

interface SummaryRow {
  counts: Partial<OrderSummary["counts"]>;
  /** Sums as text: a day's may be more than a number holds. */
  revenue: {
    day: string;
    currency: string;
    orders: number;
    netMinor: string;
    vatMinor: string;
    totalMinor: string;
  }[];
}

/**
 * How many orders are in each state, and what completed ones took in by day (UTC) and currency;
 * with `ownerId`, of that one's orders. Throws `total_too_large` for a sum beyond 2^53 - 1.
 */
export async function summarizeOrders(
  db: Db,
  tenant: TenantRef,
  filter: SummaryFilter,
  ownerId: string | null,
): Promise<OrderSummary> {
  const { made, done, values } = rangeOf(filter, ownerId);
  const { rows } = await db.query<SummaryRow>(
    tenant,
    `select
  (select coalesce(json_object_agg(state, orders), '{}') from (
     select state, count(*) as orders from sales_order where ${made} group by state
   ) as by_state) as counts,
  (select coalesce(json_agg(by_day), '[]') from (
     select (updated_at at time zone 'UTC')::date as day, currency, count(*) as orders,
            sum(net_minor)::text as "netMinor", sum(vat_minor)::text as "vatMinor",
            sum(total_minor)::text as "totalMinor"
       from sales_order
      where ${done}
      group by day, currency
      order by day desc, currency
      limit ${revenueDaysMost}) as by_day) as revenue`,
    values,
  );
  const { counts, revenue } = rows[0] as SummaryRow;
  return {
    counts: Object.fromEntries(
      orderStates.map((state) => [state, counts[state] ?? 0]),
    ) as OrderSummary["counts"],
    revenue: revenue.map((day) => ({
      ...day,
      netMinor: exact(BigInt(day.netMinor)),
      vatMinor: exact(BigInt(day.vatMinor)),
      totalMinor: exact(BigInt(day.totalMinor)),
    })),
  };
}

/**
 * Of the orders made, and of those completed in the range. A column that no filter names is not
 * read, so that an index alone may do.
 */
function rangeOf({ from, to, shopId }: SummaryFilter, ownerId: string | null) {
  const both: Condition[] = [
    [shopId, (place) => `shop_id = ${place}`],
    [ownerId, (place) => `owner_id = ${place}`],
  ];
  const made = conditionsOf(
    [
      ...both,
      [from && firstIdOf(from, "query/from"), (place) => `id >= ${place}`],
      [to && firstIdOf(to, "query/to"), (place) => `id < ${place}`],
    ],
    1,
  );
  const done = conditionsOf(
    [
      ...both,
      [from && utcOf(from, "query/from"), (place) => `updated_at >= ${place}`],
      [to && utcOf(to, "query/to"), (place) => `updated_at < ${place}`],
    ],
    made.values.length + 1,
  );
  return {
    made: ["true", ...made.conditions].join(" and "),
    done: ["state = 'completed'", ...done.conditions].join(" and "),
    values: [...made.values, ...done.values],
  };
}
