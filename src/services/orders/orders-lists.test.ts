import assert from "node:assert/strict";
import { test } from "node:test";
import {
  makeCustomer,
  makeOrder,
  makeProduct,
  makeShop,
  moveTo,
  refusal,
  startOrders,
} from "./fixture.ts";
import { both } from "./fixtures/both.ts";
import { searchOrders } from "./store/search.ts";

const minuteMs = 60_000;

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against orders that can't be found, and against pages that show one twice or never.
  test(`${isolation}: orders are listed newest first, and narrowed down`, async (t) => {
    const { admin, clock } = await startOrders(t, isolation);
    const product = await makeProduct(admin);
    const shops = [await makeShop(admin), await makeShop(admin, { name: "Stall" })];
    const customer = await makeCustomer(admin, { name: "Ada Lovelace" });
    const made = [];
    for (let n = 0; n < 6; n += 1) {
      const who = n % 3 === 0 ? { customerId: customer.id } : { customerName: `O'Brien <${n}>` };
      const order = await makeOrder(admin, shops[n % 2] as { id: string }, [[product, 1]], who);
      made.push(n < 4 ? order : await moveTo(admin, order, n === 4 ? "confirmed" : "cancelled"));
      clock.advance(minuteMs);
    }
    const numbers = made.map(({ number }) => number);
    const found = async (query: string) => {
      const { status, body, text } = await admin.get(`/orders?limit=100&${query}`);
      assert.equal(status, 200, text);
      return body.items.map(({ number }: { number: string }) => numbers.indexOf(number));
    };
    assert.deepEqual(await found(""), [5, 4, 3, 2, 1, 0]);
    assert.deepEqual(await found("state=draft"), [3, 2, 1, 0]);
    assert.deepEqual(await found("state=confirmed"), [4]);
    assert.deepEqual(await found(`shopId=${shops[1]?.id}`), [5, 3, 1]);
    assert.deepEqual(await found(`customerId=${customer.id}`), [3, 0]);
    assert.deepEqual(await found(`customerId=${customer.id}&state=draft&q=LOVE`), [3, 0]);
    assert.deepEqual(await found("q=o'brien"), [5, 4, 2, 1]);
    assert.deepEqual(await found("q=%25"), []);
    assert.deepEqual(await found(`q=${numbers[2].slice(2).toLowerCase()}`), [2]);
    assert.deepEqual(await found(`q=${numbers[2].toLowerCase()}`), [2]);
    assert.deepEqual(await found(`q=${numbers[2]}&state=cancelled`), []);
    assert.deepEqual(await found("from=2026-01-01T00:02:00Z"), [5, 4, 3, 2]);
    assert.deepEqual(await found("to=2026-01-01T00:02:00Z"), [1, 0]);
    assert.deepEqual(await found("from=2026-01-01T01:01:00%2B01:00&to=2026-01-01T00:02:00Z"), [1]);
    assert.deepEqual(await found("from=1960-01-01T00:00:00Z&to=1970-01-01T00:00:00Z"), []);
    assert.equal(
      refusal(await admin.get("/orders?from=2026-12-31T23:59:60Z")),
      "422 ERR_REQUEST_INVALID query/from",
    );
    for (const bad of ["state=lost", "shopId=7", "from=today", "q=", "sort=number"]) {
      assert.equal(
        refusal(await admin.get(`/orders?${bad}`)),
        `422 ERR_REQUEST_INVALID query/${bad.split("=")[0]}`,
      );
    }

    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const next: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const page = await admin.get(`/orders?limit=2&state=draft${next}`);
      seen.push(...page.body.items.map(({ number }: { number: string }) => number));
      cursor = page.body.nextCursor;
      await makeOrder(admin, shops[0] as { id: string }, [[product, 1]]);
    } while (cursor);
    assert.deepEqual(seen, [numbers[3], numbers[2], numbers[1], numbers[0]]);

    const [head] = (await admin.get("/orders?limit=1&state=confirmed")).body.items;
    const { items: _, ...whole } = (await admin.get(`/orders/${head.id}`)).body;
    assert.deepEqual(head, whole);
  });

  // Guards against a day's takings that are wrong, somebody else's, or another day's.
  test(`${isolation}: the summary counts states and revenue by day`, async (t) => {
    const { admin, user, stranger, clock } = await startOrders(
      t,
      isolation,
      "2026-01-01T23:55:00Z",
    );
    const shop = await makeShop(admin);
    const calais = await makeShop(admin, { name: "Calais", currency: "EUR" });
    const product = await makeProduct(admin);
    const none = { draft: 0, pending: 0, confirmed: 0, preparing: 0, ready: 0, cancelled: 0 };
    const empty = { counts: { ...none, completed: 0 }, revenue: [] };
    assert.deepEqual((await admin.get("/orders/summary")).body, empty);

    const early = await makeOrder(user, shop, [[product, 1]]);
    const own = await makeOrder(user, shop, [[product, 2]]);
    await moveTo(admin, own, "completed");
    assert.deepEqual((await user.get("/orders/summary")).body, {
      counts: { ...none, draft: 1, completed: 1 },
      revenue: [
        {
          day: "2026-01-01",
          currency: "GBP",
          orders: 1,
          netMinor: 792,
          vatMinor: 158,
          totalMinor: 950,
        },
      ],
    });
    await moveTo(admin, await makeOrder(admin, calais, [[product, 1]]), "completed");
    clock.advance(6 * minuteMs);
    await moveTo(admin, early, "completed");
    await moveTo(admin, await makeOrder(admin, shop, [[product, 3]]), "completed");
    await moveTo(admin, await makeOrder(admin, shop, [[product, 1]]), "cancelled");
    const whole = (await admin.get("/orders/summary")).body;
    assert.deepEqual(whole.counts, { ...none, completed: 4, cancelled: 1 });
    const days = (body: typeof whole) =>
      body.revenue.map((day: Record<string, unknown>) => [
        day.day,
        day.currency,
        day.orders,
        day.totalMinor,
      ]);
    assert.deepEqual(days(whole), [
      ["2026-01-02", "GBP", 2, 1_900],
      ["2026-01-01", "EUR", 1, 475],
      ["2026-01-01", "GBP", 1, 950],
    ]);
    const late = (await admin.get("/orders/summary?from=2026-01-02T00:00:00Z")).body;
    assert.deepEqual(late.counts, { ...none, completed: 1, cancelled: 1 });
    assert.deepEqual(days(late), [["2026-01-02", "GBP", 2, 1_900]]);
    const first = await admin.get(`/orders/summary?to=2026-01-02T00:00:00Z&shopId=${calais.id}`);
    assert.deepEqual(days(first.body), [["2026-01-01", "EUR", 1, 475]]);
    assert.deepEqual((await stranger.get("/orders/summary")).body, empty);
    assert.deepEqual(days((await user.get("/orders/summary")).body), [
      ["2026-01-02", "GBP", 1, 475],
      ["2026-01-01", "GBP", 1, 950],
    ]);
  });

  // Guards against a sum that a number can't hold being shown as another one.
  test(`${isolation}: a sum beyond 2^53 is refused, not rounded`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const dear = await makeProduct(admin, {
      priceMinor: Number.MAX_SAFE_INTEGER,
      vatRate: "zero",
    });
    const order = await makeOrder(admin, shop, [[dear, 1]]);
    assert.equal(order.totalMinor, Number.MAX_SAFE_INTEGER);
    await moveTo(admin, order, "completed");
    assert.equal((await admin.get("/orders/summary")).body.revenue.length, 1);
    await moveTo(admin, await makeOrder(admin, shop, [[dear, 1]]), "completed");
    assert.equal(refusal(await admin.get("/orders/summary")), "422 ERR_ORDERS_TOTAL_TOO_LARGE");
    const items = [{ productId: dear.id, quantity: 2 }];
    assert.equal(
      refusal(await admin.post("/orders", { shopId: shop.id, items })),
      "422 ERR_ORDERS_TOTAL_TOO_LARGE",
    );
  });
}

// Guards against a search that takes seconds among many orders, and one that stops before its end.
both("a search looks through so many orders at once, and goes on", async (t, isolation) => {
  const { admin, db, tenant } = await startOrders(t, isolation);
  const shop = await makeShop(admin);
  const product = await makeProduct(admin);
  const names = ["Ada", "Bob", "Bob", "Adam", "Bob", "Bob", "Bob", "ada"];
  for (const customerName of names) await makeOrder(admin, shop, [[product, 1]], { customerName });
  const page = (q: string, cursor?: string, limit = 20) =>
    searchOrders(db, tenant, { q, limit, ...(cursor && { cursor }) }, null, 3);
  const pages: (string | null)[][] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const { items, nextCursor } = await page("ADA", cursor);
    pages.push(items.map(({ customerName }) => customerName));
    cursor = nextCursor;
  }
  assert.deepEqual(pages, [["ada"], ["Adam"], ["Ada"]]);
  // A page that is full goes on behind its last item, and not behind what was looked at.
  const first = await page("bob", undefined, 1);
  const second = await page("bob", first.nextCursor as string, 1);
  assert.deepEqual([first.items.length, second.items.length], [1, 1]);
  assert.notEqual(first.items[0]?.id, second.items[0]?.id);
  // One request of the API looks through all of few orders.
  const { body } = await admin.get("/orders?q=ada");
  assert.deepEqual([body.items.length, body.nextCursor], [3, null]);
  assert.deepEqual((await admin.get("/orders?q=nobody")).body, { items: [], nextCursor: null });
});
