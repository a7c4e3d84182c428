import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Expected } from "#kernel/versions.ts";
import { createdAtOf, firstIdOf } from "../rules/ids.ts";
import { type OrderLine, orderNumberPattern, type OrderState } from "../rules/orders.ts";
import type { Order, OrderFilter, OrderHead } from "../schemas/orders.ts";
import type { Standing } from "../rules/obstacles.ts";
import { type Condition, narrowed } from "./common.ts";
import { selectStanding, standingOf } from "./lookups.ts";

/** An order as it is stored; what may be done with it depends on who asks, and when. */
export type StoredOrder = Omit<Order, "allowedTransitions" | "obstacles">;
export type StoredHead = Omit<OrderHead, "allowedTransitions">;

/** What is decided anew when a draft is changed. */
export type OrderValues = Pick<
  StoredOrder,
  | "shopId"
  | "customerId"
  | "customerName"
  | "customerEmail"
  | "customerPhone"
  | "notes"
  | "currency"
  | "netMinor"
  | "vatMinor"
  | "totalMinor"
  | "allergenWarnings"
>;

export interface NewOrderRow extends OrderValues {
  id: string;
  number: string;
  ownerId: string;
}

export const headColumns = `id, number, shop_id as "shopId", customer_id as "customerId",
  customer_name as "customerName", customer_email as "customerEmail",
  customer_phone as "customerPhone", notes, state, currency, net_minor as "netMinor",
  vat_minor as "vatMinor", total_minor as "totalMinor", allergen_warnings as "allergenWarnings",
  acknowledged_allergens as "acknowledgedAllergens", owner_id as "ownerId", version,
  created_at as "createdAt", updated_at as "updatedAt"`;

const lineColumns = `product_id as "productId", title, quantity,
  unit_price_minor as "unitPriceMinor", vat_rate as "vatRate", total_minor as "totalMinor",
  vat_minor as "vatMinor", allergens`;

/** Newest first, one more than asked for; with `ownerId`, only that one's. */
export async function listOrders(
  db: Db,
  tenant: TenantRef,
  filter: OrderFilter,
  ownerId: string | null,
): Promise<Page<StoredHead>> {
  const slice = narrowed(filter, orderConditions(filter, ownerId));
  const { rows } = await db.query<StoredHead>(
    tenant,
    `select ${headColumns} from sales_order ${slice.page}`,
    slice.values,
  );
  return page(rows, filter.limit, ({ id }) => [id]);
}

/** Whether a `q` is looked for, order by order; a whole number is looked up. */
export const isSearch = (q: string): boolean => !orderNumberPattern.test(q);

/** What the filters of a list ask of an order; with `ownerId`, that it is that one's. */
export function orderConditions(
  { state, shopId, customerId, from, to, q }: Omit<OrderFilter, "limit" | "cursor">,
  ownerId: string | null,
): Condition[] {
  const number = q === undefined || isSearch(q) ? undefined : q.toUpperCase();
  return [
    [ownerId, (place) => `owner_id = ${place}`],
    [state, (place) => `state = ${place}`],
    [shopId, (place) => `shop_id = ${place}`],
    [customerId, (place) => `customer_id = ${place}`],
    [from && firstIdOf(from, "query/from"), (place) => `id >= ${place}`],
    [to && firstIdOf(to, "query/to"), (place) => `id < ${place}`],
    [number, (place) => `number = ${place}`],
    [
      number ? undefined : q,
      (place) => `strpos(lower(concat_ws(E'\\n', number, customer_name)), lower(${place})) > 0`,
    ],
  ];
}

/** An order, and of a draft how what it names stands now. */
export interface FoundOrder {
  order: StoredOrder;
  standing: Standing | null;
}

/** With its items, in one statement; null when the tenant, or `ownerId`, has no such order. */
export async function getOrder(
  db: Db,
  tenant: TenantRef,
  id: string,
  ownerId: string | null,
): Promise<FoundOrder | null> {
  const { rows } = await db.query<StoredOrder & { standing: Standing | null }>(
    tenant,
    `select ${headColumns}, (
       select json_agg(json_build_object('productId', product_id, 'title', title,
           'quantity', quantity, 'unitPriceMinor', unit_price_minor, 'vatRate', vat_rate,
           'totalMinor', total_minor, 'vatMinor', vat_minor, 'allergens', allergens)
         order by position)
         from sales_order_line where order_id = $1) as items,
         case state when 'draft' then ${standingOf} end as standing
       from sales_order where id = $1 and ($2::text is null or owner_id = $2)`,
    [id, ownerId],
  );
  if (!rows[0]) return null;
  const { standing, ...order } = rows[0];
  return { order, standing };
}

/** Whether the owner has this order. */
export async function ownsOrder(
  db: Db,
  tenant: TenantRef,
  id: string,
  ownerId: string,
): Promise<boolean> {
  const { rows } = await db.query(
    tenant,
    "select 1 from sales_order where id = $1 and owner_id = $2",
    [id, ownerId],
  );
  return rows.length > 0;
}

/** The order's head as it is, and as it stays until the transaction ends. */
export function lockOrder(id: string, ownerId: string | null): Statement {
  return {
    text: `select ${headColumns} from sales_order
            where id = $1 and ($2::text is null or owner_id = $2) for no key update`,
    values: [id, ownerId],
  };
}

/** An order's items as they were sent. */
export function selectLines(orderId: string): Statement {
  return {
    text: `select ${lineColumns} from sales_order_line where order_id = $1 order by position`,
    values: [orderId],
  };
}

/** False where another order has the number already; then nothing is written. */
export async function insertOrder(
  tx: Tx,
  order: NewOrderRow,
  lines: readonly OrderLine[],
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `with made as (
       insert into sales_order (tenant_id, id, number, owner_id, created_at, updated_at, state,
                                acknowledged_allergens, ${valueColumns})
       values ($1, $2, $3, $4, $5, $5, 'draft', false,
               $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
       on conflict (tenant_id, number) do nothing
       returning tenant_id, id
     )
     insert into sales_order_line (tenant_id, order_id, ${lineColumnNames})
     select made.tenant_id, made.id, line.* from made, ${linesFrom("$6")}`,
    [
      tx.tenant.id,
      order.id,
      order.number,
      order.ownerId,
      createdAtOf(order.id),
      linesText(lines),
      ...orderValues(order),
    ],
  );
  return rowCount > 0;
}

/**
 * Overwrites what a draft says and, unless `lines` is null, its lines. It is locked by then. Also
 * answers how what it names stands.
 */
export async function updateOrder(
  tx: Tx,
  id: string,
  values: OrderValues,
  lines: readonly OrderLine[] | null,
  now: string,
): Promise<{ head: StoredHead; standing: Standing }> {
  const replaced: Statement[] =
    lines === null
      ? []
      : [
          { text: "delete from sales_order_line where order_id = $1", values: [id] },
          {
            text: `insert into sales_order_line (tenant_id, order_id, ${lineColumnNames})
                   select $1, $2, line.* from ${linesFrom("$3")}`,
            values: [tx.tenant.id, id, linesText(lines)],
          },
        ];
  const answers = await tx.batch([
    ...replaced,
    {
      text: `update sales_order
                set (${valueColumns}) = ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13),
                    version = version + 1, updated_at = greatest(updated_at, $2)
              where id = $1
          returning ${headColumns}`,
      values: [id, now, ...orderValues(values)],
    },
    selectStanding(id),
  ]);
  const [head, found] = answers.slice(-2).map(({ rows }) => rows[0]);
  return { head: head as unknown as StoredHead, standing: found?.standing as Standing };
}

/**
 * Moves the order on, if it is in one of the states `from`: the one statement that decides. The
 * order that comes back is the moved one; without a row, somebody else was faster.
 */
export function moveState(
  id: string,
  from: readonly OrderState[],
  to: OrderState,
  { ownerId, version, now }: { ownerId: string | null; version: Expected; now: string },
): Statement {
  return {
    text: `update sales_order
              set state = $3, version = version + 1, updated_at = greatest(updated_at, $6)
            where id = $1 and state = any($2) and ($4::text is null or owner_id = $4)
              and ($5::integer[] is null or version = any($5))
        returning ${headColumns}`,
    values: [id, from, to, ownerId, version === null ? null : [version].flat(), now],
  };
}

/** What submitting found out. */
export async function updateWarnings(
  tx: Tx,
  { id, allergenWarnings, acknowledgedAllergens }: StoredHead,
): Promise<void> {
  await tx.query(
    `update sales_order set allergen_warnings = $2::jsonb, acknowledged_allergens = $3
      where id = $1`,
    [id, JSON.stringify(allergenWarnings), acknowledgedAllergens],
  );
}

/** Gives a draft's lines the allergens that their products have by now. It is locked by then. */
export function refreshAllergens(orderId: string): Statement {
  return {
    text: `update sales_order_line l set allergens = p.allergens
             from product p, sales_order o
            where l.order_id = $1 and o.id = $1 and o.state = 'draft'
              and p.id = l.product_id and p.allergens <> l.allergens`,
    values: [orderId],
  };
}

const valueColumns = `shop_id, customer_id, customer_name, customer_email, customer_phone, notes,
  currency, net_minor, vat_minor, total_minor, allergen_warnings`;

function orderValues(values: OrderValues): unknown[] {
  return [
    values.shopId,
    values.customerId,
    values.customerName,
    values.customerEmail,
    values.customerPhone,
    values.notes,
    values.currency,
    values.netMinor,
    values.vatMinor,
    values.totalMinor,
    JSON.stringify(values.allergenWarnings),
  ];
}

const lineColumnNames = `position, product_id, title, quantity, unit_price_minor, vat_rate,
  total_minor, vat_minor, allergens`;

/** Arrays of arrays must be rectangular in PostgreSQL, so lines travel as JSON. */
const linesFrom = (place: string) => `jsonb_to_recordset(${place}::jsonb) as line (
  position smallint, "productId" uuid, title text, quantity integer, "unitPriceMinor" bigint,
  "vatRate" text, "totalMinor" bigint, "vatMinor" bigint, allergens text[])`;

function linesText(lines: readonly OrderLine[]): string {
  return JSON.stringify(lines.map((line, position) => ({ ...line, position })));
}
