import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { type TestContext, test } from "node:test";
import { type Isolation, systemActor } from "#kernel/tenancy/types.ts";
import type { TestResponse } from "#kernel/testing/client.ts";
import { eventually, startReceiver } from "#kernel/testing/events.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import { makeCustomer, makeProduct, makeShop, refusal } from "./fixture.ts";
import { whatsappJobs } from "./jobs/whatsapp.ts";
import { orders } from "./service.ts";

const appSecret = "0123456789abcdef0123456789abcdef";
const verifyToken = "a token that was agreed on";
const number = "106540352242922";
const sender = "447700900123";

const sign = (body: string, secret = appSecret, algorithm = "sha256") =>
  `sha256=${createHmac(algorithm, secret).update(body).digest("hex")}`;

interface House extends TestApp {
  graph: Awaited<ReturnType<typeof startReceiver>>;
  /** Delivers as Meta does; the signature is right unless headers say otherwise. */
  deliver(body: object | string, headers?: Record<string, string>): Promise<TestResponse>;
  /** What the tenant's service has chosen. */
  choose(slug: string, settings: Record<string, unknown>): Promise<void>;
  /** Rows of the tenant with this slug. */
  rows(slug: string, text: string): Promise<Record<string, unknown>[]>;
}

async function start(t: TestContext, { worker = true } = {}): Promise<House> {
  const graph = await startReceiver(t);
  const env = {
    WHATSAPP_APP_SECRET: appSecret,
    WHATSAPP_VERIFY_TOKEN: verifyToken,
    WHATSAPP_GRAPH_URL: `http://${graph.host}/v1`,
    PLIMSOLL_ALLOW_PRIVATE_HOSTS: graph.host,
  };
  const config = worker ? { role: "all" as const } : {};
  const test = await startTestApp(t, { services: [orders], env, config });
  const { db, settings } = test.app.depsOf("orders");
  const platform = test.app.database.forService("platform");
  return {
    ...test,
    graph,
    deliver: (body, headers = {}) => {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      return test.as().raw("POST", "/api/v1/webhooks/whatsapp", text, {
        "content-type": "application/json",
        "x-hub-signature-256": sign(text),
        ...headers,
      });
    },
    async choose(slug, chosen) {
      await platform.inTenant(await test.tenant(slug), async (tx) => {
        const before = await settings.read(tx);
        assert.ok(before);
        const all = { ...before.settings, ...chosen };
        await settings.replace(tx, { settings: all, version: before.version, platformAdmin: true });
      });
    },
    rows: async (slug, text) => (await db.query(await test.tenant(slug), text)).rows,
  };
}

/** A deli that takes orders over WhatsApp. */
async function openDeli(house: House, slug: string, phoneNumberId = number) {
  const admin = house.as(slug, "tenant_admin");
  const shop = await makeShop(admin, { name: `Deli ${slug}` });
  const brie = { sku: "BRIE", title: "Brie Baguette", priceMinor: 595, vatRate: "zero" };
  const baguette = await makeProduct(admin, { ...brie, allergens: ["gluten", "milk"] });
  const coffee = { sku: "FLAT", title: "Flat White", priceMinor: 360, vatRate: "standard" };
  await makeProduct(admin, coffee);
  await house.choose(slug, {
    "orders.whatsapp_phone_number_id": phoneNumberId,
    "orders.whatsapp_shop_id": shop.id,
    "orders.whatsapp_access_token": `token of ${slug}`,
  });
  return { admin, shop, baguette };
}

let messageNumber = 0;

function message(house: House, content: object, members: object = {}) {
  messageNumber += 1;
  const timestamp = String(Math.floor(house.clock.nowMs() / 1_000));
  return { from: sender, id: `wamid.${messageNumber}`, timestamp, ...content, ...members };
}

const text = (house: House, body: string, members: object = {}) =>
  message(house, { type: "text", text: { body } }, members);

const picked = (house: House, items: object[]) =>
  message(house, { type: "order", order: { catalog_id: "1", text: "", product_items: items } });

const delivery = (messages: object[], phoneNumberId = number) => ({
  object: "whatsapp_business_account",
  entry: [
    {
      id: "1",
      changes: [
        {
          field: "messages",
          value: {
            messaging_product: "whatsapp",
            metadata: { display_phone_number: "44", phone_number_id: phoneNumberId },
            contacts: [{ profile: { name: "Ann" }, wa_id: sender }],
            messages,
          },
        },
      ],
    },
  ],
});

const countRows = `select (select count(*) from whatsapp_message) as messages,
  (select count(*) from sales_order) as orders, (select count(*) from customer) as customers`;

/** The texts that customers got. */
const replies = ({ graph }: House): string[] =>
  graph.received.map(({ body }) => JSON.parse(body).text.body);

async function answered(house: House, count: number): Promise<void> {
  const holds = () => house.graph.received.length >= count;
  await eventually(holds, `${count} answers`, house.clock);
}

/** What the worker does for a message, where there is no worker. */
async function runAnswer({ app, tenant }: House, slug: string, messageId: string): Promise<void> {
  const context = {
    deps: app.depsOf("orders"),
    tenant: await tenant(slug),
    actor: systemActor("job"),
    signal: new AbortController().signal,
    log: app.log,
  };
  await whatsappJobs.tasks["orders.answer_whatsapp"]?.run({ messageId }, context as never);
}

function both(name: string, work: (t: TestContext, isolation: Isolation) => Promise<void>): void {
  for (const isolation of ["shared", "dedicated"] as const) {
    test(`${isolation}: ${name}`, (t) => work(t, isolation));
  }
}

// Guards against an order that a customer sent and nobody sees, or that nobody answers.
both("a text becomes a draft order of its sender, who is told", async (t, isolation) => {
  const house = await start(t);
  const { admin, shop } = await openDeli(house, isolation);
  const said = "Hi, 2 x brie baguette, 1 flat white please";
  const received = await house.deliver(delivery([text(house, said, { id: "wamid.first" })]));
  assert.deepEqual([received.status, received.body], [200, { messages: 1 }]);
  await answered(house, 1);
  const [order] = (await admin.get("/orders")).body.items;
  const [customer] = (await admin.get("/customers")).body.items;
  assert.deepEqual(
    [customer.name, customer.phone, order.customerId, order.customerPhone],
    ["Ann", `+${sender}`, customer.id, `+${sender}`],
  );
  assert.deepEqual(
    [order.state, order.shopId, order.totalMinor, order.notes, order.ownerId],
    ["draft", shop.id, 1550, said, `job:orders.answer_whatsapp`],
  );
  const [{ path, headers, body } = { path: "", headers: {}, body: "{}" }] = house.graph.received;
  assert.equal(path, `/v1/${number}/messages`);
  assert.equal(headers.authorization, `Bearer token of ${isolation}`);
  assert.deepEqual(JSON.parse(body), {
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: sender,
    context: { message_id: "wamid.first" },
    type: "text",
    text: {
      preview_url: false,
      body: `Thank you. This is order ${order.number} at Deli ${isolation}:
2 × Brie Baguette: £11.90
1 × Flat White: £3.60
Total £15.50, VAT included.
The shop will look at it and confirm.`,
    },
  });
  const history = await admin.get(`/orders/${order.id}/history`);
  assert.deepEqual(
    history.body.items.map((entry: { action: string }) => entry.action),
    ["order.create"],
  );
  assert.ok((await house.events(isolation)).some(({ type }) => type === "order.created"));
});

// Guards against a catalogue's old prices, and against allergens that a regular is not told of.
both("what is picked from the catalogue is ordered at today's price", async (t, isolation) => {
  const house = await start(t);
  const { admin, baguette } = await openDeli(house, isolation);
  const known = await makeCustomer(admin, {
    name: "Ada",
    phone: "+44 7700 900123",
    allergenRestrictions: ["milk"],
  });
  const items = [
    { product_retailer_id: "BRIE", quantity: 2, item_price: 5.5, currency: "GBP" },
    { product_retailer_id: "FLAT", quantity: 1, item_price: 3.6, currency: "GBP" },
  ];
  await house.deliver(delivery([picked(house, items)]));
  await answered(house, 1);
  const [order] = (await admin.get("/orders")).body.items;
  assert.deepEqual([order.totalMinor, order.customerId], [1550, known.id]);
  assert.deepEqual(order.allergenWarnings, [
    { productId: baguette.id, title: "Brie Baguette", allergens: ["milk"] },
  ]);
  const [reply = ""] = replies(house);
  assert.match(reply, /\nBrie Baguette costs £5\.95 by now\.\n/);
  assert.match(reply, /\nPlease note: Brie Baguette contains milk\.\n/);
  assert.doesNotMatch(reply, /Flat White costs/);
  assert.equal((await admin.get("/customers")).body.items.length, 1);
});

// Guards against guesses, and against silence where no order can be made.
both("what is not understood is asked back, and nothing is ordered", async (t, isolation) => {
  const house = await start(t);
  const { admin, shop, baguette } = await openDeli(house, isolation);
  const unknown = { product_retailer_id: "BRI", quantity: 1, item_price: 5, currency: "GBP" };
  const expected: [object, RegExp][] = [
    [text(house, "2 x bri bagette, 1 flat white"), /"bri bagette"\. Did you mean Brie Baguette\?/],
    [picked(house, [unknown]), /"BRI"\. Did you mean Brie Baguette\?/],
    [text(house, "When do you open?"), /could not read an order/],
    [message(house, { type: "image", image: { id: "1" } }), /could not read an order/],
    [text(house, "99999 flat whites"), /could not take that order\. A quantity is a whole number/],
  ];
  for (const [index, [sent, pattern]] of expected.entries()) {
    await house.deliver(delivery([sent]));
    await answered(house, index + 1);
    assert.match(replies(house)[index] as string, pattern);
  }
  assert.deepEqual((await admin.get("/orders")).body.items, []);
  // What is off sale is not offered, and a shop that has closed says so.
  await admin.patch(`/products/${baguette.id}`, { active: false }, { "if-match": '"1"' });
  await house.deliver(delivery([text(house, "1 brie baguette")]));
  await answered(house, 6);
  assert.match(replies(house)[5] as string, /don't know "brie baguette"\.\nNothing/);
  await admin.patch(`/shops/${shop.id}`, { active: false }, { "if-match": '"1"' });
  await house.deliver(delivery([text(house, "1 flat white")]));
  await answered(house, 7);
  assert.match(replies(house)[6] as string, /can't take orders here/);
  assert.deepEqual((await admin.get("/orders")).body.items, []);
});

// Guards against two orders because Meta delivered twice: later, at once, and bundled.
both("a message counts once, however often it is delivered", async (t, isolation) => {
  const house = await start(t);
  await openDeli(house, isolation);
  const first = text(house, "1 flat white");
  const second = text(house, "2 flat white");
  const answers = await Promise.all([
    ...Array.from({ length: 8 }, () => house.deliver(delivery([first]))),
    house.deliver(delivery([first, second, first])),
    house.deliver(delivery([second])),
  ]);
  assert.ok(answers.every(({ status }) => status === 200));
  const counted = answers.map(({ body }) => body.messages as number);
  assert.equal(
    counted.reduce((sum, one) => sum + one, 0),
    2,
  );
  await answered(house, 2);
  await house.deliver(delivery([first, second]));
  await house.deliver(delivery([text(house, "3 flat white")]));
  await answered(house, 3);
  assert.equal(house.graph.received.length, 3);
  assert.deepEqual(await house.rows(isolation, countRows), [
    { messages: 3, orders: 3, customers: 1 },
  ]);
});

// Guards against anybody else than Meta placing orders.
test("what is not signed with the app's secret is refused, and nothing is kept", async (t) => {
  const house = await start(t, { worker: false });
  await openDeli(house, "shared");
  const body = delivery([text(house, "1 flat white")]);
  const bytes = JSON.stringify(body);
  const forged: Record<string, string>[] = [
    { "x-hub-signature-256": "" },
    { "x-hub-signature-256": "sha256=" },
    { "x-hub-signature-256": sign(bytes, "another secret of somebody's") },
    { "x-hub-signature-256": sign(bytes, "") },
    { "x-hub-signature-256": sign(`${bytes} `) },
    { "x-hub-signature-256": sign("") },
    { "x-hub-signature-256": sign(bytes).slice(0, -1) },
    { "x-hub-signature-256": `${sign(bytes)}00` },
    { "x-hub-signature-256": sign(bytes).replace("sha256=", "") },
    { "x-hub-signature-256": sign(bytes, appSecret, "sha1") },
    { "x-hub-signature-256": sign(bytes, appSecret, "sha1").replace("sha256", "sha1") },
    { "x-hub-signature-256": "", "x-hub-signature": sign(bytes, appSecret, "sha1") },
  ];
  for (const headers of forged) {
    const answer = await house.deliver(bytes, headers);
    assert.equal(refusal(answer), "401 ERR_ORDERS_WHATSAPP_UNVERIFIED", JSON.stringify(headers));
  }
  const other = JSON.stringify(delivery([text(house, "9 flat white")]));
  const tampered = await house.deliver(other, { "x-hub-signature-256": sign(bytes) });
  assert.equal(refusal(tampered), "401 ERR_ORDERS_WHATSAPP_UNVERIFIED");
  // The bytes are signed, not what they mean.
  const spaced = JSON.stringify(body, null, 1);
  assert.equal((await house.deliver(spaced, { "x-hub-signature-256": sign(bytes) })).status, 401);
  assert.equal((await house.as().raw("POST", "/api/v1/webhooks/whatsapp")).status, 401);
  assert.deepEqual(await house.rows("shared", countRows), [
    { messages: 0, orders: 0, customers: 0 },
  ]);
  const upper = sign(spaced).toUpperCase().replace("SHA256", "sha256");
  assert.equal((await house.deliver(spaced, { "x-hub-signature-256": upper })).status, 200);
});

// Guards against one tenant's messages reaching another, and against taking over its number.
test("a number's messages are those of its one tenant", async (t) => {
  const house = await start(t, { worker: false });
  await openDeli(house, "ada");
  await openDeli(house, "bob-dedicated", "206540352242922");
  const taken = { "orders.whatsapp_phone_number_id": number };
  await assert.rejects(house.choose("bob-dedicated", taken), {
    code: "ERR_ORDERS_WHATSAPP_NUMBER_TAKEN",
  });
  const [to, from] = [delivery([text(house, "1 flat white")]), delivery([], "206540352242922")];
  const two = { ...to, entry: [...to.entry, ...from.entry] };
  const nobody = await house.deliver(delivery([text(house, "1 flat white")], "999"));
  assert.deepEqual([nobody.status, nobody.body], [200, { messages: 0 }]);
  assert.equal((await house.deliver(two)).body.messages, 1);
  const countOf = async (slug: string) => (await house.rows(slug, countRows))[0]?.messages;
  assert.deepEqual([await countOf("ada"), await countOf("bob-dedicated")], [1, 0]);

  await house.choose("ada", { "orders.whatsapp_phone_number_id": null });
  assert.equal((await house.deliver(delivery([text(house, "1 x")]))).body.messages, 0);
  await house.choose("bob-dedicated", taken);
  assert.equal((await house.deliver(delivery([text(house, "1 x")]))).body.messages, 1);
  assert.deepEqual([await countOf("ada"), await countOf("bob-dedicated")], [1, 1]);
  // Its old number is nobody's by now.
  const old = await house.deliver(delivery([text(house, "1 x")], "206540352242922"));
  assert.equal(old.body.messages, 0);
});

// Guards against two customers of one name because somebody wrote twice at once.
both("one sender is one customer, also in two messages at once", async (t, isolation) => {
  const house = await start(t, { worker: false });
  await openDeli(house, isolation);
  const sent = Array.from({ length: 6 }, () => text(house, "1 flat white"));
  await house.deliver(delivery(sent));
  await Promise.all(sent.map(({ id }) => runAnswer(house, isolation, id)));
  assert.deepEqual(await house.rows(isolation, countRows), [
    { messages: 6, orders: 6, customers: 1 },
  ]);
});

// Guards against a second order because the answer to the first could not be sent.
test("an answer that WhatsApp does not take is sent again, and orders nothing twice", async (t) => {
  const house = await start(t, { worker: false });
  await openDeli(house, "shared");
  await house.deliver(delivery([text(house, "1 flat white", { id: "wamid.again" })]));
  const { graph } = house;
  const run = () => runAnswer(house, "shared", "wamid.again");
  for (const status of [500, 429, 401]) {
    graph.answer(status, {}, '{"error":{"message":"not now"}}');
    await assert.rejects(run(), new RegExp(`WhatsApp answered ${status}: .*not now`));
  }
  graph.answer(200, {}, "{}");
  await run();
  await run();
  assert.equal(graph.received.length, 4);
  assert.equal(new Set(graph.received.map(({ body }) => body)).size, 1);
  assert.deepEqual(await house.rows("shared", countRows), [
    { messages: 1, orders: 1, customers: 1 },
  ]);
  assert.ok(!JSON.stringify(house.logs).includes("token of shared"));
});

// Guards against messages that are kept for ever, and against playing an old one back afterwards.
test("messages are forgotten after a month, and count no more by then", async (t) => {
  const house = await start(t, { worker: false });
  await openDeli(house, "shared");
  const old = text(house, "1 flat white");
  assert.equal((await house.deliver(delivery([old]))).body.messages, 1);
  const forget = async () => {
    const signal = new AbortController().signal;
    const context = { deps: house.app.depsOf("orders"), signal };
    await whatsappJobs.tasks["orders.forget_whatsapp"]?.run({}, context as never);
    return (await house.rows("shared", countRows))[0]?.messages;
  };
  const day = 86_400_000;
  house.clock.advance(29 * day);
  assert.equal(await forget(), 1);
  assert.equal((await house.deliver(delivery([old]))).body.messages, 0);
  house.clock.advance(2 * day);
  assert.equal(await forget(), 0);
  assert.equal((await house.deliver(delivery([old]))).body.messages, 0);
});

const handshake = (token: string, challenge = "1158201444") =>
  `/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=${challenge}` +
  `&hub.verify_token=${encodeURIComponent(token)}`;

// Guards against an address that Meta can't confirm, and one that anybody can.
test("the handshake gives the challenge back to whoever knows the token", async (t) => {
  const { as } = await start(t, { worker: false });
  const shown = await as().get(handshake(verifyToken));
  assert.deepEqual([shown.status, shown.text], [200, "1158201444"]);
  assert.match(shown.headers["content-type"] ?? "", /^text\/plain/);
  const unverified = "401 ERR_ORDERS_WHATSAPP_UNVERIFIED";
  assert.equal(refusal(await as().get(handshake("another"))), unverified);
  assert.equal(refusal(await as().get(handshake(appSecret))), unverified);
  const other = handshake(verifyToken).replace("subscribe", "unsubscribe");
  assert.equal(refusal(await as().get(other)), unverified);
  assert.equal((await as().get(handshake(verifyToken, "<b>"))).status, 422);
  assert.equal((await as().get("/webhooks/whatsapp")).status, 422);
});

// Guards against a door that stands open, or that shows itself, where nobody has asked for it.
test("without configuration it answers like an unknown address", async (t) => {
  const { as } = await startTestApp(t, { services: [orders] });
  const same = { "x-request-id": "same", "content-type": "application/json" };
  const body = JSON.stringify(delivery([]));
  const anonymous = ({ status, text: said }: TestResponse, path: string) =>
    `${status} ${said.replaceAll(path, "<path>")}`;
  const signed = { ...same, "x-hub-signature-256": sign(body) };
  for (const method of ["GET", "POST"]) {
    const payload = method === "POST" ? body : undefined;
    const headers = method === "POST" ? signed : { "x-request-id": "same" };
    const ask = async (path: string) =>
      anonymous(await as().raw(method, `/api/v1${path}`, payload, headers), path);
    assert.equal(await ask("/webhooks/whatsapp"), await ask("/no/such/address"), method);
  }
});

// Guards against half a configuration that is found out when the first message is lost.
test("half a configuration stops the boot, by name and without its values", async (t) => {
  const start = (env: Record<string, string>) => startTestApp(t, { services: [orders], env });
  const secret = "too-short-marker";
  await assert.rejects(
    start({ WHATSAPP_APP_SECRET: appSecret }),
    /WHATSAPP_VERIFY_TOKEN is missing/,
  );
  await assert.rejects(
    start({ WHATSAPP_APP_SECRET: "short-marker", WHATSAPP_VERIFY_TOKEN: verifyToken }),
    (error: Error) =>
      /WHATSAPP_APP_SECRET must have/.test(error.message) && !/marker/.test(error.message),
  );
  await assert.rejects(
    start({
      WHATSAPP_APP_SECRET: secret,
      WHATSAPP_VERIFY_TOKEN: verifyToken,
      WHATSAPP_GRAPH_URL: "ftp://x",
    }),
    /WHATSAPP_GRAPH_URL must be an http/,
  );
});
