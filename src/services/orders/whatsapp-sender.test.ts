import assert from "node:assert/strict";
import { test } from "node:test";
import { makeCustomer } from "./fixture.ts";
import { both } from "./fixtures/both.ts";
import {
  answered,
  delivery,
  type House,
  openDeli,
  replies,
  runAnswer,
  start,
  text,
} from "./fixtures/whatsapp.ts";
import { phoneForms, writerAmong } from "./rules/phones.ts";
import { findCustomersByPhone } from "./store/whatsapp.ts";

/** Ways in which people type +44 7700 900123. */
const typed = [
  "+447700900123",
  "+44 7700 900123",
  "+44 (0)7700 900123",
  "+44(0) 7700-900-123",
  "(+44) 7700 900123",
  "(+44) (0) 7700 900123",
  "+44 07700 900123",
  "0044 7700 900123",
  "0044 (0)7700 900 123",
  "00 44 7700.900.123",
  "07700 900123",
  "07700-900123",
  "(07700) 900 123",
  "(0)7700 900123",
  "07700/900123",
  "07700\u2011900\u2011123",
  "\u202a+44\u00a07700\u00a0900123\u202c",
  "447700900123",
  "44 7700 900123",
  "7700 900123",
];

const others = [
  "+44 7700 900124",
  "+1 7700 900123",
  "+49 7700 900123",
  "0049 7700 900123",
  "+44 7700 9001234",
  "7700 900 12",
  "900123",
  "123",
];

const anns = { phone: "+447700900123", country: "44" };

// Guards against a regular's allergens being overlooked because of how somebody typed a number.
both("a customer is found by number however it was typed", async (t, isolation) => {
  const house = await start(t, { worker: false });
  const admin = house.as(isolation, "tenant_admin");
  const { db } = house.app.depsOf("orders");
  const tenant = await house.tenant(isolation);
  const found = () => db.inTenant(tenant, (tx) => findCustomersByPhone(tx, anns));
  const customer = await makeCustomer(admin, { name: "Ann", allergenRestrictions: ["nuts"] });
  let { version } = customer;
  const retype = async (phone: string) => {
    const headers = { "if-match": `"${version}"` };
    const changed = await admin.patch(`/customers/${customer.id}`, { phone }, headers);
    assert.equal(changed.status, 200, changed.text);
    version += 1;
  };
  const ann = { id: customer.id, name: "Ann", active: true, allergenRestrictions: ["nuts"] };
  for (const phone of typed) {
    await retype(phone);
    assert.deepEqual(await found(), [{ ...ann, isPlain: true }], phone);
  }
  for (const phone of others) {
    await retype(phone);
    assert.deepEqual(await found(), [], phone);
  }
  // What holds the number among others is no proof, and is not overlooked either.
  for (const phone of [
    "07700 900123 / 020 7946 0018",
    "07700 900123 ext. 4",
    "mob: +44 7700 900123",
  ]) {
    await retype(phone);
    assert.deepEqual(await found(), [{ ...ann, isPlain: false }], phone);
  }
  await retype("ask at the door, 020 7946 0018");
  assert.deepEqual(await found(), []);
});

// Guards against numbers of other countries being read as British ones, where that is not home.
test("a number without a country is one of the tenant's country", () => {
  const reads = (phone: string, country: string, digits: string) =>
    phoneForms(phone, country).includes(digits);
  assert.ok(reads("+493012345678", "49", "03012345678"));
  assert.ok(!reads("+493012345678", "44", "03012345678"));
  assert.ok(reads("+12025550123", "1", "2025550123"));
  assert.ok(reads("+447700900123", "1", "011447700900123"));
  assert.ok(!reads("+447700900123", "1", "07700900123"));
  // Italy keeps its 0 abroad; Russia dials 8, Hungary 06.
  assert.ok(reads("+390612345678", "39", "0612345678"));
  assert.ok(reads("+79261234567", "7", "89261234567"));
  assert.ok(reads("+36201234567", "36", "06201234567"));
});

// Guards against somebody else's allergens being looked at, chosen by whoever came first.
test("only who alone has the number plainly, and orders still, is taken for the writer", () => {
  const ann = { id: "1", name: "Ann", active: true, isPlain: true, allergenRestrictions: [] };
  const bob = { ...ann, id: "2", name: "Bob", allergenRestrictions: ["nuts", "milk"] as const };
  const noteOf = (matches: Parameters<typeof writerAmong>[0]) => {
    const writer = writerAmong(matches);
    return writer.kind === "unclear" ? writer.note : writer.kind;
  };
  assert.deepEqual(writerAmong([ann]), { kind: "known", customerId: "1" });
  assert.equal(noteOf([]), "new");
  assert.match(noteOf([ann, bob]), /for Ann, Bob \(must not eat nuts, milk\)\. Choose/);
  assert.match(noteOf([{ ...bob, active: false }]), /Bob \(retired; must not eat nuts, milk\)/);
  assert.match(noteOf([{ ...ann, isPlain: false }]), /for Ann \(among others\)\./);
  assert.match(noteOf([ann, { ...bob, active: false }]), /Ann, Bob \(retired;/);
  assert.match(noteOf([ann, ann, ann, ann, ann, ann]), /Ann, Ann, Ann, Ann, Ann, and others\./);
});

async function orderOf(house: House, slug: string) {
  const sent = text(house, "1 brie baguette");
  await house.deliver(delivery([sent]));
  await runAnswer(house, slug, sent.id);
  const { items } = (await house.as(slug, "tenant_admin").get("/orders?limit=1")).body;
  return items[0];
}

// Guards against an order that is one person's for the system and another's at the counter.
both("where the sender may be several, staff choose, and see why", async (t, isolation) => {
  const house = await start(t, { worker: false });
  const { admin } = await openDeli(house, isolation);
  const ada = await makeCustomer(admin, { name: "Ada", phone: "07700 900123" });
  assert.equal((await orderOf(house, isolation)).customerId, ada.id);
  const bob = { name: "Bob", phone: "+44 7700 900123", allergenRestrictions: ["milk"] };
  await makeCustomer(admin, bob);
  const unclear = await orderOf(house, isolation);
  assert.deepEqual(
    [unclear.customerId, unclear.customerName, unclear.customerPhone],
    [null, "Ann", "+447700900123"],
  );
  assert.match(unclear.notes, /^No customer was chosen: .*Ada, Bob \(must not eat milk\)\./);
  assert.match(unclear.notes, /\n\n1 brie baguette$/);
  assert.equal((await admin.get("/customers")).body.items.length, 2, "nobody was written down");
  for (const reply of replies(house)) assert.doesNotMatch(reply, /Ada|Bob/);
  // The setting moves what is at home: by then neither number without a country is hers.
  await house.choose(isolation, { "orders.phone_country_code": "49" });
  assert.notEqual((await orderOf(house, isolation)).customerId, ada.id);
});

// Guards against people who are written down although they have ordered nothing.
both("a refused order leaves nobody and nothing behind", async (t, isolation) => {
  const house = await start(t);
  const { admin } = await openDeli(house, isolation);
  await house.deliver(delivery([text(house, "99999 flat whites")]));
  await answered(house, 1);
  assert.match(replies(house)[0] as string, /could not take that order\. A quantity is a whole/);
  assert.deepEqual((await admin.get("/customers")).body.items, []);
  assert.deepEqual((await admin.get("/orders")).body.items, []);
  const types = (await house.events(isolation)).map(({ type }) => type);
  assert.ok(!types.includes("customer.created"), types.join());
});
