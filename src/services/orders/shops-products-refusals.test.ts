import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ifMatch,
  makeProduct,
  makeShop,
  newProduct,
  newShop,
  refusal,
  startOrders,
} from "./fixture.ts";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against nonsense that is stored, or refused without saying where and by which code.
  test(`${isolation}: what is not valid is refused by code and place`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const invalid = "422 ERR_REQUEST_INVALID";
    const shops: [body: unknown, expected: string][] = [
      [{}, `${invalid} /name`],
      [{ name: "" }, `${invalid} /name /name`],
      [{ name: "   " }, `${invalid} /name`],
      [{ name: " Deli" }, `${invalid} /name`],
      [{ name: "De\nli" }, `${invalid} /name`],
      [{ name: "x".repeat(201) }, `${invalid} /name`],
      [{ name: 7 }, `${invalid} /name`],
      [{ name: null }, `${invalid} /name`],
      [{ name: "Deli\u0000" }, `${invalid} /name`],
      [{ name: "Deli", address: "x".repeat(501) }, `${invalid} /address`],
      [{ name: "Deli", currency: "gbp" }, `${invalid} /currency`],
      [{ name: "Deli", currency: "ABC" }, "422 ERR_ORDERS_UNKNOWN_CURRENCY /currency"],
      [{ name: "Deli", active: "true" }, `${invalid} /active`],
      [{ name: "Deli", version: 9 }, `${invalid} /version`],
      [{ name: "Deli", tenantId: "019a0000-0000-7000-8000-000000000000" }, `${invalid} /tenantId`],
      [[], `${invalid} `],
      [null, `${invalid} `],
    ];
    for (const [body, expected] of shops) {
      assert.equal(refusal(await admin.post("/shops", body)), expected, JSON.stringify(body));
    }
    const products: [body: Record<string, unknown>, expected: string][] = [
      [{ sku: undefined, title: undefined }, `${invalid} /sku /title`],
      [{ sku: "x".repeat(101) }, `${invalid} /sku`],
      [{ title: "x".repeat(256) }, `${invalid} /title`],
      [{ ingredients: "x".repeat(2001) }, `${invalid} /ingredients`],
      [{ ingredients: null }, `${invalid} /ingredients`],
      [{ allergens: "milk" }, `${invalid} /allergens`],
      [{ allergens: ["milk", "milk"] }, `${invalid} /allergens`],
      [{ allergens: [null] }, `${invalid} /allergens/0`],
      [{ allergens: ["eggs", "dairy"] }, "422 ERR_ORDERS_UNKNOWN_ALLERGEN /allergens/1"],
      [{ priceMinor: -1 }, `${invalid} /priceMinor`],
      [{ priceMinor: 9.99 }, `${invalid} /priceMinor`],
      [{ priceMinor: "100" }, `${invalid} /priceMinor`],
      [{ priceMinor: 2 ** 53 }, `${invalid} /priceMinor`],
      [{ vatRate: "luxury" }, `${invalid} /vatRate`],
      [{ vatRate: 20 }, `${invalid} /vatRate`],
      [{ stock: -1 }, `${invalid} /stock`],
      [{ stock: 1.5 }, `${invalid} /stock`],
      [{ stock: 2 ** 31 }, `${invalid} /stock`],
    ];
    for (const [body, expected] of products) {
      const refused = await admin.post("/products", { ...newProduct, ...body });
      assert.equal(refusal(refused), expected, JSON.stringify(body));
    }
    const unknown = await admin.post("/products", { ...newProduct, allergens: ["dairy"] });
    assert.match(unknown.body.detail, /^"dairy": use gluten, .+, molluscs\.$/);
    assert.equal(unknown.body.allowed.length, 14);
    for (const kind of ["shops", "products"]) {
      assert.deepEqual((await admin.get(`/${kind}`)).body.items, []);
      for (const query of ["limit=0", "limit=101", "active=maybe", "q=", "sort=name"]) {
        const place = `query/${query.split("=")[0]}`;
        assert.equal(refusal(await admin.get(`/${kind}?${query}`)), `${invalid} ${place}`, query);
      }
      assert.equal(refusal(await admin.get(`/${kind}?cursor=abc`)), "400 ERR_REQUEST_BAD_CURSOR");
      assert.equal(refusal(await admin.get(`/${kind}/7`)), `${invalid} path/id`);
      assert.equal((await admin.get(`/${kind}?q=%00`)).status, 422);
    }
    assert.deepEqual(await events(), []);
  });

  // Guards against a change that is lost because two people made one at once.
  test(`${isolation}: a PATCH must name the version; of two at once, one wins`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const { id } = await makeShop(admin);
    const path = `/shops/${id}`;
    const rename = (name: string, etag?: string) =>
      admin.patch(path, { name }, etag === undefined ? {} : ifMatch(etag));
    assert.equal(refusal(await rename("A")), "428 ERR_REQUEST_VERSION_REQUIRED");
    assert.equal(refusal(await rename("A", '"2"')), "412 ERR_REQUEST_VERSION_CONFLICT");
    assert.equal(refusal(await rename("A", 'W/"1"')), "412 ERR_REQUEST_VERSION_CONFLICT");
    assert.equal(refusal(await rename("A", "1")), "400 ERR_REQUEST_MALFORMED");
    assert.equal(
      refusal(await admin.patch(path, {}, ifMatch('"1"'))),
      "422 ERR_REQUEST_INVALID ",
      "a PATCH of nothing",
    );
    const both = await Promise.all([rename("A", '"1"'), rename("B", '"1"')]);
    assert.deepEqual(
      both.map(({ status }) => status).sort((a, b) => a - b),
      [200, 412],
    );
    const won = both.find(({ status }) => status === 200);
    assert.deepEqual((await admin.get(path)).body, won?.body);
    assert.equal(won?.body.version, 2);
    // An id is the same in capitals, also in its history.
    await admin.patch(path.toUpperCase().replace("SHOPS", "shops"), { name: "C" }, ifMatch('"2"'));
    const history = await admin.get(`${path}/history`);
    assert.equal(history.body.items.length, 3);
    // One of several versions, or any; of what is not there, none.
    assert.equal((await rename("D", '"9", "3"')).body.version, 4);
    assert.equal((await rename("E", "*")).body.version, 5);
    assert.equal(refusal(await rename("F", 'W/"5", "4"')), "412 ERR_REQUEST_VERSION_CONFLICT");
    const unknown = "/shops/019a0000-0000-7000-8000-000000000000";
    assert.equal((await admin.patch(unknown, { name: "G" }, ifMatch("*"))).status, 404);
  });

  // Guards against two shops of one name or two products of one SKU, made at the same instant.
  test(`${isolation}: of many that want one name, one gets it`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    for (const [kind, body, taken] of [
      ["shops", newShop, "409 ERR_ORDERS_SHOP_NAME_TAKEN /name"],
      ["products", newProduct, "409 ERR_ORDERS_SKU_TAKEN /sku"],
    ] as const) {
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => admin.post(`/${kind}`, body)),
      );
      const refusals = answers.filter(({ status }) => status !== 201).map(refusal);
      assert.deepEqual(refusals, Array(5).fill(taken));
      assert.equal((await admin.get(`/${kind}`)).body.items.length, 1);
    }
    const other = await makeShop(admin, { name: "Stall" });
    const renamed = await admin.patch(`/shops/${other.id}`, { name: "Deli" }, ifMatch('"1"'));
    assert.equal(refusal(renamed), "409 ERR_ORDERS_SHOP_NAME_TAKEN /name");
    await makeShop(admin, { name: "deli" });
  });

  // Guards against a plain user who writes, and a stranger who reads.
  test(`${isolation}: a user reads, an admin writes, nobody does neither`, async (t) => {
    const { admin, user, nobody } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    for (const [kind, id, body] of [
      ["shops", shop.id, { name: "Other" }],
      ["products", product.id, { ...newProduct, sku: "OTHER" }],
    ] as const) {
      const path = `/${kind}/${id}`;
      for (const readable of [`/${kind}`, path, `${path}/history`]) {
        assert.equal((await user.get(readable)).status, 200, readable);
        assert.equal((await nobody.get(readable)).status, 401, readable);
      }
      for (const [caller, expected] of [
        [user, "403 ERR_ACCESS_FORBIDDEN"],
        [nobody, "401 ERR_IDENTITY_UNAUTHENTICATED"],
      ] as const) {
        assert.equal(refusal(await caller.post(`/${kind}`, body)), expected);
        assert.equal(
          refusal(await caller.patch(path, { active: false }, ifMatch('"1"'))),
          expected,
        );
        assert.equal(refusal(await caller.delete(path)), expected);
      }
    }
    assert.deepEqual((await user.get(`/shops/${shop.id}`)).body, shop);
    assert.deepEqual((await user.get(`/products/${product.id}`)).body, product);
  });
}
