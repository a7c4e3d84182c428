import assert from "node:assert/strict";
import { test } from "node:test";
import { makeOrder, makeProduct, makeShop, moveTo, refusal, startOrders } from "./fixture.ts";

const invalid = "422 ERR_REQUEST_INVALID";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against takings that differ from what was ordered, in sum or in VAT.
  test(`${isolation}: completing books one entry for each VAT rate`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const shop = await makeShop(admin, { currency: "EUR" });
    const rates = ["standard", "zero", "reduced", "exempt", "standard"];
    const products = [];
    for (const [n, vatRate] of rates.entries()) {
      products.push(await makeProduct(admin, { sku: `P${n}`, priceMinor: 333 + n, vatRate }));
    }
    const items = products.map((product, n) => [product, n + 1] as const);
    const order = await moveTo(admin, await makeOrder(admin, shop, items), "completed");
    const { items: entries } = (await admin.get(`/transactions?orderId=${order.id}`)).body;
    const told = entries.map((entry: Record<string, unknown>) => [
      entry.vatRate,
      entry.amountMinor,
      entry.vatMinor,
    ]);
    assert.deepEqual(told, [
      ["zero", 668, 0],
      // 333 and 5 × 337, each rounded by itself: 55.5 to 56 and 280.83 to 281.
      ["standard", 2_018, 337],
      ["reduced", 1_005, 48],
      ["exempt", 1_344, 0],
    ]);
    const sum = (member: string) =>
      entries.reduce((all: number, entry: Record<string, number>) => all + (entry[member] ?? 0), 0);
    assert.deepEqual([sum("amountMinor"), sum("vatMinor")], [order.totalMinor, order.vatMinor]);
    for (const entry of entries) {
      assert.deepEqual([entry.currency, entry.reference], ["EUR", order.number]);
      const got = await admin.get(`/transactions/${entry.id}`);
      assert.deepEqual([got.body, got.headers.etag], [entry, '"1"']);
      const [record] = (await admin.get(`/transactions/${entry.id}/history`)).body.items;
      assert.deepEqual([record.action, record.after], ["transaction.create", entry]);
    }
  });

  // Guards against a correction that is not one: another sign, another currency, another order.
  test(`${isolation}: a correction is a second entry`, async (t) => {
    const { admin, stranger, events, clock } = await startOrders(t, isolation);
    const shop = await makeShop(admin, { currency: "EUR" });
    const product = await makeProduct(admin);
    const order = await makeOrder(admin, shop, [[product, 1]]);
    const foreign = await makeOrder(stranger, await makeShop(stranger), [
      [await makeProduct(stranger), 1],
    ]);
    const entry = { amountMinor: -475, vatRate: "standard", reference: "Dropped" };
    const free = await admin.post("/transactions", entry);
    assert.equal(free.status, 201, free.text);
    assert.deepEqual(
      [free.body.vatMinor, free.body.currency, free.body.orderId],
      [-79, "GBP", null],
    );
    assert.equal(free.headers.location, `/api/v1/transactions/${free.body.id}`);
    assert.deepEqual((await admin.get(`/transactions/${free.body.id}`)).body, free.body);
    clock.advance(60_000);
    const own = await admin.post("/transactions", { ...entry, orderId: order.id });
    assert.deepEqual([own.body.currency, own.body.orderId], ["EUR", order.id]);
    const yen = await admin.post("/transactions", { ...entry, currency: "JPY", amountMinor: 0 });
    assert.deepEqual([yen.body.currency, yen.body.vatMinor], ["JPY", 0]);

    const before = await events();
    const unknown = "422 ERR_ORDERS_UNKNOWN_ORDER /orderId";
    const misfit = "422 ERR_ORDERS_VAT_NOT_IN_AMOUNT /vatMinor";
    const table: [body: Record<string, unknown>, expected: string][] = [
      [{ orderId: foreign.id }, unknown],
      [{ orderId: "019a0000-0000-7000-8000-000000000000" }, unknown],
      [{ orderId: order.id, currency: "GBP" }, "422 ERR_ORDERS_MIXED_CURRENCIES /currency"],
      [{ currency: "XXX" }, "422 ERR_ORDERS_UNKNOWN_CURRENCY /currency"],
      [{ amountMinor: 1.5 }, `${invalid} /amountMinor`],
      [{ amountMinor: 2 ** 53 }, `${invalid} /amountMinor`],
      [{ vatRate: "luxury" }, `${invalid} /vatRate`],
      // 475 holds 79.17: a few pence more are the rounding of lines, 51 are not; nor is a sign.
      [{ vatMinor: -130 }, misfit],
      [{ vatMinor: 1 }, misfit],
      [{ vatMinor: -28 }, misfit],
      [{ vatMinor: -1, vatRate: "zero" }, misfit],
      [{ vatMinor: -2, amountMinor: -1 }, misfit],
      [{ vatMinor: -79.5 }, `${invalid} /vatMinor`],
      [{ reference: "" }, `${invalid} /reference /reference`],
      [{ id: order.id }, `${invalid} /id`],
    ];
    for (const [body, expected] of table) {
      const refused = await admin.post("/transactions", { ...entry, ...body });
      assert.equal(refusal(refused), expected, JSON.stringify(body));
    }
    assert.deepEqual(await events(), before);
    const ids = async (query: string) =>
      (await admin.get(`/transactions?${query}`)).body.items.map(({ id }: { id: string }) => id);
    assert.deepEqual(await ids(""), [yen.body.id, own.body.id, free.body.id]);
    assert.deepEqual(await ids(`orderId=${order.id}`), [own.body.id]);
    assert.deepEqual(await ids("from=2026-01-01T00:01:00Z"), [yen.body.id, own.body.id]);
    assert.deepEqual(await ids("to=2026-01-01T00:01:00Z"), [free.body.id]);
    const first = await admin.get("/transactions?limit=1");
    assert.deepEqual(await ids(`limit=2&cursor=${first.body.nextCursor}`), [
      own.body.id,
      free.body.id,
    ]);
  });

  // Guards against a refund of a whole order that leaves a penny of its VAT in the books.
  test(`${isolation}: a correction may take back the VAT that was booked`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const products = [];
    for (const sku of ["A", "B"]) products.push(await makeProduct(admin, { sku, priceMinor: 333 }));
    const items = products.map((product) => [product, 1] as const);
    const { id } = await moveTo(admin, await makeOrder(admin, shop, items), "completed");
    const { items: booked } = (await admin.get(`/transactions?orderId=${id}`)).body;
    // 55.5 in each line is 56 in the even one; 666 as one amount would hold 111.
    assert.deepEqual([booked[0].amountMinor, booked[0].vatMinor], [666, 112]);
    const refund = { orderId: id, amountMinor: -666, vatRate: "standard", reference: "Refund" };
    const back = await admin.post("/transactions", { ...refund, vatMinor: -112 });
    assert.equal(back.status, 201, back.text);
    assert.equal(back.body.vatMinor, -112);
    assert.equal((await admin.post("/transactions", refund)).body.vatMinor, -111);
  });
}
