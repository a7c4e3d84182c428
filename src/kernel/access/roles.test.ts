import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../errors.ts";
import { definePermissions, mergePermissions } from "./permissions.ts";
import { createRoles } from "./roles.ts";

const catalogue = mergePermissions([
  definePermissions({
    "order:read": { title: "See orders", user: "own" },
    "order:confirm": { title: "Confirm orders" },
    "order:export": { title: "Export orders", ownable: true },
    "product:read": { title: "See products", user: "all" },
  }),
  definePermissions({ "account:use": { title: "Use one's own account", everyone: true } }),
  definePermissions({ "tenant:create": { title: "Make tenants", platform: true } }),
]);
const roles = createRoles(catalogue);
const { format, intersect, assertWithin } = roles;

// Guards against a built-in role that holds more than it should.
test("the built-in roles nest: user < tenant_admin < admin", () => {
  assert.deepEqual(format(roles.resolve("user", null)), [
    "account:use",
    "order:read:own",
    "product:read",
  ]);
  assert.deepEqual(format(roles.resolve("tenant_admin", null)), [
    "account:use",
    "order:confirm",
    "order:export",
    "order:read",
    "product:read",
  ]);
  assert.equal(roles.resolve("admin", null).get("tenant:create"), "all");
  assert.equal(roles.resolve("tenant_admin", null).has("tenant:create"), false);
});

// Guards against a stored role that shadows a built-in one or reaches a platform permission.
test("stored grants change neither built-in roles nor what is the platform's", () => {
  assert.equal(roles.resolve("user", ["order:confirm"]).has("order:confirm"), false);
  const stored = ["tenant:create", "gone:verb", "order:confirm"];
  assert.deepEqual(format(roles.resolve("clerk", stored)), ["account:use", "order:confirm"]);
  assert.deepEqual(format(roles.resolve("clerk", null)), ["account:use"]);
  assert.deepEqual(format(roles.resolve("__proto__", null)), ["account:use"]);
  assert.deepEqual(format(roles.resolve("constructor", ["toString"])), ["account:use"]);
  // A key gets what it was given and nothing for being somebody.
  assert.deepEqual(format(roles.read(stored)), ["order:confirm"]);
});

// Guards against typing errors that quietly grant nothing, and against inherited object members.
test("unknown, platform and unownable grants are refused by name", () => {
  const typed = ["order:read", "nope:nope", "tenant:create", "order:confirm:own", "toString"];
  assert.throws(
    () => roles.parse(typed),
    (error) =>
      error instanceof Problem &&
      error.code === "ERR_ACCESS_UNKNOWN_PERMISSION" &&
      error.options.errors?.map((fault) => fault.path).join() ===
        "/permissions/1,/permissions/2,/permissions/3,/permissions/4",
  );
  const both = roles.parse(["order:read", "order:read:own", "order:export:own"]);
  assert.deepEqual(format(both), ["order:export:own", "order:read"]);
});

// Guards against somebody handing out what they do not hold, by scope too.
test("nobody hands out more than they have", () => {
  const holder = new Map([
    ["order:read", "own"],
    ["product:read", "all"],
  ] as const);
  const wanted = roles.parse(["order:read", "product:read"]);
  assert.throws(() => assertWithin(holder, wanted), /You do not have order:read$/);
  assertWithin(holder, roles.parse(["order:read:own"]));
  assert.throws(() => assertWithin(holder, roles.parse(["order:confirm"])), Problem);
  assert.deepEqual(format(intersect(holder, roles.parse(["order:read", "order:confirm"]))), [
    "order:read:own",
  ]);
});

// Guards against a boot with permissions that two services fight over or that read like a scope.
test("bad declarations stop the boot", () => {
  assert.throws(() => definePermissions({ "Order:read": { title: "x" } }));
  assert.throws(() => definePermissions({ "order:own": { title: "x" } }));
  assert.throws(() => definePermissions({ "a:b": { title: "x", platform: true, user: "all" } }));
  const one = definePermissions({ "a:b": { title: "x" } });
  assert.throws(() => mergePermissions([one, one]), /declared twice/);
});
