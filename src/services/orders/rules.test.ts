import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "#kernel/errors.ts";
import { allergenNames, knownAllergens } from "./rules/allergens.ts";
import { currencyExponents, knownCurrency } from "./rules/money.ts";
import { lowStockUnits, stockFellLow } from "./rules/stock.ts";

function problemOf(work: () => unknown): Problem {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof Problem);
    return error;
  }
  throw new assert.AssertionError({ message: "nothing was refused" });
}

// Guards against a label that lists allergens in the order in which somebody typed them.
test("allergens come back in the order of the fourteen, each once", () => {
  assert.deepEqual(knownAllergens([]), []);
  assert.deepEqual(knownAllergens(["molluscs", "milk", "gluten"]), ["gluten", "milk", "molluscs"]);
  assert.deepEqual(knownAllergens(["milk", "milk"]), ["milk"]);
  assert.deepEqual(knownAllergens([...allergenNames].reverse()), [...allergenNames]);
  assert.equal(allergenNames.length, 14);
});

// Guards against an allergen that is stored as text nobody looks for, and so never warned about.
test("any other allergen is refused by place and name, with the allowed ones", () => {
  for (const name of ["Milk", "milk ", "dairy", "", "constructor", "toString"]) {
    const problem = problemOf(() => knownAllergens(["eggs", name]));
    assert.equal(problem.code, "ERR_ORDERS_UNKNOWN_ALLERGEN", name);
    assert.equal(problem.status, 422);
    assert.deepEqual(
      problem.options.errors?.map((error) => error.path),
      ["/allergens/1"],
    );
    assert.match(problem.message, new RegExp(`"${name}"`));
    assert.deepEqual(problem.options.extensions?.allowed, allergenNames);
  }
});

// Guards against amounts that are shown a hundred times too large or too small.
test("currencies have the minor unit that ISO 4217 gives them", () => {
  for (const [code, exponent] of [
    ["GBP", 2],
    ["JPY", 0],
    ["KWD", 3],
    ["HUF", 2],
    ["ISK", 0],
    ["TND", 3],
  ] as const) {
    assert.equal(knownCurrency(code), code);
    assert.equal(currencyExponents.get(code), exponent, code);
  }
  assert.equal(currencyExponents.size, 155);
  for (const code of currencyExponents.keys()) assert.match(code, /^[A-Z]{3}$/);
});

// Guards against orders in money that no longer, or never, existed.
test("codes that are not money in use are refused by name", () => {
  for (const code of ["ABC", "gbp", "XXX", "XAU", "HRK", "BGN", "ANG", "", "__proto__"]) {
    const problem = problemOf(() => knownCurrency(code));
    assert.equal(problem.code, "ERR_ORDERS_UNKNOWN_CURRENCY", code);
    assert.equal(problem.options.errors?.[0]?.path, "/currency");
  }
});

// Guards against silence when stock runs out, and against an alarm for every unit after that.
test("stock is reported low when it crosses the mark downwards, once", () => {
  const table: [before: number | null, after: number | null, reported: boolean][] = [
    [lowStockUnits + 1, lowStockUnits, true],
    [100, 0, true],
    [null, 0, true],
    [null, lowStockUnits + 1, false],
    [lowStockUnits, lowStockUnits - 1, false],
    [lowStockUnits, lowStockUnits, false],
    [lowStockUnits, 100, false],
    [100, lowStockUnits + 1, false],
    [0, null, false],
    [100, null, false],
    [null, null, false],
  ];
  for (const [before, after, reported] of table) {
    assert.equal(stockFellLow(before, after), reported, `${before} -> ${after}`);
  }
});
