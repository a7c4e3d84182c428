import assert from "node:assert/strict";
import { relayConnection, relayOnce } from "#kernel/events/relay.ts";
import { sendDue } from "#kernel/events/webhook-sender.ts";
import { createProgress } from "#kernel/jobs/progress.ts";
import type { TestApp } from "#kernel/testing.ts";
import type { Client } from "#kernel/testing/client.ts";
import { makeLease, makeWritable } from "../../src/services/leases/fixture.ts";
import { newWarm } from "../../src/services/leases/rules/warm.ts";
import { insertWarm } from "../../src/services/leases/store/warm.ts";
import { receiveMessages } from "../../src/services/orders/changes/whatsapp.ts";

/** Leaves at least one row of the tenant in every table that has a tenant_id, as users would. */
export async function fillEveryTable(test: TestApp, slug: string): Promise<void> {
  const admin = test.as(slug, "tenant_admin");
  const made = await Promise.all([
    admin.post("/api-keys", { name: "Till", permissions: ["shop:read"] }),
    admin.post("/invitations", { email: "new@example.test", role: "user" }),
    admin.post("/roles", { name: "clerk", title: "Clerk", permissions: ["shop:read"] }),
    admin.post("/webhooks", { url: "http://127.0.0.1:9/hook", events: ["*"] }),
  ]);
  for (const answer of made) assert.equal(answer.status, 201, answer.text);
  const shop = await admin.post("/shops", { name: "Corner" }, { "idempotency-key": "fill" });
  assert.equal(shop.status, 201, shop.text);
  const product = {
    sku: "A-1",
    title: "Bread",
    ingredients: "WHEAT flour",
    allergens: ["gluten"],
    priceMinor: 250,
    vatRate: "zero",
  };
  const sold = await admin.post("/products", product);
  assert.equal(sold.status, 201, sold.text);
  await orderAndPay(admin, shop.body.id, sold.body.id);
  await bringIn(test, slug);
  await lease(admin);
  await keepReady(test, slug);
  await replicate(test, slug);
  await reportProgress(test, slug);
  await handOut(test);
}

async function orderAndPay(admin: Client, shopId: string, productId: string): Promise<void> {
  const customer = await admin.post("/customers", { name: "Ada Lovelace" });
  const order = await admin.post("/orders", {
    shopId,
    customerId: customer.body.id,
    items: [{ productId, quantity: 2 }],
  });
  assert.equal(order.status, 201, order.text);
  const paid = await admin.post("/transactions", {
    amountMinor: 500,
    vatRate: "zero",
    reference: order.body.number,
    orderId: order.body.id,
  });
  assert.equal(paid.status, 201, paid.text);
}

/** A lease that runs, of a template, and what was kept of it. */
async function lease(admin: Client): Promise<void> {
  await makeWritable(admin);
  const body = { template: "writable", image: undefined, preset: undefined };
  const { id } = await makeLease(admin, body);
  const kept = await admin.post(`/leases/${id}/snapshots?wait=10`, { name: "Kept" });
  assert.equal(kept.body.state, "ready", kept.text);
}

/** A container that is to be kept ready, which only a process with the worker role decides. */
async function keepReady(test: TestApp, slug: string): Promise<void> {
  const { db, random, clock } = test.app.depsOf("leases");
  const size = { cpuMillis: 100, memoryMb: 64, diskMb: null, pidsMax: 64 };
  const kind = { runtime: "docker", runtimePlace: "", egress: "none", ociRuntime: null } as const;
  const made = { image: "alpine", command: null, runAs: null, writable: false, ports: [] };
  const ids = { id: random.id(), templateId: random.id() };
  const warm = newWarm({ ...ids, spec: { ...size, ...kind, ...made } }, clock.nowMs());
  await db.inTenant(await test.tenant(slug), (tx) => tx.batch([insertWarm(tx.tenant, warm)]));
}

/** A store that a process holds, what ran on it, and what that proved; no engine is opened. */
async function replicate(test: TestApp, slug: string): Promise<void> {
  const admin = test.as(slug, "tenant_admin");
  const made = await admin.post("/stores", { name: "Cart" });
  assert.equal(made.status, 201, made.text);
  const { db, random } = test.app.depsOf("consistency");
  const tenant = await test.tenant(slug);
  const ids = [tenant.id, made.body.id, random.id()];
  await db.inTenant(tenant, async (tx) => {
    const at = "clock_timestamp()";
    await tx.query(`insert into store_owner values ($1, $2, $3, 1, ${at})`, ids);
    await tx.query(
      `insert into run (tenant_id, store_id, id, kind, spec, state, done, created_at, updated_at)
       values ($1, $2, $3, 'workload', '{}', 'running', 0, ${at}, ${at})`,
      ids,
    );
    await tx.query(
      `insert into history_check (tenant_id, store_id, id, name, state, created_at)
       values ($1, $2, $3, 'Cart', 'running', ${at})`,
      ids,
    );
  });
}

/** What a till and a customer on WhatsApp leave behind. */
async function bringIn(test: TestApp, slug: string): Promise<void> {
  const data = { name: "Grace Hopper" };
  const item = { clientId: "till-7", type: "customer", key: "c-1", baseVersion: null, data };
  const synced = await test.as(slug, "tenant_admin").post("/orders/sync", { items: [item] });
  assert.equal(synced.body.items[0].outcome, "applied", synced.text);
  const { db, clock } = test.app.depsOf("orders");
  const message = {
    phoneNumberId: "106540352242922",
    id: "wamid.fill",
    sender: "+447700900123",
    senderName: null,
    content: { kind: "other" as const },
  };
  const tenant = await test.tenant(slug);
  await db.inTenant(tenant, (tx) => receiveMessages(tx, { clock }, [message]));
  const root = test.as(slug, "admin");
  const { headers } = await root.get("/tenant/settings");
  const number = BigInt(`0x${tenant.id.replaceAll("-", "").slice(-24)}`);
  const settings = { "orders.whatsapp_phone_number_id": String(number) };
  const etag = headers["etag"] as string;
  const claimed = await root.put("/tenant/settings", { settings }, { "if-match": etag });
  assert.equal(claimed.status, 200, claimed.text);
}

async function reportProgress(test: TestApp, slug: string): Promise<void> {
  const tenant = await test.tenant(slug);
  const { db, clock } = test.app.identity;
  const resource = { type: "import", id: tenant.id };
  await createProgress({ db, tenant, resource, clock }).finish(1, 1);
}

/** What the relay and the sender of webhooks do by themselves in a process with the worker role. */
async function handOut({ app, clock }: TestApp): Promise<void> {
  const { client } = await relayConnection(app.appUrl);
  await relayOnce(client, { clock, log: app.log, toBroker: false });
  await client.end();
  const { db, outgoing, secrets, random, log, metrics } = app.depsOf("platform");
  const options = { db, outgoing, secrets, clock, random, log, metrics };
  await Promise.all(await sendDue(options, 10, new AbortController().signal));
}
