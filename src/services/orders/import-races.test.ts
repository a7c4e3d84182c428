import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { firstStamps } from "#kernel/versions.ts";
import { refusal } from "./fixture.ts";
import { file, header, row, startImports, upload } from "./fixtures/import.ts";
import { takeImportTurn } from "./store/import.ts";
import { insertProduct } from "./store/products.ts";

// Guards against imports that undo each other, and a tenant that keeps others from importing.
test("a tenant has one import at a time; another's goes on", async (t) => {
  const { app, db, mine, admin, adminToken, stranger } = await startImports(t, "shared");
  const running = "409 ERR_ORDERS_IMPORT_RUNNING";
  const slow = new PassThrough();
  slow.write(`${header}\n`);
  const first = app.http.app.inject({
    method: "POST",
    url: "/api/v1/products/import",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "text/csv" },
    payload: slow,
  });
  const answered = first.then(({ statusCode }) => statusCode);
  const isRefused = async () => refusal(await upload(admin, file(row("A")))) === running;
  await eventually(isRefused, "an import that is refused while the first arrives");
  assert.equal((await upload(stranger, file(row("A")))).status, 200);
  slow.end(`${row("B")}\n`);
  assert.equal(await answered, 200);
  assert.equal((await upload(admin, file(row("A")))).status, 200);

  // The turn of another process.
  await db.inTenant(mine, async (tx) => {
    assert.equal(await takeImportTurn(tx), true);
    for (const query of ["", "?partial=true"]) {
      const refused = await upload(admin, file(row("A", 2)), query);
      assert.equal(refusal(refused), running);
      assert.equal(refused.headers["retry-after"], "5");
    }
    assert.equal((await upload(admin, file(row("A", 2)), "?dryRun=true")).status, 200);
    assert.equal((await upload(stranger, file(row("A", 2)))).status, 200);
  });
  assert.equal((await upload(admin, file(row("A", 2)))).body.updated, 1);
});

// Guards against an import that fails, or overwrites unseen, when somebody makes the same product.
test("what somebody makes meanwhile is changed, and its history says so", async (t) => {
  const { db, mine, admin } = await startImports(t, "shared");
  const values = {
    sku: "A",
    title: "Theirs",
    ingredients: "",
    allergens: [],
    priceMinor: 7,
    vatRate: "zero" as const,
    stock: null,
    active: true,
  };
  const id = "019a0000-0000-7000-8000-000000000001";
  const isWaiting = async () => {
    const { rows } = await db.query(mine, "select 1 from pg_locks where not granted");
    return rows.length > 0;
  };
  const importing = await db.inTenant(mine, async (tx) => {
    const { text, values: given } = insertProduct(mine.id, { id, ...values, ...firstStamps(id) });
    await tx.query(text, given);
    const answer = upload(admin, file(row("A"), row("B")));
    await eventually(isWaiting, "an import that waits for the product");
    return { answer };
  });
  const { body } = await importing.answer;
  assert.deepEqual([body.created, body.updated], [1, 1]);
  const history = (await admin.get(`/products/${id}/history`)).body.items;
  assert.equal(history[0].before.title, "Theirs");
  assert.equal(history[0].after.title, "Thing A");
});

// Guards against an import that locks products in another order than confirming does: one of the
// two would be undone, or both wait in vain.
test("orders are confirmed while an import changes what they hold", async (t) => {
  const { admin } = await startImports(t, "shared");
  const skus = Array.from({ length: 1_200 }, (_, n) => `S-${String(n).padStart(4, "0")}`);
  const stocked = (of: readonly string[], price: number) =>
    [`${header},stock`, ...of.map((sku) => `${row(sku, price)},1000`)].join("\n");
  assert.equal((await upload(admin, stocked(skus, 100))).body.created, skus.length);
  const shop = (await admin.post("/shops", { name: "Deli" })).body;
  const idOf = async (sku: string) => (await admin.get(`/products?q=${sku}`)).body.items[0].id;
  const items = await Promise.all(
    ["S-0000", "S-0400", "S-0800", "S-1199"].map(async (sku) => ({
      productId: await idOf(sku),
      quantity: 1,
    })),
  );
  const pending = async () => {
    const { id } = (await admin.post("/orders", { shopId: shop.id, items })).body;
    await admin.post(`/orders/${id}/submit`);
    return id as string;
  };
  for (const query of ["", "?partial=true"]) {
    const ids = await Promise.all(Array.from({ length: 12 }, pending));
    const importing = upload(admin, stocked(skus.toReversed(), 200 + query.length), query);
    const confirmed = await Promise.all(
      ids.map(async (id) => (await admin.post(`/orders/${id}/confirm`)).status),
    );
    assert.deepEqual(new Set(confirmed), new Set([200]));
    assert.equal((await importing).status, 200);
  }
});

// Guards against half an import that nobody knows of, and one that can't be finished.
test("an import that fails leaves nothing, or whole parts to go on from", async (t) => {
  const env = { PLIMSOLL_DB_LOCK_TIMEOUT_MS: "300" };
  const { db, mine, admin, verdict } = await startImports(t, "shared", env);
  const skus = Array.from({ length: 700 }, (_, n) => `S-${n}`);
  const products = (price: number) => file(...skus.map((sku) => row(sku, price)));
  await upload(admin, products(1));
  const send = (query: string) =>
    upload(admin, products(2), query, { "idempotency-key": "the same" });
  const changed = async () => {
    const { rows } = await db.query<{ count: number }>(
      mine,
      "select count(*)::int as count from product where version = 2",
    );
    return rows[0]?.count;
  };
  for (const [query, left] of [
    ["", 0],
    ["?partial=true", 500],
  ] as const) {
    await db.inTenant(mine, async (tx) => {
      await tx.query("select 1 from product where sku = 'S-699' for update");
      assert.equal(refusal(await send(query)), "503 ERR_REQUEST_UNAVAILABLE");
    });
    assert.equal(await changed(), left, query);
  }
  const { body } = await send("?partial=true");
  assert.deepEqual([body.updated, body.unchanged], [200, 500]);
  assert.deepEqual(await verdict(), [true, 1_400]);
});
