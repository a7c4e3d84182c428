import { encodeCursor } from "#kernel/http/cursor.ts";
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { provisionDedicated } from "#kernel/db/migrate.ts";
import { isCheckViolation, isPgError, isUniqueViolation } from "#kernel/db/pg-errors.ts";
import { createDatabase } from "#kernel/db/pool.ts";
import { withClient } from "#kernel/db/roles.ts";
import type { Db } from "#kernel/db/types.ts";
import { systemRandom } from "#kernel/random.ts";
import type { Isolation, TenantRef } from "#kernel/tenancy/types.ts";
import { testDatabase } from "#kernel/testing/database.ts";
import { firstStamps } from "#kernel/versions.ts";
import { getProduct, insertProduct, listProducts, type ProductValues } from "./store/products.ts";
import {
  deleteShop,
  getShop,
  insertShop,
  listShops,
  lockShop,
  type ShopValues,
  updateShop,
} from "./store/shops.ts";

const migrations = new URL("./migrations/", import.meta.url);
const random = systemRandom(systemClock);
const silent = { warn: () => {}, error: () => {} };

const shop: ShopValues = { name: "Deli", address: "", currency: "GBP", active: true };
const product: ProductValues = {
  sku: "A-1",
  title: "Sausage roll",
  ingredients: "Pork, pastry (WHEAT)",
  allergens: ["gluten"],
  priceMinor: 475,
  vatRate: "standard",
  stock: 20,
  active: true,
};

interface Rig {
  db: Db;
  ownerUrl: string;
  mine: TenantRef;
  /** Another tenant of the same isolation. */
  other: TenantRef;
}

/** Two tenants over a real database, as the app role. */
async function startStore(t: TestContext, isolation: Isolation): Promise<Rig> {
  const services = [{ name: "orders", migrations }];
  const { appUrl, ownerUrl } = await testDatabase(t, { services });
  const database = createDatabase({ appUrl, log: silent, poolMax: 5 });
  t.after(() => database.close());
  const db = database.forService("orders");
  const addTenant = async (slug: string): Promise<TenantRef> => {
    const id = random.id();
    await db.inPlatform((tx) =>
      tx.query("insert into platform.tenant (id, slug, name, isolation) values ($1, $2, $2, $3)", [
        id,
        slug,
        isolation,
      ]),
    );
    if (isolation === "dedicated") await provisionDedicated(ownerUrl, id, services);
    return { id, isolation };
  };
  return { db, ownerUrl, mine: await addTenant("mine"), other: await addTenant("other") };
}

const addShop = ({ db }: Rig, tenant: TenantRef, values: Partial<ShopValues>, id = random.id()) =>
  db.inTenant(tenant, async (tx) => {
    const made = { id, ...shop, ...values, ...firstStamps(id) };
    tx.write(insertShop(tenant.id, made));
    return made;
  });

const addProduct = ({ db }: Rig, tenant: TenantRef, values: Partial<ProductValues>) =>
  db.inTenant(tenant, async (tx) => {
    const id = random.id();
    const made = { id, ...product, ...values, ...firstStamps(id) };
    tx.write(insertProduct(tenant.id, made));
    return made;
  });

const all = { limit: 100 };

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against rows that come back other than they went in.
  test(`${isolation}: what is stored comes back as it was given`, async (t) => {
    const rig = await startStore(t, isolation);
    const { db, mine } = rig;
    const name = 'O\'Brien <3 "Deli" \\ 🧀 %_';
    const made = await addShop(rig, mine, { name, address: "1 High St\nLeeds" });
    assert.deepEqual(await getShop(db, mine, made.id), made);
    assert.equal(made.name, name);
    assert.equal(made.address, "1 High St\nLeeds");
    assert.equal(made.version, 1);
    assert.match(made.createdAt, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.equal(made.updatedAt, made.createdAt);

    const priceMinor = Number.MAX_SAFE_INTEGER;
    const values = { ...product, priceMinor, stock: null, allergens: ["milk", "nuts"] as const };
    const cheese = await addProduct(rig, mine, { ...values, allergens: [...values.allergens] });
    assert.deepEqual(await getProduct(db, mine, cheese.id), cheese);
    assert.deepEqual(cheese, { ...cheese, ...values });
  });

  // Guards against a path around the API (an import, a repair by hand) that stores nonsense.
  test(`${isolation}: the database refuses what the API would refuse`, async (t) => {
    const rig = await startStore(t, isolation);
    const badShops: Partial<ShopValues>[] = [
      { name: "" },
      { name: " Deli" },
      { name: "Deli " },
      { name: "x".repeat(201) },
      { address: "x".repeat(501) },
      { currency: "gbp" },
      { currency: "GBPX" },
    ];
    for (const values of badShops) {
      await assert.rejects(addShop(rig, rig.mine, values), isCheckViolation, inspect(values));
    }
    const badProducts: Record<string, unknown>[] = [
      { sku: "" },
      { sku: "x".repeat(101) },
      { title: " " },
      { title: "x".repeat(256) },
      { ingredients: "x".repeat(2001) },
      { allergens: ["dairy"] },
      { allergens: ["Milk"] },
      { allergens: ["milk", "milk"] },
      { allergens: ["milk", "gluten"] },
      { allergens: ["milk", null] },
      { allergens: [["milk"]] },
      { priceMinor: -1 },
      { priceMinor: "9007199254740992" },
      { vatRate: "luxury" },
      { stock: -1 },
    ];
    for (const values of badProducts) {
      const refused = addProduct(rig, rig.mine, values);
      await assert.rejects(refused, isCheckViolation, inspect(values));
    }
    assert.deepEqual((await listShops(rig.db, rig.mine, all)).items, []);
    assert.deepEqual((await listProducts(rig.db, rig.mine, all)).items, []);
  });

  // Guards against a tenant that reads, changes, deletes or adds rows of another.
  test(`${isolation}: another tenant's rows are out of reach`, async (t) => {
    const rig = await startStore(t, isolation);
    const { db, mine, other } = rig;
    const { id } = await addShop(rig, other, {});
    assert.equal(await getShop(db, mine, id), null);
    assert.deepEqual((await listShops(db, mine, all)).items, []);
    await db.inTenant(mine, async (tx) => {
      assert.equal(await lockShop(tx, id), null);
      assert.equal(await updateShop(tx, id, { ...shop, name: "Stolen" }), undefined);
      await deleteShop(tx, id);
    });
    const planted = random.id();
    const intruding = db.inTenant(mine, async (tx) =>
      tx.write(
        insertShop(other.id, { id: planted, ...shop, name: "Planted", ...firstStamps(planted) }),
      ),
    );
    await assert.rejects(intruding, (error) => isPgError(error) && error.code === "42501");
    const { items } = await listShops(db, other, all);
    assert.deepEqual(
      items.map((row) => row.name),
      ["Deli"],
    );
    // The same name in two tenants is two shops.
    await addShop(rig, mine, {});
  });
}

// Guards against two shops of one name, or two products of one SKU, and against a constraint
// whose name changes.ts no longer knows.
test("a second one of the same name violates the constraint that changes.ts expects", async (t) => {
  const rig = await startStore(t, "shared");
  const { db, mine } = rig;
  await addShop(rig, mine, {});
  const second = await addShop(rig, mine, { name: "Deli 2" });
  const isNameTaken = (error: unknown) => isUniqueViolation(error, "shop_name_taken");
  await assert.rejects(addShop(rig, mine, {}), isNameTaken);
  await assert.rejects(
    db.inTenant(mine, (tx) => updateShop(tx, second.id, shop)),
    isNameTaken,
  );
  await addProduct(rig, mine, {});
  await assert.rejects(addProduct(rig, mine, {}), (error) =>
    isUniqueViolation(error, "product_sku_taken"),
  );
});

// Guards against filters that miss, or that treat a caller's text as a pattern.
test("lists are newest first and narrowed by q and active", async (t) => {
  const rig = await startStore(t, "shared");
  const { db, mine } = rig;
  const names = ["Deli 100%", "Stall_1", "Kiosk", "the DELI counter", "O'Brien's"];
  const ids = names.map((_, index) => `019a0000-0000-7000-8000-00000000000${index}`);
  for (const [index, name] of names.entries()) {
    await addShop(rig, mine, { name, active: name !== "Kiosk" }, ids[index]);
  }
  const namesOf = async (filter: { q?: string; active?: boolean }) =>
    (await listShops(db, mine, { ...all, ...filter })).items.map((row) => row.name);
  assert.deepEqual(await namesOf({}), [...names].reverse());
  assert.deepEqual(await namesOf({ q: "deli" }), ["the DELI counter", "Deli 100%"]);
  assert.deepEqual(await namesOf({ q: "%" }), ["Deli 100%"]);
  assert.deepEqual(await namesOf({ q: "_" }), ["Stall_1"]);
  assert.deepEqual(await namesOf({ q: "\\" }), []);
  assert.deepEqual(await namesOf({ q: "'" }), ["O'Brien's"]);
  assert.deepEqual(await namesOf({ active: false }), ["Kiosk"]);
  assert.deepEqual(await namesOf({ active: true, q: "k" }), []);
  await addProduct(rig, mine, { sku: "RYE-800", title: "Rye loaf" });
  await addProduct(rig, mine, { sku: "BUN-RYE", title: "Bun" });
  const found = await listProducts(db, mine, { ...all, q: "rye" });
  assert.deepEqual(found.items.map((row) => row.sku).sort(), ["BUN-RYE", "RYE-800"]);
});

// Guards against a list that sorts or scans a tenant's whole table to show its first page.
test("a page is read off the primary key, also by a generic plan", async (t) => {
  const { db, mine, ownerUrl } = await startStore(t, "shared");
  await db.query(
    mine,
    `insert into shop (tenant_id, id, name, address, currency, active)
     select $1, gen_random_uuid(), 'Shop ' || n, '', 'GBP', true from generate_series(1, 5000) n`,
    [mine.id],
  );
  await withClient(ownerUrl, (client) => client.query("analyze orders.shop"));
  let list = "";
  const listener = { query: async (_: TenantRef, text: string) => ((list = text), { rows: [] }) };
  const cursor = encodeCursor(["ffffffff-ffff-ffff-ffff-ffffffffffff"]);
  await listShops(listener as unknown as Db, mine, { ...all, cursor });
  const plan = await db.inTenant(mine, async (tx) => {
    await tx.query("set local plan_cache_mode = force_generic_plan");
    await tx.query(`prepare page as ${list}`);
    const { rows } = await tx.query<{ "QUERY PLAN": string }>(
      "explain execute page ('ffffffff-ffff-ffff-ffff-ffffffffffff')",
    );
    return rows.map((row) => row["QUERY PLAN"]).join("\n");
  });
  assert.match(plan, /Index Scan Backward using shop_pkey/);
  assert.match(plan, /Index Cond: \(\(tenant_id = .+ AND \(id < \$1\)\)/);
  assert.doesNotMatch(plan, /Sort|Seq Scan/);
});

const inspect = (values: object) => JSON.stringify(values).slice(0, 80);
