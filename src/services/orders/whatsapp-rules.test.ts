import assert from "node:assert/strict";
import { test } from "node:test";
import { readDelivery } from "./rules/whatsapp-messages.ts";
import { helpReply, orderReply, refusedReply, unknownReply } from "./rules/whatsapp-replies.ts";
import { type Offered, understandPicked, understandText } from "./rules/whatsapp-text.ts";

const titles = [
  "Brie & Cranberry Baguette",
  "Ham & Cheddar Sandwich",
  "Ham, Egg and Chips",
  "Flat White",
  "Flat White, large",
  "Somerset Dry Cider 500 ml",
  "7 Up",
  "Crème Brûlée",
  "Scotch Egg",
];
const menu: Offered[] = titles.map((title, at) => ({ id: String(at), sku: `SKU-${at}`, title }));

/** "2 Flat White; ? bagel (Baguette)" */
function told(text: string): string {
  const { lines, unknown, isOrder, isTooLong } = understandText(text, menu);
  const parts = [
    ...lines.map(({ product, quantity }) => `${quantity} ${product.title}`),
    ...unknown.map(({ name, near }) => `? ${name} (${near.join("|")})`),
    ...(isTooLong ? ["too long"] : []),
  ];
  return isOrder || isTooLong ? parts.join("; ") : "no order";
}

// Guards against orders for what nobody asked for, and against asking back what is plain.
test("a text is read as the products that it names, in the ways that people write", () => {
  const cases: Record<string, string> = {
    "2 x brie cranberry baguette, 1 scotch egg": "2 Brie & Cranberry Baguette; 1 Scotch Egg",
    "Hi! Can I have 2 brie baguettes please": "2 Brie & Cranberry Baguette",
    "I'd like a ham & cheddar sandwich and two scotch eggs, thanks":
      "1 Ham & Cheddar Sandwich; 2 Scotch Egg",
    "scotch egg x 3\n3x scotch egg": "6 Scotch Egg",
    "creme brulee": "1 Crème Brûlée",
    "7 up": "1 7 Up",
    "2 7 up": "2 7 Up",
    "somerset dry cider 500 ml": "1 Somerset Dry Cider 500 ml",
    "4 sku-3": "4 Flat White",
    "1 flat white": "1 Flat White",
    "12 FLAT WHITES": "12 Flat White",
    "three large flat whites": "3 Flat White, large",
    "order: twelve flat white; please": "12 Flat White",
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(told(text), expected, text);
});

// Guards against guessing: what is only similar, or fits several, is asked back with what is near.
test("what is not known is asked back with what is most like it", () => {
  const cases: Record<string, string> = {
    "2 bri bagette": "? bri bagette (Brie & Cranberry Baguette)",
    "1 flat white, 1 flt whte": "1 Flat White; ? flt whte (Flat White|Flat White, large)",
    "2 ham": "? ham (Ham & Cheddar Sandwich|Ham, Egg and Chips)",
    "1 zzyzx": "? zzyzx ()",
    "1.5 scotch egg": "? 1.5 scotch egg (Scotch Egg)",
    "what time do you open?": "no order",
    "I have a question": "no order",
    hello: "no order",
    "": "no order",
    "👍": "no order",
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(told(text), expected, text);
  assert.equal(told(Array(51).fill("1 scotch egg").join("\n")), "50 Scotch Egg; too long");
  assert.match(told(Array(60).fill("1 scotch egg").join(" and ")), /too long$/);
});

// Guards against a question that can't be answered: which of two things of one name is meant.
test("products of one title are told apart by SKU, in a way that can be sent back", () => {
  const twins: Offered[] = [
    { id: "1", sku: "FLAT", title: "Flat White" },
    { id: "2", sku: "FLAT-L", title: "flat white" },
    { id: "3", sku: "TEA", title: "Tea" },
  ];
  const near = (text: string) => understandText(text, twins).unknown[0]?.near;
  assert.deepEqual(near("2 flat white"), ["Flat White (FLAT)", "flat white (FLAT-L)"]);
  assert.deepEqual(near("2 flt white"), ["Flat White (FLAT)", "flat white (FLAT-L)"]);
  assert.deepEqual(near("1 teaa"), ["Tea"]);
  for (const [text, id] of [
    ["2 x Flat White (FLAT)", "1"],
    ["flat white (FLAT-L)", "2"],
    ["2 flat-l", "2"],
  ] as const) {
    const { lines, unknown } = understandText(text, twins);
    assert.deepEqual([lines.map(({ product }) => product.id), unknown], [[id], []], text);
  }
});

// Guards against a message that keeps the server busy: reading takes time in step with the text.
test("hostile texts are read in bounded time", () => {
  const many = Array.from({ length: 2_000 }, (_, at) => ({
    id: String(at),
    sku: `S-${at}`,
    title: `Product number ${at} with quite a few words in its title`,
  }));
  const texts = [
    "a and ".repeat(682),
    "please ".repeat(585),
    "hi, ".repeat(1_024),
    "1 x ".repeat(1_024),
    "x".repeat(4_096),
    Array.from({ length: 400 }, (_, at) => `${at} unknwn${at} thng`).join(","),
  ];
  for (const text of texts) {
    const startMs = performance.now();
    understandText(text, many);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 1_000, `${Math.round(tookMs)} ms for ${text.slice(0, 20)}…`);
  }
});

// Guards against a catalogue order that is filled up with something else.
test("what was picked from the catalogue is found by SKU and by nothing else", () => {
  const picked = [
    { name: "SKU-8", quantity: 1 },
    { name: "SKU-3", quantity: 2 },
    { name: "SKU-8", quantity: 3 },
    { name: "Scotch Egg", quantity: 1 },
    { name: "sku-3", quantity: 1 },
  ];
  const { lines, unknown } = understandPicked(picked, menu);
  assert.deepEqual(
    lines.map(({ product, quantity }) => [product.sku, quantity]),
    [
      ["SKU-8", 4],
      ["SKU-3", 2],
    ],
  );
  assert.deepEqual(
    unknown.map(({ name }) => name),
    ["Scotch Egg", "sku-3"],
  );
});

const nowMs = Date.UTC(2026, 10, 20);
const seconds = String(nowMs / 1_000);

function delivery(message: object, value: object = {}, field = "messages") {
  const full = { id: "wamid.1", from: "447700900123", timestamp: seconds, ...message };
  return {
    object: "whatsapp_business_account",
    entry: [
      {
        id: "1",
        changes: [
          {
            field,
            value: {
              messaging_product: "whatsapp",
              metadata: { display_phone_number: "44", phone_number_id: "106" },
              contacts: [{ profile: { name: "  Ann \n O'Brien " }, wa_id: "447700900123" }],
              messages: [full],
              ...value,
            },
          },
        ],
      },
    ],
  };
}

const text = { type: "text", text: { body: "2 x brie" } };
const item = { product_retailer_id: "A-1", quantity: 2, item_price: 5.95, currency: "GBP" };

// Guards against a message that is read as something else than what was sent.
test("texts and catalogue orders are read out of a delivery", () => {
  const common = {
    phoneNumberId: "106",
    id: "wamid.1",
    sender: "+447700900123",
    senderName: "Ann O'Brien",
  };
  assert.deepEqual(readDelivery(delivery(text), nowMs), [
    { ...common, content: { kind: "text", text: "2 x brie" } },
  ]);
  const order = { type: "order", order: { text: "no salt", product_items: [item] } };
  const items = [{ sku: "A-1", quantity: 2, price: 5.95, currency: "GBP" }];
  assert.deepEqual(readDelivery(delivery(order), nowMs), [
    { ...common, content: { kind: "order", items, note: "no salt" } },
  ]);
  const picture = { type: "image", image: { id: "1" } };
  assert.deepEqual(readDelivery(delivery(picture), nowMs), [
    { ...common, content: { kind: "other" } },
  ]);
  const nul = { type: "text", text: { body: "a\0b\ud800" } };
  assert.deepEqual(readDelivery(delivery(nul), nowMs)[0]?.content, {
    kind: "text",
    text: "ab\ufffd",
  });
});

// Guards against acting on what is no message of a customer, and against falling over it.
test("statuses, reactions, old messages and odd shapes are left out", () => {
  const day = 86_400;
  const left = [
    delivery(text, { messages: undefined, statuses: [{ id: "wamid.1", status: "read" }] }),
    delivery({ type: "reaction", reaction: { emoji: "👍" } }),
    delivery({ type: "system" }),
    delivery(text, {}, "account_update"),
    delivery({ ...text, timestamp: String(nowMs / 1_000 - 8 * day) }),
    delivery({ ...text, timestamp: "soon" }),
    delivery({ ...text, from: "' or 1=1" }),
    delivery({ ...text, id: "" }),
    delivery({ ...text, id: 7 }),
    delivery(text, { metadata: { phone_number_id: "a" } }),
    delivery(text, { metadata: null }),
    delivery({ type: "text", text: "2 x brie" }),
    null,
    7,
    "x",
    [],
    {},
    { entry: {} },
    { entry: [{ changes: [null, 7] }] },
  ];
  for (const payload of left) {
    assert.deepEqual(readDelivery(payload, nowMs), [], JSON.stringify(payload));
  }
  const odd = [
    undefined,
    null,
    [],
    [{}],
    [{ ...item, quantity: 1.5 }],
    [{ ...item, quantity: "x" }],
  ];
  for (const items of odd) {
    const [message] = readDelivery(
      delivery({ type: "order", order: { product_items: items } }),
      nowMs,
    );
    assert.deepEqual(message?.content, { kind: "other" }, JSON.stringify(items));
  }
  const same = { ...text, id: "m", from: "4412345678", timestamp: seconds };
  const many = delivery(text, { messages: Array.from({ length: 1_100 }, () => same) });
  assert.equal(readDelivery(many, nowMs).length, 1_000);
});

// Guards against answers that hide what is to be paid or what somebody must not eat.
test("an answer says what was ordered, what it costs and what it contains", () => {
  const order = {
    number: "261120-7K3QF",
    currency: "GBP",
    totalMinor: 1_550,
    items: [
      { title: "Brie Baguette", quantity: 2, totalMinor: 1_190 },
      { title: "Flat White", quantity: 1, totalMinor: 360 },
    ],
    allergenWarnings: [{ title: "Brie Baguette", allergens: ["gluten", "milk"] }],
  };
  const newPrices = [{ title: "Flat White", unitPriceMinor: 360 }];
  assert.equal(
    orderReply(order, { shopName: "O'Brien's", newPrices }),
    `Thank you. This is order 261120-7K3QF at O'Brien's:
2 × Brie Baguette: £11.90
1 × Flat White: £3.60
Total £15.50, VAT included.
Flat White costs £3.60 by now.
Please note: Brie Baguette contains gluten, milk.
The shop will look at it and confirm.`,
  );
  const lines = Array.from({ length: 100 }, () => ({
    title: "x".repeat(255),
    quantity: 10_000,
    totalMinor: 1,
  }));
  const long = orderReply({ ...order, items: lines }, { shopName: "S", newPrices: [] });
  assert.ok(long.length <= 4_096);
  assert.match(
    unknownReply({
      lines: [],
      unknown: [
        { name: "bri", near: ["Brie", "Brioche", "Bread"] },
        { name: "zz", near: [] },
      ],
      isOrder: true,
      isTooLong: false,
    }),
    /"bri"\. Did you mean Brie, Brioche or Bread\?\nSorry, we don't know "zz"\.\nNothing has/,
  );
  assert.match(helpReply(), /2 x brie baguette/);
  assert.match(refusedReply("Too much."), /could not take that order\. Too much\./);
});
