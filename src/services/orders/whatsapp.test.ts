import assert from "node:assert/strict";
import { test } from "node:test";
import { makeCustomer } from "./fixture.ts";
import { both } from "./fixtures/both.ts";
import {
  answered,
  countRows,
  delivery,
  message,
  number,
  openDeli,
  picked,
  replies,
  runAnswer,
  sender,
  start,
  text,
} from "./fixtures/whatsapp.ts";
import { whatsappJobs } from "./jobs/whatsapp.ts";

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
