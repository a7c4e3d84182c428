import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../errors.ts";
import { assertKnownTypes, defineEvents, mergeEvents } from "./catalogue.ts";

const events = defineEvents({
  "order.created": { title: "An order was made" },
  "order.line.added": { title: "A line was added" },
  "shop.created": { title: "A shop was opened" },
});
const catalogue = mergeEvents([{ name: "orders", events }, { name: "quiet" }]);

// Guards against an event type of two meanings, and one that nobody could subscribe to.
test("a type is declared once, and is like order.created", () => {
  assert.ok(catalogue["webhook.ping"], "the kernel's own are among them");
  const twice = [
    { name: "orders", events },
    { name: "shops", events: { "shop.created": { title: "Again" } } },
  ];
  assert.throws(() => mergeEvents(twice), /"shop.created" of shops is declared twice/);
  for (const type of ["order", "Order.created", "order.", "order created", "a.b.".repeat(30)]) {
    assert.throws(() => defineEvents({ [type]: { title: "No" } }), /must be like/, type);
  }
});

// Guards against a subscription that silently never gets anything, for a slip of the finger.
test("an unknown type is refused with the ones that are near it", () => {
  const path = (index: number) => `/events/${index}`;
  for (const good of ["*", "order.*", "order.created", "order.line.*", "order.line.added"]) {
    assertKnownTypes(catalogue, [good], path);
  }
  const refused = (wanted: string[]): Problem => {
    try {
      assertKnownTypes(catalogue, wanted, path);
    } catch (error) {
      assert.ok(error instanceof Problem);
      return error;
    }
    throw new Error(`${wanted} was taken`);
  };
  const slip = refused(["shop.*", "order.craeted", "ordre.*"]);
  assert.equal(slip.code, "ERR_EVENTS_UNKNOWN_TYPE");
  assert.equal(slip.status, 422);
  assert.match(slip.message, /^"order.craeted" is no event type; near it are order.created, /);
  assert.deepEqual(
    slip.options.errors?.map((one) => one.path),
    ["/events/1", "/events/2"],
  );
  assert.match(slip.options.errors?.[1]?.message ?? "", /near it are order\.\*/);
  for (const bad of ["", "order", "order.**", "*.created", "toString", "x".repeat(10_000), ".*"]) {
    assert.ok(refused([bad]).message.length < 400, bad.slice(0, 20));
  }
});
