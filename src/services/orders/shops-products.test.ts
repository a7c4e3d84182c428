import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestResponse } from "#kernel/testing/client.ts";
import { ifMatch, makeProduct, makeShop, newProduct, refusal, startOrders } from "./fixture.ts";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a shop that can't be lived with: made, read, changed, retired, deleted.
  test(`${isolation}: the life of a shop`, async (t) => {
    const { admin, user } = await startOrders(t, isolation);
    const made = await admin.post("/shops", { name: "O'Brien <3" });
    assert.equal(made.status, 201);
    const { id } = made.body;
    assert.equal(made.headers.location, `/api/v1/shops/${id}`);
    assert.equal(made.headers.etag, '"1"');
    assert.deepEqual(made.body, {
      id,
      name: "O'Brien <3",
      address: "",
      currency: "GBP",
      active: true,
      version: 1,
      createdAt: made.body.createdAt,
      updatedAt: made.body.createdAt,
    });

    const got = await user.get(`/shops/${id}`);
    assert.deepEqual([got.status, got.body, got.headers.etag], [200, made.body, '"1"']);

    const address = "1 High St\nLeeds LS1 1AA";
    const changed = await admin.patch(`/shops/${id}`, { address, active: false }, ifMatch('"1"'));
    assert.equal(changed.status, 200);
    assert.equal(changed.headers.etag, '"2"');
    const { updatedAt } = changed.body;
    assert.deepEqual(changed.body, { ...made.body, address, active: false, version: 2, updatedAt });
    assert.deepEqual((await user.get(`/shops/${id}`)).body, changed.body);

    const gone = await admin.delete(`/shops/${id}`);
    assert.deepEqual([gone.status, gone.text], [204, ""]);
    assert.equal(refusal(await user.get(`/shops/${id}`)), "404 ERR_REQUEST_NOT_FOUND");
    assert.equal(refusal(await admin.delete(`/shops/${id}`)), "404 ERR_REQUEST_NOT_FOUND");
    assert.deepEqual((await user.get("/shops")).body, { items: [], nextCursor: null });
  });

  // Guards against a product that loses what its label must say, or a PATCH that fills in defaults.
  test(`${isolation}: the life of a product`, async (t) => {
    const { admin, user } = await startOrders(t, isolation);
    const plain = await makeProduct(admin);
    assert.deepEqual(plain, {
      ...newProduct,
      id: plain.id,
      ingredients: "",
      allergens: [],
      stock: null,
      active: true,
      version: 1,
      createdAt: plain.createdAt,
      updatedAt: plain.createdAt,
    });
    const full = {
      sku: "CHS-1",
      title: "O'Brien <3 Cheese",
      ingredients: "MILK, salt\nrennet",
      allergens: ["nuts", "gluten", "milk"],
      priceMinor: Number.MAX_SAFE_INTEGER,
      vatRate: "exempt",
      stock: 0,
      active: false,
    };
    const made = await makeProduct(admin, full);
    assert.deepEqual(made, { ...made, ...full, allergens: ["gluten", "milk", "nuts"] });

    const path = `/products/${made.id}`;
    const changed = await admin.patch(path, { priceMinor: 1 }, ifMatch('"1"'));
    const { updatedAt } = changed.body;
    assert.deepEqual(changed.body, { ...made, priceMinor: 1, version: 2, updatedAt });
    const uncounted = await admin.patch(path, { stock: null, allergens: [] }, ifMatch('"2"'));
    assert.deepEqual([uncounted.body.stock, uncounted.body.allergens], [null, []]);
    assert.deepEqual((await user.get(path)).body, uncounted.body);
    assert.equal((await admin.delete(path, ifMatch('"3"'))).status, 204);
    assert.equal(refusal(await user.get(path)), "404 ERR_REQUEST_NOT_FOUND");
  });

  // Guards against one tenant that learns of, or touches, what is another's.
  test(`${isolation}: another tenant's shops and products answer like unknown ones`, async (t) => {
    const { admin, stranger, events } = await startOrders(t, isolation);
    const unknownId = "019a0000-0000-7000-8000-000000000000";
    const [shop, product] = [await makeShop(admin), await makeProduct(admin)];
    const before = await events();
    for (const [kind, id] of [
      ["shops", shop.id],
      ["products", product.id],
    ]) {
      const same = { "x-request-id": "same" };
      const change = { active: false };
      const attempts = [
        (path: string) => stranger.get(path, same),
        (path: string) => stranger.get(`${path}/history`, same),
        (path: string) => stranger.patch(path, change, { ...same, ...ifMatch('"1"') }),
        (path: string) => stranger.patch(path, change, { ...same, ...ifMatch('"7"') }),
        (path: string) => stranger.delete(path, same),
        (path: string) => stranger.delete(path, { ...same, ...ifMatch('"7"') }),
      ];
      for (const attempt of attempts) {
        const [foreign, unknown] = [
          await attempt(`/${kind}/${id}`),
          await attempt(`/${kind}/${unknownId}`),
        ];
        assert.equal(refusal(foreign), "404 ERR_REQUEST_NOT_FOUND");
        assert.equal(foreign.text.replaceAll(id, unknownId), unknown.text);
      }
      assert.deepEqual((await stranger.get(`/${kind}`)).body.items, []);
    }
    assert.deepEqual((await admin.get(`/shops/${shop.id}`)).body, shop);
    assert.deepEqual((await admin.get(`/products/${product.id}`)).body, product);
    assert.deepEqual(await events(), before);
    // Names are unique in a tenant, not in the world.
    await makeShop(stranger);
    await makeProduct(stranger);
  });

  // Guards against a change nobody can account for, and against a record of what never happened.
  test(`${isolation}: a change is in history and events; a refused one in neither`, async (t) => {
    const { admin, adminEmail, user, events } = await startOrders(t, isolation);
    await makeShop(admin, { name: "Taken" });
    const shop = await makeShop(admin);
    const path = `/shops/${shop.id}`;
    await admin.patch(path, { name: "Deli 2" }, ifMatch('"1"'));
    for (const refused of [
      await admin.patch(path, { name: "Taken" }, ifMatch('"2"')),
      await admin.patch(path, { name: "Late" }, ifMatch('"1"')),
      await admin.patch(path, { currency: "XXX" }, ifMatch('"2"')),
      await admin.delete(path, ifMatch('"1"')),
      await admin.post("/shops", { name: "Taken" }),
      await user.patch(path, { name: "Mine" }, ifMatch('"2"')),
    ]) {
      assert.ok(refused.status >= 400, refused.text);
    }
    await admin.delete(path);

    const history = await user.get(`${path}/history`);
    const told = history.body.items.map((entry: Record<string, Record<string, unknown> | null>) => [
      entry.action,
      entry.before?.name,
      entry.after?.name,
      entry.actor?.name,
    ]);
    assert.deepEqual(told, [
      ["shop.delete", "Deli 2", undefined, adminEmail],
      ["shop.update", "Deli", "Deli 2", adminEmail],
      ["shop.create", undefined, "Deli", adminEmail],
    ]);
    const first = await user.get(`${path}/history?limit=1`);
    const next = await user.get(`${path}/history?limit=2&cursor=${first.body.nextCursor}`);
    assert.deepEqual([...first.body.items, ...next.body.items], history.body.items);
    assert.equal(next.body.nextCursor, null);

    const emitted = (await events()).filter((event) => event.resource.id === shop.id);
    assert.deepEqual(
      emitted.map(({ type, data }) => [type, data.name, data.version]),
      [
        ["shop.created", "Deli", 1],
        ["shop.updated", "Deli 2", 2],
        ["shop.deleted", "Deli 2", 2],
      ],
    );
    assert.deepEqual(emitted[0]?.data, shop);
  });

  // Guards against a stock that runs out in silence, and against an alarm for every unit.
  test(`${isolation}: stock that falls low is told once, with the change`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const { id } = await makeProduct(admin, { stock: 8 });
    const stocks = [6, 5, 4, 20, 0, null];
    for (const [index, stock] of stocks.entries()) {
      await admin.patch(`/products/${id}`, { stock }, ifMatch(`"${index + 1}"`));
    }
    const low = (await events()).filter(({ type }) => type === "product.stock_low");
    assert.deepEqual(
      low.map(({ data }) => [data.stock, data.version]),
      [
        [5, 3],
        [0, 6],
      ],
    );
  });

  // Guards against a retry that opens the shop a second time.
  test(`${isolation}: one Idempotency-Key creates once, answers the same bytes`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const post = (name: string) =>
      admin.post("/shops", { name }, { "idempotency-key": "till-7/2026-11-20/1" });
    const answers = await Promise.all([post("Deli"), post("Deli"), post("Deli")]);
    const later = await post("Deli");
    assert.equal(new Set([...answers, later].map(({ text }) => text)).size, 1);
    assert.deepEqual([later.status, later.headers["idempotent-replayed"]], [201, "true"]);
    assert.equal(refusal(await post("Stall")), "422 ERR_REQUEST_IDEMPOTENCY_KEY_REUSED");
    assert.equal((await admin.get("/shops")).body.items.length, 1);
    assert.equal((await events()).length, 1);
  });

  // Guards against rows that are shown twice or never while others are being made.
  test(`${isolation}: a list goes on where it was while products are added`, async (t) => {
    const { admin, clock } = await startOrders(t, isolation);
    const skus: string[] = [];
    const add = async (sku: string) => {
      clock.advance(1);
      await makeProduct(admin, { sku, active: !sku.endsWith("3") });
      skus.unshift(sku);
    };
    for (let n = 1; n <= 5; n += 1) await add(`SKU-${n}`);
    const seen: string[] = [];
    let cursor: string | null = null;
    let pages = 0;
    do {
      const page: TestResponse = await admin.get(
        `/products?limit=2${cursor ? `&cursor=${cursor}` : ""}`,
      );
      seen.push(...page.body.items.map((item: { sku: string }) => item.sku));
      cursor = page.body.nextCursor;
      pages += 1;
      await add(`NEW-${pages}`);
    } while (cursor);
    assert.deepEqual(seen, ["SKU-5", "SKU-4", "SKU-3", "SKU-2", "SKU-1"]);
    assert.equal(pages, 3);
    const found = async (query: string) =>
      (await admin.get(`/products?${query}`)).body.items.map((item: { sku: string }) => item.sku);
    assert.deepEqual(await found("q=sku-&active=false"), ["SKU-3"]);
    assert.deepEqual(await found("q=%25"), []);
    assert.deepEqual(await found("limit=100"), skus);
  });
}
