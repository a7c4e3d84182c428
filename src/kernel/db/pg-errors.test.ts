import assert from "node:assert/strict";
import { test } from "node:test";
import { onUniqueViolation } from "./pg-errors.ts";

const violation = (constraint: string, code = "23505") =>
  Object.assign(new Error("duplicate key"), { code, severity: "ERROR", constraint });

// Guards against a caller who is told of a taken name when something else went wrong.
test("only the named unique constraint becomes the problem", async () => {
  const taken = new Error("taken");
  const failing = async (reason: unknown) => {
    throw reason;
  };
  const write = (reason: unknown) =>
    failing(reason).catch(onUniqueViolation("shop_name_taken", () => taken));
  await assert.rejects(write(violation("shop_name_taken")), taken);
  const others = [
    violation("shop_pkey"),
    violation("shop_name_taken", "23514"),
    new Error("shop_name_taken"),
    null,
  ];
  for (const other of others) {
    await assert.rejects(write(other), (thrown) => thrown === other);
  }
});
