import type { Db } from "#kernel/db/types.ts";
import type { Random } from "#kernel/random.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Seeded } from "./orders-seed.ts";

// What the database must do at the very least for a create and a confirm: one statement, one
// flight, its own commit; no rules, no audit, no events.

const createText = `
with made as (
  insert into sales_order (tenant_id, id, number, shop_id, customer_id, notes, state, currency,
    net_minor, vat_minor, total_minor, allergen_warnings, acknowledged_allergens, owner_id,
    created_at, updated_at)
  values ($1, $2, $3, $4, $5, '', 'draft', 'GBP', 3000, 600, 3600, '[]', false, 'bench', $6, $6)
  returning tenant_id, id)
insert into sales_order_line (tenant_id, order_id, product_id, position, title, unit_price_minor,
  vat_rate, allergens, quantity, total_minor, vat_minor)
select made.tenant_id, made.id, p.id, p.place - 1, 'A product', 1200, 'standard', '{}', 1, 1200, 200
  from made, unnest($7::uuid[]) with ordinality as p (id, place)`;

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Five characters that no other turn has: chance would meet itself among so many. */
export function tailOf(turn: number): string {
  const digits = [20, 15, 10, 5, 0].map((bits) => crockford[(turn >> bits) & 31]);
  return digits.join("");
}

/** An order with three lines. */
export function rawCreate(db: Db, tenant: TenantRef, random: Random, seeded: Seeded) {
  const { shopIds, customerIds, productIds } = seeded;
  let turn = 0;
  return () => {
    turn += 1;
    const id = random.id();
    const madeMs = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
    const createdAt = new Date(madeMs).toISOString();
    const at = (3 * turn) % (productIds.length - 3);
    return db.query(tenant, createText, [
      tenant.id,
      id,
      `980101-${tailOf(turn)}`,
      shopIds[turn % shopIds.length],
      customerIds[turn % customerIds.length],
      createdAt,
      productIds.slice(at, at + 3),
    ]);
  };
}

/** One order's state, and nothing of its stock. */
export function rawConfirm(db: Db, tenant: TenantRef, nextId: () => string) {
  return () =>
    db.query(
      tenant,
      `update sales_order set state = 'confirmed', version = version + 1, updated_at = now()
        where id = $1 and state = 'pending' returning id`,
      [nextId()],
    );
}
