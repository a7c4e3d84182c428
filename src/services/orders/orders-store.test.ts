import { encodeCursor } from "#kernel/http/cursor.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { isCheckViolation, isForeignKeyViolation, isPgError } from "#kernel/db/pg-errors.ts";
import { withClient } from "#kernel/db/roles.ts";
import type { Db, Tx } from "#kernel/db/types.ts";
import { moveOrder } from "./changes/moves.ts";
import { changeOrder, createOrder } from "./changes/orders.ts";
import { makeCustomer, makeOrder, makeProduct, makeShop, moveTo, startOrders } from "./fixture.ts";
import { orderEventNames, orderStates, transitions } from "./rules/orders.ts";
import { listOrders } from "./store/orders.ts";

const isRefused = (error: unknown) =>
  isCheckViolation(error) || (isPgError(error) && ["42501", "23001"].includes(error.code));

const legal = new Set(
  orderEventNames.flatMap((event) =>
    transitions[event].from.map((from) => `${from} ${transitions[event].to}`),
  ),
);

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a path around the API (a repair by hand, a later version) that breaks the life
  // of an order: the trigger has the moves of the rules, no more and no fewer.
  test(`${isolation}: every state after every other, in SQL`, async (t) => {
    const { admin, db, tenant } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    let moves = 0;
    for (const from of orderStates) {
      for (const to of orderStates) {
        const { id } = await moveTo(admin, await makeOrder(admin, shop, [[product, 1]]), from);
        const text = "update sales_order set state = $2 where id = $1";
        const moving = db.query(tenant, text, [id, to]);
        if (from === to) await moving;
        else if (legal.has(`${from} ${to}`)) {
          await moving;
          moves += 1;
        } else {
          await assert.rejects(
            moving,
            (error) => isCheckViolation(error, "sales_order_moves"),
            `${from} ${to}`,
          );
          assert.equal((await admin.get(`/orders/${id}`)).body.state, from);
        }
      }
    }
    assert.equal(moves, 10);
    const { id } = await makeOrder(admin, shop, [[product, 1]]);
    for (const state of orderStates.filter((one) => one !== "draft")) {
      await assert.rejects(
        db.query(
          tenant,
          `insert into sales_order select (jsonb_populate_record(o, jsonb_build_object(
             'number', '260101-AAAAA', 'id', platform.uuid_v7_at(o.created_at), 'state', $2::text))).*
             from sales_order o where id = $1`,
          [id, state],
        ),
        (error) => isCheckViolation(error, "sales_order_begins"),
      );
    }
    await assert.rejects(
      db.query(tenant, "update sales_order set state = 'lost' where id = $1", [id]),
      isCheckViolation,
    );
  });

  // Guards against what was agreed on being rewritten, by the application or by the owner.
  test(`${isolation}: what was ordered and booked stays as it was`, async (t) => {
    const { admin, db, tenant, server } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    const other = await makeProduct(admin, { sku: "OTHER" });
    const order = await moveTo(admin, await makeOrder(admin, shop, [[product, 2]]), "completed");
    const draft = await makeOrder(admin, shop, [[product, 2]]);
    const ofOrder = `where order_id = '${order.id}'`;
    const never = [
      "update ledger_entry set reference = 'x'",
      "delete from ledger_entry",
      "truncate ledger_entry",
      `update sales_order_line set quantity = 3, total_minor = 1425 ${ofOrder}`,
      `update sales_order_line set allergens = '{milk}' ${ofOrder}`,
      `delete from sales_order_line ${ofOrder}`,
      `insert into sales_order_line select (jsonb_populate_record(l,
         '{"product_id": "${other.id}"}')).* from sales_order_line l ${ofOrder}`,
      `update sales_order set total_minor = 1, net_minor = 1, vat_minor = 0
        where id = '${order.id}'`,
      `update sales_order set shop_id = gen_random_uuid() where id = '${order.id}'`,
      `update sales_order set number = '260101-AAAAA' where id = '${draft.id}'`,
      `update sales_order set owner_id = 'me' where id = '${draft.id}'`,
      `update sales_order set created_at = now() where id = '${draft.id}'`,
      `update sales_order set total_minor = 7 where id = '${draft.id}'`,
      `delete from sales_order where id = '${order.id}'`,
    ];
    for (const text of never) await assert.rejects(db.query(tenant, text), isRefused, text);
    const schema = isolation === "shared" ? "orders" : `orders_t_${tenant.id.replaceAll("-", "")}`;
    await withClient(server.app.ownerUrl, async (client) => {
      await client.query(`set search_path = ${schema}`);
      await client.query(`set app.tenant_id = '${tenant.id}'`);
      for (const text of never.slice(0, 12)) {
        await assert.rejects(client.query(text), isRefused, text);
      }
    });
    await db.query(
      tenant,
      `update sales_order_line set allergens = '{milk}'
                             where order_id = '${draft.id}'`,
    );
    assert.deepEqual((await admin.get(`/orders/${order.id}`)).body, order);
  });

  // Guards against keys that reach into another tenant, and ids that lie about their moment.
  test(`${isolation}: an order refers to its own tenant's things only`, async (t) => {
    const { admin, stranger, db, tenant } = await startOrders(t, isolation);
    const theirs = await makeShop(stranger);
    const order = await makeOrder(admin, await makeShop(admin), [[await makeProduct(admin), 1]]);
    const customer = await makeCustomer(stranger);
    for (const [column, id] of [
      ["shop_id", theirs.id],
      ["customer_id", customer.id],
    ]) {
      await assert.rejects(
        db.query(tenant, `update sales_order set ${column} = $1 where id = $2`, [id, order.id]),
        (error) => isForeignKeyViolation(error),
      );
    }
    await assert.rejects(
      db.query(
        tenant,
        `insert into ledger_entry (tenant_id, id, currency, amount_minor, vat_rate, vat_minor,
                                   reference, created_at)
         values ($1, $2, 'GBP', 1, 'zero', 0, 'x', now())`,
        [tenant.id, order.id],
      ),
      (error) => isCheckViolation(error, "ledger_entry_check"),
    );
  });

  // Guards against an order that is lost because its number was taken, or two of one number.
  test(`${isolation}: a number that is taken is drawn again, not for ever`, async (t) => {
    const { admin, db, tenant, server } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    const wanted = { shopId: shop.id, items: [{ productId: product.id, quantity: 1 }] };
    const { random: real } = server.app.depsOf("orders");
    const drawing = (...tails: number[]) => ({
      ...real,
      bytes: (length: number) => Buffer.alloc(length, tails.length > 1 ? tails.shift() : tails[0]),
    });
    const create = (...tails: number[]) =>
      db.inTenant(tenant, (tx) => createOrder(tx, { random: drawing(...tails) }, wanted));
    assert.equal((await create(0)).number, "260101-00000");
    assert.equal((await create(0, 0, 0, 0, 1)).number, "260101-11111");
    await assert.rejects(create(0), { code: "ERR_REQUEST_UNAVAILABLE" });
    const { items } = (await admin.get("/orders")).body;
    assert.equal(items.length, 2);
    assert.equal((await admin.get(`/orders/${items[0].id}`)).body.items.length, 1);
  });

  // Guards against an outage's answer where somebody merely deleted a product a moment ago.
  test(`${isolation}: what is deleted between reading and writing is unknown`, async (t) => {
    const { admin, db, tenant, server } = await startOrders(t, isolation);
    const { clock, random } = server.app.depsOf("orders");
    const kept = await makeProduct(admin);
    const draft = await makeOrder(admin, await makeShop(admin), [[kept, 1]]);
    const codes: string[] = [];
    for (const change of [false, true]) {
      for (const gone of ["shops", "products", "customers"]) {
        const shop = await makeShop(admin, { name: `Pop-up ${gone} ${change}` });
        const product = await makeProduct(admin, { sku: `${gone} ${change}` });
        const customer = await makeCustomer(admin);
        const ids: Record<string, string> = {
          shops: shop.id,
          products: product.id,
          customers: customer.id,
        };
        const items = [{ productId: product.id, quantity: 1 }];
        const wanted = { shopId: shop.id, customerId: customer.id, items };
        const deleteFirst = async () => {
          assert.equal((await admin.delete(`/${gone}/${ids[gone]}`)).status, 204);
        };
        let flights = 0;
        const taking = db.inTenant(tenant, (tx) => {
          const late: Tx = {
            ...tx,
            query: async (...given) => (await deleteFirst(), tx.query(...given)),
            async batch(given) {
              flights += 1;
              if (flights > 1) await deleteFirst();
              return tx.batch(given);
            },
          };
          return change
            ? changeOrder(late, { clock }, draft.id, 1, wanted)
            : createOrder(late, { random }, wanted);
        });
        await assert.rejects(taking, (error: { code: string }) => codes.push(error.code) > 0);
      }
    }
    const each = ["SHOP", "PRODUCT", "CUSTOMER"].map((what) => `ERR_ORDERS_UNKNOWN_${what}`);
    assert.deepEqual(codes, [...each, ...each]);
    assert.deepEqual((await admin.get("/orders")).body.items.length, 1);
    assert.deepEqual((await admin.get(`/orders/${draft.id}`)).body, draft);
  });

  // Guards against waits between server and database that nobody sees until there is a network.
  test(`${isolation}: how many flights an order costs before COMMIT's`, async (t) => {
    const { admin, db, tenant, server } = await startOrders(t, isolation);
    const { clock, random } = server.app.depsOf("orders");
    const shop = await makeShop(admin);
    const product = await makeProduct(admin, { stock: 100 });
    const items = [{ productId: product.id, quantity: 1 }];
    const flightsOf = async <T>(work: (tx: Tx) => Promise<T>): Promise<[number, T]> => {
      let flights = 0;
      const done = await db.inTenant(tenant, (tx) =>
        work({
          ...tx,
          query: (...given) => ((flights += 1), tx.query(...given)),
          batch: (given) => ((flights += 1), tx.batch(given)),
        }),
      );
      return [flights, done];
    };
    const [made, order] = await flightsOf((tx) =>
      createOrder(tx, { random }, { shopId: shop.id, items }),
    );
    assert.equal(made, 2);
    const [changed] = await flightsOf((tx) => changeOrder(tx, { clock }, order.id, 1, { items }));
    assert.equal(changed, 2);
    for (const event of ["submit", "confirm", "start-preparation", "mark-ready", "complete"]) {
      const [flights] = await flightsOf((tx) =>
        moveOrder(tx, order.id, event as "submit", { clock, random }),
      );
      assert.equal(flights, 1, event);
    }
  });
}

// Guards against a list that sorts or scans a tenant's whole table to show its first page, and
// against one that costs more to plan than to read.
test("lists of orders are read off an index, also by a generic plan", async (t) => {
  const { admin, db, tenant, server } = await startOrders(t, "shared");
  const shop = await makeShop(admin);
  const order = await makeOrder(admin, shop, [[await makeProduct(admin), 1]]);
  await withClient(server.app.ownerUrl, async (client) => {
    await client.query("set search_path = orders");
    await client.query(`set app.tenant_id = '${tenant.id}'`);
    await client.query(
      `insert into sales_order select (jsonb_populate_record(o, jsonb_build_object(
         'number', '260101-' || lpad(n::text, 5, '0'), 'created_at', made,
         'id', platform.uuid_v7_at(made), 'owner_id', 'user ' || n % 50))).*
         from sales_order o, generate_series(1, 5000) n,
              lateral (select o.created_at + n * interval '1 s' as made) as clock
        where o.id = $1`,
      [order.id],
    );
    await client.query("update sales_order set state = 'cancelled' where right(number, 1) <> '0'");
    await client.query("analyze sales_order");
  });
  const planOf = async (list: (db: Db) => Promise<unknown>, given: string) => {
    let text = "";
    const query = async (_: unknown, sql: string) => ((text = sql), { rows: [], rowCount: 0 });
    await list({ ...db, query } as Db);
    const execute = `execute page ${given && `(${given})`}`;
    return db.inTenant(tenant, async (tx) => {
      await tx.query(`prepare page as ${text}`);
      for (let turn = 0; turn < 10; turn += 1) await tx.query(execute);
      const { rows: kept } = await tx.query<{ isKept: boolean }>(
        `select generic_plans > 0 as "isKept" from pg_prepared_statements where name = 'page'`,
      );
      await tx.query("set local plan_cache_mode = force_generic_plan");
      const { rows } = await tx.query<{ "QUERY PLAN": string }>(`explain ${execute}`);
      await tx.query("deallocate page");
      return { plan: rows.map((row) => row["QUERY PLAN"]).join("\n"), isKept: kept[0]?.isKept };
    });
  };
  const last = "ffffffff-ffff-ffff-ffff-ffffffffffff";
  const cursor = encodeCursor([last]);
  const all = { limit: 20 };
  const orders: [filter: object, ownerId: string | null, given: string, index: RegExp][] = [
    [{}, null, "", /Backward using sales_order_pkey/],
    [{ cursor }, null, `'${last}'`, /Backward using sales_order_pkey/],
    [{ state: "draft" }, null, "'draft'", /Backward using sales_order_of_state/],
    [{ cursor, state: "draft" }, null, `'${last}', 'draft'`, /Backward using sales_order_of_state/],
    [{ shopId: shop.id }, null, `'${shop.id}'`, /Backward using sales_order_(pkey|of_shop)/],
    [{ customerId: shop.id }, null, `'${shop.id}'`, /sales_order_of_customer/],
    [{ from: "2026-01-01T00:00:00Z" }, null, `'${shop.id}'`, /using sales_order_pkey/],
    [{}, "user 7", "'user 7'", /Backward using sales_order_of_owner/],
  ];
  for (const [filter, ownerId, given, index] of orders) {
    const list = (one: Db) => listOrders(one, tenant, { ...all, ...filter }, ownerId);
    const { plan, isKept } = await planOf(list, given);
    // A bound makes PostgreSQL doubt the plan that it keeps, so only first pages are surely spared.
    assert.ok(isKept || given.startsWith(`'${last}'`), `planned anew each time: ${given}`);
    assert.match(plan, index);
    assert.match(plan, /Index Cond: \(+tenant_id = /);
    assert.doesNotMatch(plan, /Seq Scan/);
  }
});
