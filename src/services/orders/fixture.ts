import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { FieldError } from "#kernel/errors.ts";
import type { Isolation } from "#kernel/tenancy/types.ts";
import type { Client, TestResponse } from "#kernel/testing/client.ts";
import { startTestApp } from "#kernel/testing.ts";
import { orders } from "./service.ts";

interface Emitted {
  type: string;
  resourceId: string;
  data: Record<string, unknown>;
}

/** A real server; an admin and a user of one tenant, the admin of another, and nobody. */
export async function startOrders(t: TestContext, isolation: Isolation) {
  const { app, as, clock, tenant, person } = await startTestApp(t, { services: [orders] });
  const mine = `${isolation}-mine`;
  assert.equal((await tenant(mine)).isolation, isolation);
  const db = app.database.forService("orders");
  const events = async (): Promise<Emitted[]> => {
    const { rows } = await db.query<Emitted>(
      await tenant(mine),
      `select type, resource_id as "resourceId", data from platform.event
        order by occurred_at, id`,
    );
    return rows;
  };
  const runDemo = async () =>
    db.inTenant(await tenant(mine), async (tx) => orders.demo?.(tx, app.depsOf("orders")));
  return {
    admin: as(mine, "tenant_admin"),
    adminEmail: (await person(mine, "tenant_admin")).email,
    user: as(mine, "user"),
    stranger: as(`${isolation}-other`, "tenant_admin"),
    nobody: as(),
    clock,
    events,
    runDemo,
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
