import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "#kernel/testing/client.ts";
import {
  ifMatch,
  makeCustomer,
  makeOrder,
  makeProduct,
  makeShop,
  moveTo,
  refusal,
  startOrders,
} from "./fixture.ts";
import { orderEventNames, transitions } from "./rules/orders.ts";

const unknownId = "019a0000-0000-7000-8000-000000000000";
const same = { "x-request-id": "same" };

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a user who sees or touches what somebody else ordered, or learns that it exists.
  test(`${isolation}: other people's orders are unknown to a user`, async (t) => {
    const { admin, user, stranger, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin, { stock: 100 });
    const own = await makeOrder(user, shop, [[product, 1]]);
    const other = await makeOrder(admin, shop, [[product, 1]]);
    const ids = async (caller: Client) =>
      (await caller.get("/orders")).body.items.map(({ id }: { id: string }) => id);
    assert.deepEqual(await ids(user), [own.id]);
    assert.deepEqual(await ids(admin), [other.id, own.id]);
    assert.deepEqual(await ids(stranger), []);
    const before = await events();
    const change = { notes: "mine" };
    const attempts = [
      (caller: Client, path: string) => caller.get(path, same),
      (caller: Client, path: string) => caller.get(`${path}/history`, same),
      (caller: Client, path: string) => caller.patch(path, change, { ...same, ...ifMatch('"1"') }),
      (caller: Client, path: string) => caller.patch(path, change, { ...same, ...ifMatch('"7"') }),
      ...["submit", "cancel"].flatMap((event) => [
        (caller: Client, path: string) => caller.post(`${path}/${event}`, undefined, same),
        (caller: Client, path: string) =>
          caller.post(`${path}/${event}`, {}, { ...same, ...ifMatch('"7"') }),
      ]),
    ];
    for (const caller of [user, stranger]) {
      for (const attempt of attempts) {
        const foreign = await attempt(caller, `/orders/${other.id}`);
        const unknown = await attempt(caller, `/orders/${unknownId}`);
        assert.equal(refusal(foreign), "404 ERR_REQUEST_NOT_FOUND");
        assert.equal(foreign.text.replaceAll(other.id, unknownId), unknown.text);
      }
    }
    assert.deepEqual((await admin.get(`/orders/${other.id}`)).body, other);
    assert.deepEqual(await events(), before);
  });

  // Guards against a role that may more, or less, than it is said to.
  test(`${isolation}: what each role may do with an order`, async (t) => {
    const { admin, user, stranger, nobody } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    const forbidden = "403 ERR_ACCESS_FORBIDDEN";
    const gone = "404 ERR_REQUEST_NOT_FOUND";
    const illegal = "409 ERR_ORDERS_ILLEGAL_TRANSITION";
    const userOnOwn = {
      submit: "200",
      confirm: forbidden,
      "start-preparation": forbidden,
      "mark-ready": forbidden,
      complete: forbidden,
      cancel: illegal,
    };
    for (const event of orderEventNames) {
      const from = transitions[event].from.at(-1) ?? "draft";
      const own = await moveTo(admin, await makeOrder(user, shop, [[product, 1]]), from);
      const path = `/orders/${own.id}/${event}`;
      assert.equal(refusal(await nobody.post(path)), "401 ERR_IDENTITY_UNAUTHENTICATED");
      assert.equal(refusal(await stranger.post(path)), gone, event);
      const answer = await user.post(path);
      assert.equal(answer.status === 200 ? "200" : refusal(answer), userOnOwn[event], event);
      if (answer.status === 200) continue;
      assert.deepEqual((await user.get(`/orders/${own.id}`)).body.state, from);
      assert.equal((await admin.post(path)).status, 200, event);
    }
    // Its own drafts and pending ones a user may cancel; the answer says so.
    for (const state of ["draft", "pending"] as const) {
      const own = await moveTo(admin, await makeOrder(user, shop, [[product, 1]]), state);
      const shown = (await user.get(`/orders/${own.id}`)).body.allowedTransitions;
      assert.deepEqual(shown, state === "draft" ? ["submit", "cancel"] : ["cancel"]);
      assert.equal((await user.post(`/orders/${own.id}/cancel`)).body.state, "cancelled");
    }
    const taken = await moveTo(admin, await makeOrder(user, shop, [[product, 1]]), "confirmed");
    const late = await user.post(`/orders/${taken.id}/cancel`);
    assert.deepEqual([late.body.state, late.body.allowed], ["confirmed", []]);
    // The state allows it, and this caller may not: it must not be told that nobody can.
    assert.match(
      late.body.detail,
      /is confirmed, and you may only "cancel" draft and pending orders/,
    );
  });

  // Guards against a ledger that everybody reads, and customers that a user takes away.
  test(`${isolation}: a user writes customers down, and sees no ledger`, async (t) => {
    const { admin, user, stranger, nobody } = await startOrders(t, isolation);
    const customer = await makeCustomer(user);
    const path = `/customers/${customer.id}`;
    const entry = { amountMinor: 100, vatRate: "zero", reference: "Float" };
    const booked = await admin.post("/transactions", entry);
    assert.equal(booked.status, 201, booked.text);
    const forbidden = "403 ERR_ACCESS_FORBIDDEN";
    assert.deepEqual((await user.get(path)).body, customer);
    assert.equal((await user.get(`${path}/history`)).status, 200);
    assert.equal(refusal(await user.patch(path, { name: "X" }, ifMatch('"1"'))), forbidden);
    assert.equal(refusal(await user.delete(path)), forbidden);
    for (const hidden of ["/transactions", `/transactions/${booked.body.id}`]) {
      assert.equal(refusal(await user.get(hidden)), forbidden);
      assert.equal(refusal(await nobody.get(hidden)), "401 ERR_IDENTITY_UNAUTHENTICATED");
      assert.equal((await admin.get(hidden)).status, 200);
    }
    assert.equal(refusal(await user.post("/transactions", entry)), forbidden);
    assert.deepEqual((await stranger.get("/transactions")).body.items, []);
    assert.deepEqual((await stranger.get("/customers")).body.items, []);
    for (const foreign of [path, `/transactions/${booked.body.id}`]) {
      assert.equal(refusal(await stranger.get(foreign)), "404 ERR_REQUEST_NOT_FOUND");
      assert.equal(refusal(await stranger.get(`${foreign}/history`)), "404 ERR_REQUEST_NOT_FOUND");
    }
    for (const method of ["PATCH", "PUT", "DELETE"]) {
      const address = `/api/v1/transactions/${booked.body.id}`;
      const refused = await admin.raw(method, address, undefined, ifMatch('"1"'));
      assert.equal(refusal(refused), "405 ERR_REQUEST_METHOD_NOT_ALLOWED", method);
    }
  });

  // Guards against an event stream or webhook that tells a user of other people's orders.
  test(`${isolation}: an order's events belong to its owner`, async (t) => {
    const { admin, user, userId, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    const order = await makeOrder(user, shop, [[product, 1]]);
    await moveTo(admin, order, "completed");
    const told = (await events()).filter(({ resource }) => resource.id === order.id);
    assert.equal(told.length, 6);
    for (const { type, ownerId } of told) assert.equal(ownerId, userId, type);
  });

  // Guards against a custom role whose "own" is not minded, or that can't be given at all.
  test(`${isolation}: a kitchen's role may fulfil; its own orders it may confirm`, async (t) => {
    const { admin, server, db, tenant } = await startOrders(t, isolation);
    const permissions = ["order:create", "order:read", "order:submit", "order:fulfil"];
    permissions.push("order:confirm:own");
    await db.query(
      tenant,
      `insert into platform.role (tenant_id, name, title, permissions, created_at, updated_at)
       values ($1, 'kitchen', 'Kitchen', $2, now(), now())`,
      [tenant.id, permissions],
    );
    const kitchen = server.as(`${isolation}-mine`, "kitchen");
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    const own = await moveTo(kitchen, await makeOrder(kitchen, shop, [[product, 1]]), "ready");
    assert.deepEqual(own.allowedTransitions, []);
    const other = await moveTo(admin, await makeOrder(admin, shop, [[product, 1]]), "pending");
    const seen = await kitchen.get(`/orders/${other.id}`);
    assert.deepEqual([seen.status, seen.body.allowedTransitions], [200, []]);
    assert.equal(
      refusal(await kitchen.post(`/orders/${other.id}/confirm`)),
      "404 ERR_REQUEST_NOT_FOUND",
    );
  });
}
