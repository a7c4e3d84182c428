import assert from "node:assert/strict";
import { test } from "node:test";
import { ifMatch, makeCustomer, refusal, startOrders } from "./fixture.ts";

const invalid = "422 ERR_REQUEST_INVALID";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a customer whose allergies or address get lost, or a PATCH that fills in
  // defaults.
  test(`${isolation}: the life of a customer`, async (t) => {
    const { admin, user, events } = await startOrders(t, isolation);
    const made = await user.post("/customers", {
      name: "O'Brien <3",
      email: "O'Brien@Example.com",
      allergenRestrictions: ["nuts", "gluten"],
    });
    assert.equal(made.status, 201, made.text);
    const { id } = made.body;
    assert.deepEqual(made.body, {
      id,
      name: "O'Brien <3",
      email: "O'Brien@Example.com",
      phone: null,
      allergenRestrictions: ["gluten", "nuts"],
      notes: "",
      active: true,
      version: 1,
      createdAt: made.body.createdAt,
      updatedAt: made.body.createdAt,
    });
    const path = `/customers/${id}`;
    assert.equal(made.headers.location, `/api/v1${path}`);
    const got = await user.get(path);
    assert.deepEqual([got.body, got.headers.etag], [made.body, '"1"']);

    const change = { email: null, phone: "+44 20 7946 0018", notes: "Fridays\nonly" };
    const changed = await admin.patch(path, change, ifMatch('"1"'));
    const { updatedAt } = changed.body;
    assert.deepEqual(changed.body, { ...made.body, ...change, version: 2, updatedAt });
    assert.equal((await admin.delete(path)).status, 204);
    assert.equal(refusal(await user.get(path)), "404 ERR_REQUEST_NOT_FOUND");
    const history = (await user.get(`${path}/history`)).body.items;
    assert.deepEqual(
      history.map(({ action }: { action: string }) => action),
      ["customer.delete", "customer.update", "customer.create"],
    );
    assert.deepEqual(
      (await events()).map(({ type, data }) => [type, data.version]),
      [
        ["customer.created", 1],
        ["customer.updated", 2],
        ["customer.deleted", 2],
      ],
    );
  });

  // Guards against two customers of one address, and against nonsense.
  test(`${isolation}: an address belongs to one customer of a tenant`, async (t) => {
    const { admin, stranger, events } = await startOrders(t, isolation);
    await makeCustomer(admin, { email: "ada@example.com" });
    await makeCustomer(stranger, { email: "ada@example.com" });
    const other = await makeCustomer(admin, { email: "bob@example.com" });
    await makeCustomer(admin, { email: null });
    await makeCustomer(admin);
    const before = await events();
    const taken = "409 ERR_ORDERS_CUSTOMER_EMAIL_TAKEN /email";
    const again = { name: "Ada", email: "ADA@example.com" };
    assert.equal(refusal(await admin.post("/customers", again)), taken);
    const path = `/customers/${other.id}`;
    const change = { email: "Ada@Example.com" };
    assert.equal(refusal(await admin.patch(path, change, ifMatch('"1"'))), taken);
    const table: [body: Record<string, unknown>, expected: string][] = [
      [{ name: null }, `${invalid} /name`],
      [{ name: " Ada" }, `${invalid} /name`],
      [{ email: "ada" }, `${invalid} /email`],
      [{ email: `${"a".repeat(250)}@b.uk` }, `${invalid} /email`],
      [{ phone: "1".repeat(41) }, `${invalid} /phone`],
      [{ allergenRestrictions: ["milk", "milk"] }, `${invalid} /allergenRestrictions`],
      [
        { allergenRestrictions: ["eggs", "dairy"] },
        "422 ERR_ORDERS_UNKNOWN_ALLERGEN /allergenRestrictions/1",
      ],
      [{ notes: "x".repeat(2_001) }, `${invalid} /notes`],
      [{ active: 1 }, `${invalid} /active`],
      [{ orders: [] }, `${invalid} /orders`],
    ];
    for (const [body, expected] of table) {
      const what = JSON.stringify(body).slice(0, 60);
      assert.equal(refusal(await admin.post("/customers", { name: "A", ...body })), expected, what);
      assert.equal(refusal(await admin.patch(path, body, ifMatch('"1"'))), expected, what);
    }
    assert.deepEqual((await admin.get(path)).body, other);
    assert.deepEqual(await events(), before);
  });

  // Guards against a customer who can't be found at the counter.
  test(`${isolation}: customers are found by name, address and number`, async (t) => {
    const { admin, user, clock } = await startOrders(t, isolation);
    for (const body of [
      { name: "Ada Lovelace", email: "ada@analytical.example" },
      { name: "Bob", phone: "+44 20 7946 0018" },
      { name: "100% Café", active: false },
    ]) {
      clock.advance(1);
      await makeCustomer(admin, body);
    }
    const found = async (query: string) =>
      (await user.get(`/customers?${query}`)).body.items.map(({ name }: { name: string }) => name);
    assert.deepEqual(await found(""), ["100% Café", "Bob", "Ada Lovelace"]);
    assert.deepEqual(await found("q=LOVE"), ["Ada Lovelace"]);
    assert.deepEqual(await found("q=analytical"), ["Ada Lovelace"]);
    assert.deepEqual(await found("q=7946"), ["Bob"]);
    assert.deepEqual(await found("q=%25"), ["100% Café"]);
    assert.deepEqual(await found("active=true"), ["Bob", "Ada Lovelace"]);
    const first = await user.get("/customers?limit=2");
    const rest = await user.get(`/customers?limit=2&cursor=${first.body.nextCursor}`);
    assert.deepEqual([first.body.items.length, rest.body.items.length], [2, 1]);
    assert.equal(rest.body.nextCursor, null);
  });
}
