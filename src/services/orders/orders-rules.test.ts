import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Problem } from "#kernel/errors.ts";
import { createdAtOf, firstIdOf } from "./rules/ids.ts";
import {
  bookedVat,
  lineAmounts,
  sumAmounts,
  type VatRate,
  vatRates,
  vatWithin,
} from "./rules/money.ts";
import {
  allergenWarnings,
  allowedTransitions,
  amountsByVatRate,
  assertWellFormed,
  type Caller,
  lineOf,
  orderEventNames,
  orderNumber,
  orderStates,
  statesBefore,
  systemCaller,
  totalsOf,
  transitions,
} from "./rules/orders.ts";

const seeded = { seed: 20261120, numRuns: 2_000 };
const percents: Record<VatRate, bigint> = { zero: 0n, reduced: 5n, standard: 20n, exempt: 0n };

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    return error.code;
  }
  return "nothing was refused";
}

// Guards against a VAT return that is a penny off: by hand, half-way cases go to the even one.
test("VAT is within the price, and rounds half to even", () => {
  const table: [amountMinor: number, rate: VatRate, vatMinor: number][] = [
    [120, "standard", 20],
    [475, "standard", 79], // 79.166…
    [100, "standard", 17], // 16.666…
    [3, "standard", 0], // 0.5: to 0
    [9, "standard", 2], // 1.5: to 2
    [15, "standard", 2], // 2.5: to 2
    [21, "standard", 4], // 3.5: to 4
    [-3, "standard", 0],
    [-9, "standard", -2],
    [-15, "standard", -2],
    [105, "reduced", 5],
    [100, "reduced", 5], // 4.76…
    [52, "reduced", 2], // 2.476…
    [53, "reduced", 3], // 2.523…
    [999, "zero", 0],
    [999, "exempt", 0],
    [0, "standard", 0],
    [Number.MAX_SAFE_INTEGER, "standard", 1_501_199_875_790_165],
    [Number.MIN_SAFE_INTEGER, "standard", -1_501_199_875_790_165],
  ];
  for (const [amountMinor, rate, vatMinor] of table) {
    assert.equal(vatWithin(amountMinor, rate), vatMinor, `${amountMinor} ${rate}`);
  }
});

// Guards against rounding that is further from the truth than half a penny, or not symmetrical.
test("VAT is the nearest whole amount, for any amount", () => {
  const amounts = fc.maxSafeInteger();
  fc.assert(
    fc.property(amounts, fc.constantFrom(...vatRates), (amountMinor, rate) => {
      const vat = BigInt(vatWithin(amountMinor, rate));
      const [dividend, divisor] = [BigInt(amountMinor) * percents[rate], 100n + percents[rate]];
      const twiceOff = 2n * (dividend - vat * divisor);
      const size = twiceOff < 0n ? -twiceOff : twiceOff;
      assert.ok(size < divisor || (size === divisor && vat % 2n === 0n));
      assert.equal(vatWithin(-amountMinor, rate), 0 - Number(vat));
    }),
    seeded,
  );
});

const arbitraryLine = fc
  .record({
    priceMinor: fc.integer({ min: 0, max: 100_000_000 }),
    vatRate: fc.constantFrom(...vatRates),
    quantity: fc.integer({ min: 1, max: 10_000 }),
  })
  .map(({ priceMinor, vatRate, quantity }) =>
    lineOf({ id: "p", title: "P", priceMinor, vatRate, allergens: [] }, quantity),
  );

// Guards against totals that are not the sum of what is shown, and a ledger that is not the order.
test("lines, totals and ledger entries sum to each other exactly", () => {
  fc.assert(
    fc.property(fc.array(arbitraryLine, { minLength: 1, maxLength: 100 }), (lines) => {
      const totals = totalsOf(lines);
      const sum = (amounts: number[]) => amounts.reduce((all, one) => all + one, 0);
      assert.equal(
        totals.totalMinor,
        sum(lines.map((line) => line.unitPriceMinor * line.quantity)),
      );
      assert.equal(totals.vatMinor, sum(lines.map((line) => line.vatMinor)));
      assert.equal(totals.netMinor + totals.vatMinor, totals.totalMinor);
      const booked = amountsByVatRate(lines);
      assert.equal(sum(booked.map((entry) => entry.amountMinor)), totals.totalMinor);
      assert.equal(sum(booked.map((entry) => entry.vatMinor)), totals.vatMinor);
      assert.equal(new Set(booked.map((entry) => entry.vatRate)).size, booked.length);
      for (const { amountMinor, vatRate, vatMinor } of booked) {
        const back = { amountMinor: 0 - amountMinor, vatRate, vatMinor: 0 - vatMinor };
        assert.equal(bookedVat(back), back.vatMinor, "any of them can be taken back");
      }
    }),
    seeded,
  );
});

// Guards against sums that silently lose pennies beyond 2^53.
test("an amount that JSON can't say exactly is refused", () => {
  const most = Number.MAX_SAFE_INTEGER;
  assert.deepEqual(lineAmounts(most, 1, "zero"), { totalMinor: most, vatMinor: 0 });
  assert.equal(sumAmounts([most - 1, 1]), most);
  assert.equal(
    codeOf(() => sumAmounts([most, 1])),
    "ERR_ORDERS_TOTAL_TOO_LARGE",
  );
  assert.equal(
    codeOf(() => lineAmounts(most, 2, "zero")),
    "ERR_ORDERS_TOTAL_TOO_LARGE",
  );
});

// Guards against a state that can't be left, reached or explained.
test("the transitions are those of an order's life", () => {
  const moves = orderEventNames.flatMap((event) =>
    transitions[event].from.map((from) => `${from} -${event}> ${transitions[event].to}`),
  );
  assert.deepEqual(moves.sort(), [
    "confirmed -cancel> cancelled",
    "confirmed -start-preparation> preparing",
    "draft -cancel> cancelled",
    "draft -submit> pending",
    "pending -cancel> cancelled",
    "pending -confirm> confirmed",
    "preparing -cancel> cancelled",
    "preparing -mark-ready> ready",
    "ready -cancel> cancelled",
    "ready -complete> completed",
  ]);
});

// Guards against buttons that do nothing, and against a user who may do more than it should.
test("what is allowed depends on the state, the permission and whose order it is", () => {
  const mine = (state: (typeof orderStates)[number]) => ({ state, ownerId: "me" });
  const scopes: Record<string, "own"> = { "order:submit": "own", "order:cancel": "own" };
  const user: Caller = { id: "me", scopeOf: (permission) => scopes[permission] };
  const other: Caller = { ...user, id: "other" };
  const nobody: Caller = { id: "me", scopeOf: () => undefined };
  const table = {
    draft: [
      ["submit", "cancel"],
      ["submit", "cancel"],
    ],
    pending: [["confirm", "cancel"], ["cancel"]],
    confirmed: [["start-preparation", "cancel"], []],
    preparing: [["mark-ready", "cancel"], []],
    ready: [["complete", "cancel"], []],
    completed: [[], []],
    cancelled: [[], []],
  };
  for (const state of orderStates) {
    const [all, own] = table[state];
    assert.deepEqual(allowedTransitions(mine(state), systemCaller), all, state);
    assert.deepEqual(allowedTransitions(mine(state), user), own, state);
    assert.deepEqual(allowedTransitions(mine(state), other), [], state);
    assert.deepEqual(allowedTransitions(mine(state), nobody), [], state);
  }
  assert.deepEqual(statesBefore("cancel", user), ["draft", "pending"]);
  assert.deepEqual(statesBefore("confirm", user), []);
});

// Guards against an order whose price somebody sent, and against nonsense that is summed up.
test("what a body may not say is refused by its own code, at every place of it", () => {
  const item = { productId: "a", quantity: 1 };
  const refused = (body: object, items: object[]) =>
    codeOf(() => assertWellFormed(body, items as (typeof item)[]));
  for (const name of ["totalMinor", "netMinor", "vatMinor"]) {
    assert.equal(refused({ [name]: 0 }, [item]), "ERR_ORDERS_TOTALS_ARE_COMPUTED");
  }
  for (const name of ["unitPriceMinor", "totalMinor", "vatMinor", "title", "vatRate"]) {
    assert.equal(refused({}, [{ ...item, [name]: null }]), "ERR_ORDERS_TOTALS_ARE_COMPUTED");
  }
  for (const quantity of [0, -1, 1.5, 10_001, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) {
    assert.equal(refused({}, [{ ...item, quantity }]), "ERR_ORDERS_BAD_QUANTITY", `${quantity}`);
  }
  assert.equal(refused({}, [item, { ...item, productId: "A" }]), "ERR_ORDERS_DUPLICATE_LINE");
  assert.doesNotThrow(() => assertWellFormed({}, [item, { productId: "b", quantity: 10_000 }]));
});

// Guards against a warning that is missing, or that cries about what the customer may eat.
test("a warning names the line and only what the customer must not eat", () => {
  const line = { productId: "p", title: "Cake", allergens: ["eggs", "nuts"] as const };
  const lines = [{ ...line, allergens: [...line.allergens] }];
  assert.deepEqual(allergenWarnings(lines, ["nuts", "milk"]), [
    { productId: "p", title: "Cake", allergens: ["nuts"] },
  ]);
  assert.deepEqual(allergenWarnings(lines, ["milk"]), []);
  assert.deepEqual(allergenWarnings(lines, []), []);
});

// Guards against numbers that can't be called out, or that depend on the place of the server.
test("a number is the day in UTC and five letters that nobody misreads", () => {
  const bytes = Uint8Array.from([0, 31, 32, 255, 18]);
  assert.equal(orderNumber("2026-11-20T23:59:59.999Z", bytes), "261120-0Z0ZJ");
  const all = orderNumber(
    "2026-01-01T00:00:00Z",
    Uint8Array.from({ length: 5 }, (_, n) => n * 7),
  );
  assert.match(all, /^260101-[0-9A-HJKMNP-TV-Z]{5}$/);
});

// Guards against a range of time that misses what was made at its edges.
test("an id tells its moment, and the first id of a moment sorts before all of it", () => {
  const id = "019b76da-a87b-7fff-bfff-ffffffffffff";
  assert.equal(createdAtOf(id), "2026-01-01T00:00:00.123000Z");
  assert.equal(createdAtOf("019b76da-a800-7000-8000-000000000000"), "2026-01-01T00:00:00.000000Z");
  assert.ok(firstIdOf("2026-01-01T00:00:00.123000Z", "query/from") <= id);
  assert.ok(firstIdOf("2026-01-01T00:00:00.124Z", "query/to") > id);
  assert.equal(firstIdOf("1960-01-01T00:00:00Z", "query/from").slice(0, 8), "00000000");
  assert.equal(
    firstIdOf("2026-01-01T01:00:00+01:00", "query/from"),
    firstIdOf("2026-01-01T00:00:00Z", "query/from"),
  );
  assert.equal(
    codeOf(() => firstIdOf("2026-12-31T23:59:60Z", "query/from")),
    "ERR_REQUEST_INVALID",
  );
});
