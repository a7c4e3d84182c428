import assert from "node:assert/strict";
import { relayConnection, relayOnce } from "#kernel/events/relay.ts";
import { sendDue } from "#kernel/events/webhook-sender.ts";
import { createProgress } from "#kernel/jobs/progress.ts";
import type { TestApp } from "#kernel/testing.ts";

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
  assert.equal((await admin.post("/products", product)).status, 201);
  await reportProgress(test, slug);
  await handOut(test);
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
