import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyAudit } from "#kernel/audit/audit.ts";
import { startTestApp } from "#kernel/testing.ts";
import { demoOrders } from "./demo/orders.ts";
import { demoProducts } from "./demo/products.ts";
import { allergenNames } from "./rules/allergens.ts";
import { labelContent } from "./rules/documents.ts";
import { orderStates } from "./rules/orders.ts";
import { orders } from "./service.ts";

type Item = Record<string, unknown>;

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a demo that the service's own rules would refuse, or that shows only half of it.
  test(`${isolation}: the demo is a deli with six days of orders behind it`, async (t) => {
    const { app, as, clock, tenant } = await startTestApp(t, { services: [orders] });
    const slug = `${isolation}-demo`;
    const mine = await tenant(slug);
    const admin = as(slug, "tenant_admin");
    const deps = app.depsOf("orders");
    await deps.db.inTenant(mine, async (tx) => orders.demo?.(tx, deps));
    const list = async (path: string): Promise<Item[]> => {
      const { body } = await admin.get(`${path}?limit=100`);
      return body.items;
    };

    const products = await list("/products");
    assert.equal(products.length, 22);
    const customers = await list("/customers");
    assert.equal(customers.length, 5);
    const taken = await list("/orders");
    assert.equal(taken.length, demoOrders.length);
    assert.deepEqual(new Set(taken.map(({ state }) => state)), new Set(orderStates));

    const now = clock.nowMs();
    for (const order of taken) {
      const [createdAt, updatedAt] = [order.createdAt, order.updatedAt] as [string, string];
      assert.ok(Date.parse(updatedAt) <= now, `${order.number} changed at ${updatedAt}`);
      assert.ok(Date.parse(createdAt) <= Date.parse(updatedAt));
    }
    const oldest = Math.min(...taken.map(({ createdAt }) => Date.parse(createdAt as string)));
    assert.ok(now - oldest > 5 * 24 * 3_600_000);

    // The ledger holds what was completed, and one refund.
    const sum = (items: Item[]) =>
      items.reduce((total, { totalMinor, amountMinor }) => {
        return total + Number(totalMinor ?? amountMinor);
      }, 0);
    const completed = taken.filter(({ state }) => state === "completed");
    assert.equal(sum(await list("/transactions")), sum(completed) - 475);
    const { body: summary } = await admin.get("/orders/summary");
    assert.ok(summary.revenue.length >= 5);

    const sam = customers.find(({ name }) => name === "Sam Sample");
    assert.deepEqual(sam?.allergenRestrictions, ["peanuts", "nuts"]);
    const conflict = taken.find(
      ({ state, allergenWarnings }) =>
        state === "draft" && (allergenWarnings as unknown[]).length === 2,
    );
    assert.equal(conflict?.customerId, sam?.id);
    const submitted = await admin.post(`/orders/${conflict?.id}/submit`);
    assert.equal(submitted.body.code, "ERR_ORDERS_ALLERGEN_CONFLICT");
    assert.ok(taken.some(({ acknowledgedAllergens }) => acknowledgedAllergens));
    const verdict = await deps.db.inTenant(mine, (tx) => verifyAudit(tx));
    assert.equal(verdict.ok, true);
  });
}

// Guards against a label that leaves an allergen out, in the data by which people judge labels.
test("every product of the demo can be labelled, and every allergen is in one", () => {
  for (const { sku, ingredients = "", allergens = [] } of demoProducts) {
    const declared = allergenNames.filter((name) => allergens.includes(name));
    assert.deepEqual(declared, allergens, `${sku} names them in the law's order`);
    const { undeclared } = labelContent({ ingredients, allergens: declared }, false);
    assert.deepEqual(undeclared, [], sku);
  }
  const all = new Set(demoProducts.flatMap(({ allergens = [] }) => allergens));
  assert.deepEqual(
    allergenNames.filter((name) => !all.has(name)),
    [],
  );
});
