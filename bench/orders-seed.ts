import pg from "pg";

/** What the bench works with; all in one tenant. */
export interface Seeded {
  shopIds: string[];
  customerIds: string[];
  /** Counted ones, with more stock than can be sold, and the one that everybody wants. */
  productIds: string[];
  hotProductId: string;
}

const shops = 10;
const customers = 10_000;
const products = 1_000;
/** What no bench can sell out. */
export const plenty = 2_000_000_000;

const atOnce = 20_000;
const newId = `overlay(platform.uuid_v7_at(now())::text
  placing substr(md5(random()::text), 1, 12) from 25)::uuid`;

export type Seeder = Awaited<ReturnType<typeof startSeeder>>;

/**
 * Rows are written by a superuser with triggers and foreign keys off, under the tenant's setting:
 * a million orders in a minute, and nothing that the API would not have written.
 */
export async function startSeeder(adminUrl: string, tenantId: string, schema = "orders") {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  await client.query(`set session_replication_role = replica; set search_path = ${schema}`);
  await client.query("select set_config('app.tenant_id', $1, false)", [tenantId]);
  const seed: Seed = {
    client,
    tenantId,
    async ids(text, values) {
      return (await client.query<{ id: string }>(text, values)).rows.map(({ id }) => id);
    },
  };
  return {
    close: () => client.end(),
    appRole: () => makeAppRole(client, adminUrl),
    catalogue: () => makeCatalogue(seed),
    orders: (seeded: Seeded, wanted: OrdersWanted) => makeOrders(seed, seeded, wanted),

    /** Units that products have lost, and units that orders hold of them. */
    async reconcile(): Promise<{ sold: number; reserved: number }> {
      const { rows } = await client.query(reconcileText, [plenty]);
      return rows[0];
    },

    /** How many lines the tenant's orders have. */
    async lines(): Promise<number> {
      const { rows } = await client.query(
        "select count(*)::int as n from sales_order_line where tenant_id = $1",
        [tenantId],
      );
      return rows[0].n;
    },

    async analyze(): Promise<void> {
      for (const table of ["sales_order", "sales_order_line", "product"]) {
        await client.query(`vacuum analyze ${table}`);
      }
      await client.query("checkpoint");
    },
  };
}

interface Seed {
  client: pg.Client;
  tenantId: string;
  /** Runs what answers ids. */
  ids(text: string, values: unknown[]): Promise<string[]>;
}

/** A login with the application's rights, which the server's own is not given away for. */
async function makeAppRole(client: pg.Client, adminUrl: string) {
  const url = new URL(adminUrl);
  [url.username, url.password] = ["plimsoll_bench", "bench"];
  await client.query("create role plimsoll_bench login password 'bench' in role plimsoll_app");
  const database = pg.escapeIdentifier(url.pathname.slice(1));
  await client.query(`grant connect on database ${database} to plimsoll_bench`);
  const drop = async () => {
    await client.query(`revoke all on database ${database} from plimsoll_bench`);
    await client.query("drop role plimsoll_bench");
  };
  return { appUrl: url.href, drop };
}

async function makeCatalogue({ tenantId, ids }: Seed): Promise<Seeded> {
  const shopIds = await ids(
    `insert into shop (tenant_id, id, name, address, currency, active)
     select $1, ${newId}, 'Bench shop ' || n, '', 'GBP', true
       from generate_series(1, $2::int) n returning id`,
    [tenantId, shops],
  );
  const customerIds = await ids(
    `insert into customer (tenant_id, id, name, email, phone, allergen_restrictions, notes, active)
     select $1, ${newId}, 'Customer ' || n, 'c' || n || '@bench.test', null, '{}', '', true
       from generate_series(1, $2::int) n returning id`,
    [tenantId, customers],
  );
  const [hotProductId = "", ...productIds] = await ids(
    `insert into product (tenant_id, id, sku, title, ingredients, allergens, price_minor,
                          vat_rate, stock, active)
     select $1, ${newId}, 'BENCH-' || n, 'Product ' || n, '', '{milk}', 100 + n, 'standard',
            $3::int, true
       from generate_series(0, $2::int) n returning id`,
    [tenantId, products, plenty],
  );
  return { shopIds, customerIds, productIds, hotProductId };
}

/**
 * Makes `count` orders, a second apart, the last one `secondsAgo` ago, with `lines` lines of other
 * products each; their ids, the oldest first.
 */
async function makeOrders(
  { client, tenantId, ids }: Seed,
  { shopIds, customerIds, productIds }: Seeded,
  { count, lines, state, secondsAgo, only }: OrdersWanted,
): Promise<string[]> {
  const made: string[] = [];
  while (made.length < count) {
    const size = Math.min(atOnce, count - made.length);
    const ago = secondsAgo + count - made.length - size;
    const values = [tenantId, size, ago, shopIds, customerIds, state ?? null, lines];
    const some = await ids(ordersText, values);
    await client.query(linesText, [tenantId, some, only ? [only] : productIds, lines]);
    made.push(...some);
  }
  return made;
}

const reconcileText = `
select (select sum($1::bigint - stock) from product where sku like 'BENCH-%')::int as sold,
       (select coalesce(sum(reserved), 0) from sales_order_line
         where product_id in (select id from product where sku like 'BENCH-%'))::int as reserved`;

export interface OrdersWanted {
  count: number;
  lines: number;
  /** Without it the states are mixed, as in a shop that has been open for a while. */
  state?: string;
  secondsAgo: number;
  /** The one product that all of them are for. */
  only?: string;
}

/**
 * Crockford's base 32 of a number, five digits, behind days of the year 2000: no number that the
 * servers make meets one of these.
 */
const tail = [20, 15, 10, 5, 0]
  .map(
    (bits) => `substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', ((serial >> ${bits}) & 31)::int + 1, 1)`,
  )
  .join(" || ");

const ordersText = `
with base as (select coalesce((select count(*) from sales_order), 0) as rows),
moment as (
  select base.rows + n as serial, n,
         date_trunc('milliseconds', now()) - ($3::int + $2::int - n) * interval '1 second' as at
    from generate_series(1, $2::int) n, base)
insert into sales_order (tenant_id, id, number, shop_id, customer_id, customer_name, notes, state,
  currency, net_minor, vat_minor, total_minor, allergen_warnings, acknowledged_allergens, owner_id,
  version, created_at, updated_at)
select $1,
       overlay(platform.uuid_v7_at(at)::text placing substr(md5(serial::text), 1, 12) from 25)::uuid,
       '00' || to_char(at at time zone 'UTC', 'MMDD') || '-' || ${tail},
       ($4::uuid[])[1 + n % cardinality($4::uuid[])],
       ($5::uuid[])[1 + n % cardinality($5::uuid[])],
       'Customer ' || n % 10000, '',
       coalesce($6, (array['completed', 'completed', 'completed', 'completed', 'completed',
         'completed', 'cancelled', 'pending', 'confirmed', 'draft'])[1 + n % 10]),
       'GBP', 1000 * $7::int, 200 * $7::int, 1200 * $7::int, '[]', false, 'bench', 1, at, at
  from moment
 order by n
returning id`;

/** Products in turn, so that no order has one twice. */
const linesText = `
insert into sales_order_line (tenant_id, order_id, product_id, position, title, unit_price_minor,
  vat_rate, allergens, quantity, total_minor, vat_minor)
select $1, o.id, ($3::uuid[])[1 + (o.place * $4::int + n) % cardinality($3::uuid[])], n,
       'A product as it was called', 1200, 'standard', '{milk}', 1, 1200, 200
  from unnest($2::uuid[]) with ordinality as o (id, place), generate_series(0, $4::int - 1) n`;
