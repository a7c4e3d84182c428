import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { readCsv } from "#kernel/csv.ts";
import type { Isolation } from "#kernel/tenancy/types.ts";
import type { Client } from "#kernel/testing/client.ts";
import { eventually } from "#kernel/testing/events.ts";
import { startTestApp } from "#kernel/testing.ts";
import { makeProduct, makeShop, refusal } from "./fixture.ts";
import { exportColumns } from "./schemas/export.ts";
import { orders } from "./service.ts";

async function startExports(t: TestContext, isolation: Isolation) {
  const { app, as, person } = await startTestApp(t, { services: [orders] });
  const slug = `${isolation}-mine`;
  const admin = as(slug, "tenant_admin");
  const shop = await makeShop(admin);
  const roll = await makeProduct(admin, { allergens: ["gluten", "milk"] });
  const tea = await makeProduct(admin, { sku: "T-1", title: "Tea", priceMinor: 250 });
  const order = async (caller: Client, body: object = {}) => {
    const items = [
      { productId: roll.id, quantity: 2 },
      { productId: tea.id, quantity: 1 },
    ];
    const made = await caller.post("/orders", { shopId: shop.id, items, ...body });
    assert.equal(made.status, 201, made.text);
    return made.body;
  };
  return {
    app,
    admin,
    adminToken: (await person(slug, "tenant_admin")).signedIn.accessToken,
    user: as(slug, "user"),
    stranger: as(`${isolation}-other`, "tenant_admin"),
    nobody: as(),
    shop,
    roll,
    tea,
    order,
  };
}

/** The file as objects by column. */
async function readFile(text: string): Promise<Record<string, string>[]> {
  const rows: string[][] = [];
  const bytes = (async function* () {
    yield Buffer.from(text);
  })();
  for await (const { cells } of readCsv(bytes, { recordBytesMax: 100_000 })) rows.push(cells);
  const [header = [], ...rest] = rows;
  assert.deepEqual(header, Object.keys(exportColumns));
  return rest.map((cells) =>
    Object.fromEntries(header.map((name, at) => [name, cells[at] as string])),
  );
}

async function exported(caller: Client, query = "") {
  const answer = await caller.get(`/orders/export.csv${query}`);
  assert.equal(answer.status, 200, answer.text);
  return readFile(answer.text);
}

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a file that says other things than the order, or hurts whoever opens it.
  test(`${isolation}: an export has a row a line and runs nothing`, async (t) => {
    const { admin, shop, roll, tea, order } = await startExports(t, isolation);
    const made = await order(admin, {
      customerName: '=HYPERLINK("http://evil.example","x")',
      customerPhone: "+44 20 7946 0018",
      notes: 'No "napkins",\nplease 🧀',
    });
    const answer = await admin.get("/orders/export.csv");
    assert.equal(answer.headers["content-type"], "text/csv; charset=utf-8");
    assert.equal(answer.headers["content-disposition"], 'attachment; filename="orders.csv"');
    const [first, second, ...others] = await readFile(answer.text);
    assert.deepEqual(others, []);
    const same = {
      number: made.number,
      state: "draft",
      createdAt: made.createdAt,
      updatedAt: made.updatedAt,
      shop: "Deli",
      customerName: `'${made.customerName}`,
      customerEmail: "",
      customerPhone: "'+44 20 7946 0018",
      notes: made.notes,
      currency: "GBP",
      orderNetMinor: String(made.netMinor),
      orderVatMinor: String(made.vatMinor),
      orderTotalMinor: "1200",
      orderId: made.id,
      shopId: shop.id,
      customerId: "",
    };
    assert.deepEqual(first, {
      ...same,
      line: "1",
      sku: "A-1",
      title: "Sausage roll",
      quantity: "2",
      unitPriceMinor: "475",
      vatRate: "standard",
      totalMinor: "950",
      vatMinor: "158",
      allergens: "gluten;milk",
      productId: roll.id,
    });
    assert.deepEqual(second, {
      ...same,
      line: "2",
      sku: "T-1",
      title: "Tea",
      quantity: "1",
      unitPriceMinor: "250",
      vatRate: "standard",
      totalMinor: "250",
      vatMinor: "42",
      allergens: "",
      productId: tea.id,
    });
  });

  // Guards against an export of what its caller may not see.
  test(`${isolation}: a user exports own orders, a stranger none of them`, async (t) => {
    const { admin, user, stranger, nobody, order } = await startExports(t, isolation);
    const [theirs, own] = [await order(admin), await order(user)];
    const numbers = async (caller: Client, query = "") => [
      ...new Set((await exported(caller, query)).map(({ number }) => number)),
    ];
    assert.deepEqual(await numbers(admin), [own.number, theirs.number]);
    assert.deepEqual(await numbers(user), [own.number]);
    assert.deepEqual(await numbers(user, `?q=${theirs.number}`), []);
    assert.deepEqual(await numbers(stranger), []);
    assert.equal(
      refusal(await nobody.get("/orders/export.csv")),
      "401 ERR_IDENTITY_UNAUTHENTICATED",
    );
  });
}

// Guards against an export that shows other orders than the list with the same filters.
test("an export is narrowed down like the list", async (t) => {
  const { admin, shop, order } = await startExports(t, "shared");
  const other = await makeShop(admin, { name: "Stall" });
  const pending = await order(admin, { customerName: "Ada" });
  await order(admin, { shopId: other.id, customerName: "Bob" });
  await admin.post(`/orders/${pending.id}/submit`);
  const moment = pending.createdAt;
  const queries = [
    "?state=pending",
    "?state=draft",
    `?shopId=${other.id}`,
    `?shopId=${shop.id}&state=draft`,
    "?q=ad",
    `?from=${moment}`,
    `?to=${moment}`,
    "?customerId=019a0000-0000-7000-8000-000000000000",
  ];
  for (const query of queries) {
    const listed = (await admin.get(`/orders${query}`)).body.items;
    const numbers = new Set((await exported(admin, query)).map(({ number }) => number));
    assert.deepEqual(
      [...numbers],
      listed.map((item: { number: string }) => item.number),
      query,
    );
  }
  for (const query of ["?limit=5", "?cursor=x", "?state=lost", "?from=yesterday"]) {
    assert.equal((await admin.get(`/orders/export.csv${query}`)).status, 422, query);
  }
});

/** Enough orders for three pages. */
const manyOrders = 450;

// Guards against orders that are left out or shown twice where one page ends and another begins,
// and against an export that takes memory, or keeps connections of clients that are gone.
test("an export of many pages is whole, and one that is broken off leaves nothing", async (t) => {
  const { app, admin, adminToken, order } = await startExports(t, "shared");
  const notes = "x".repeat(2_000);
  const made: string[] = [];
  while (made.length < manyOrders) {
    const some = await Promise.all(Array.from({ length: 30 }, () => order(admin, { notes })));
    made.push(...some.map(({ id }) => id));
  }
  const rows = await exported(admin);
  assert.equal(rows.length, 2 * manyOrders);
  const ids = rows.map(({ orderId }) => orderId as string);
  assert.deepEqual(
    ids.filter((_, at) => at % 2 === 0),
    made.toSorted().reverse(),
  );

  const isIdle = () => {
    const { total, idle, waiting } = app.database.stats();
    return total === idle && waiting === 0;
  };
  const url = await app.listen();
  for (let count = 0; count < 10; count += 1) {
    const leaving = new AbortController();
    const answer = await fetch(`${url}/api/v1/orders/export.csv`, {
      headers: { authorization: `Bearer ${adminToken}`, "accept-encoding": "identity" },
      signal: leaving.signal,
    });
    assert.equal(answer.status, 200);
    const reader = answer.body?.getReader();
    await reader?.read();
    assert.equal(isIdle(), false, "the export is under way");
    leaving.abort();
    await reader?.closed.catch(() => "left");
    await eventually(isIdle, "all connections are free again");
  }
});
