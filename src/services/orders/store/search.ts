import type { Db } from "#kernel/db/types.ts";
import { beforeId, encodeCursor, type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { OrderFilter } from "../schemas/orders.ts";
import { type Condition, conditionsOf } from "./common.ts";
import { headColumns, orderConditions, type StoredHead } from "./orders.ts";

/** How many orders one request looks through: some 0.1 s on a busy machine. */
export const searchedAtOnce = 20_000;

const firstId = "00000000-0000-0000-0000-000000000000";

/**
 * Orders whose number or customer holds `q`, newest first. No index can find a part of a text under
 * row-level security, which lets none be used over a function or by LIKE. So a page looks through
 * so many of the orders that the other filters leave; where it has not come to their end it says
 * where the next one goes on, however few it has found.
 */
export async function searchOrders(
  db: Db,
  tenant: TenantRef,
  { q, cursor, limit, ...filter }: OrderFilter & { q: string },
  ownerId: string | null,
  atOnce = searchedAtOnce,
): Promise<Page<StoredHead>> {
  const from = cursor === undefined ? null : beforeId(cursor);
  const bound: Condition = [from, (place) => `id < ${place}`];
  const others = [bound, ...orderConditions(filter, ownerId)];
  const { conditions, values } = conditionsOf(others, 2);
  const where = ["true", ...conditions].join(" and ");
  const { rows } = await db.query<StoredHead & { lookedTo: string | null }>(
    tenant,
    `with last as (
       select id from sales_order where ${where} order by id desc offset ${atOnce - 1} limit 1
     )
     select (select id from last) as "lookedTo", found.*
       from (select) as one
       left join (
         select ${headColumns} from sales_order
          where ${where} and id >= coalesce((select id from last), '${firstId}'::uuid)
            and strpos(lower(concat_ws(E'\\n', number, customer_name)), lower($1)) > 0
          order by id desc limit ${limit + 1}) as found on true`,
    [q, ...values],
  );
  const lookedTo = rows[0]?.lookedTo ?? null;
  const found = rows.flatMap(({ lookedTo: _, ...head }) => (head.id === null ? [] : [head]));
  const { items, nextCursor } = page(found, limit, ({ id }) => [id]);
  const goesOn = lookedTo === null ? null : encodeCursor([lookedTo]);
  return { items, nextCursor: nextCursor ?? goesOn };
}
