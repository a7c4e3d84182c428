import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { FieldError } from "#kernel/errors.ts";
import type { Isolation } from "#kernel/tenancy/types.ts";
import type { Client, TestResponse } from "#kernel/testing/client.ts";
import { startTestApp } from "#kernel/testing.ts";
import type { OrderEventName, OrderState } from "./rules/orders.ts";
import { orders } from "./service.ts";

/**
 * A real server at a moment; an admin and a user of one tenant, the admin of another, and nobody.
 * Who they are is proven for 15 minutes.
 */
export async function startOrders(t: TestContext, isolation: Isolation, startsAt?: string) {
  const server = await startTestApp(t, { services: [orders] });
  if (startsAt !== undefined) server.clock.set(Date.parse(startsAt));
  const { app, as, clock, tenant, person } = server;
  const mine = `${isolation}-mine`;
  assert.equal((await tenant(mine)).isolation, isolation);
  const db = app.database.forService("orders");
  return {
    admin: as(mine, "tenant_admin"),
    adminEmail: (await person(mine, "tenant_admin")).email,
    user: as(mine, "user"),
    userId: (await person(mine, "user")).userId,
    stranger: as(`${isolation}-other`, "tenant_admin"),
    nobody: as(),
    clock,
    events: () => server.events(mine),
    server,
    db,
    tenant: await tenant(mine),
  };
}

/** Headers that name the version to be changed. */
export const ifMatch = (etag: string) => ({ "if-match": etag });

/** The problem's status, its code and the places that it complains about. */
export const refusal = ({ status, body }: TestResponse) =>
  [status, body.code, ...(body.errors ?? []).map((error: FieldError) => error.path)].join(" ");

export const newShop = { name: "Deli" };
export const newProduct = {
  sku: "A-1",
  title: "Sausage roll",
  priceMinor: 475,
  vatRate: "standard",
};

async function make(caller: Client, path: string, body: object): Promise<TestResponse["body"]> {
  const made = await caller.post(path, body);
  assert.equal(made.status, 201, made.text);
  return made.body;
}

/** Makes a shop and answers with it. */
export const makeShop = (caller: Client, body: object = {}) =>
  make(caller, "/shops", { ...newShop, ...body });
/** Makes a product and answers with it. */
export const makeProduct = (caller: Client, body: object = {}) =>
  make(caller, "/products", { ...newProduct, ...body });

/** Puts a customer down and answers with it. */
export const makeCustomer = (caller: Client, body: object = {}) =>
  make(caller, "/customers", { name: "Ada Lovelace", ...body });

/** Takes an order of `items`, [product, quantity] each, and answers with it. */
export const makeOrder = (
  caller: Client,
  shop: { id: string },
  items: readonly (readonly [product: { id: string }, quantity: number])[],
  body: object = {},
) =>
  make(caller, "/orders", {
    shopId: shop.id,
    items: items.map(([{ id: productId }, quantity]) => ({ productId, quantity })),
    ...body,
  });

const wayTo: Readonly<Record<OrderState, readonly OrderEventName[]>> = {
  draft: [],
  pending: ["submit"],
  confirmed: ["submit", "confirm"],
  preparing: ["submit", "confirm", "start-preparation"],
  ready: ["submit", "confirm", "start-preparation", "mark-ready"],
  completed: ["submit", "confirm", "start-preparation", "mark-ready", "complete"],
  cancelled: ["cancel"],
};

/** Takes a draft to `state` and answers with it as it is then. */
export async function moveTo(
  admin: Client,
  { id }: { id: string },
  state: OrderState,
): Promise<TestResponse["body"]> {
  let answer = await admin.get(`/orders/${id}`);
  for (const event of wayTo[state]) {
    answer = await admin.post(`/orders/${id}/${event}`);
    assert.equal(answer.status, 200, `${event}: ${answer.text}`);
  }
  return answer.body;
}
