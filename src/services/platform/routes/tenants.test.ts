import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import type { TestResponse } from "#kernel/testing/client.ts";
import { platform } from "../service.ts";

const services = [platform];

const account = (slug: string) => ({
  email: "ada@example.com",
  password: "a good password",
  name: "Ada",
  tenant: { name: "Ada Ltd", slug },
});

function assertRefused(answer: TestResponse, status: number, code: string, path: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.body.code, code);
  assert.deepEqual(
    answer.body.errors.map((error: { path: string }) => error.path),
    [path],
    answer.text,
  );
}

// Guards against a slug that is refused in words that don't lead to it.
test("a slug that can't be had is refused by its place in the body that was sent", async (t) => {
  const { as, tenant } = await startTestApp(t, { services });
  await tenant("taken");
  const admin = as("acme", "admin");
  const made = await admin.post("/tenants", { name: "Big Co" });
  const rename = (slug: string) =>
    admin.patch(`/tenants/${made.body.id}`, { slug }, { "if-match": '"1"' });
  for (const [slug, status, code] of [
    ["taken", 409, "ERR_TENANCY_SLUG_TAKEN"],
    ["platform", 422, "ERR_TENANCY_RESERVED_SLUG"],
    ["admin", 422, "ERR_TENANCY_RESERVED_SLUG"],
    ["api", 422, "ERR_TENANCY_RESERVED_SLUG"],
    ["system", 422, "ERR_TENANCY_RESERVED_SLUG"],
    ["019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a", 422, "ERR_TENANCY_INVALID_SLUG"],
  ] as const) {
    const registered = await as().post("/auth/register", account(slug));
    assertRefused(registered, status, code, "/tenant/slug");
    assertRefused(await admin.post("/tenants", { name: "x", slug }), status, code, "/slug");
    assertRefused(await rename(slug), status, code, "/slug");
  }
  const system = await as().post("/auth/register", { ...account("x-y"), tenant: { name: "API" } });
  assert.equal(system.body.tenant.slug, "api-tenant");
});

// Guards against an operator who locks everybody out, with nobody left who could undo it.
test("nobody switches off or deletes the tenant that they act in", async (t) => {
  const { as, tenant } = await startTestApp(t, { services });
  const admin = as("acme", "admin");
  const { id, version } = await tenant("acme");
  const ifMatch = { "if-match": `"${version}"` };
  const off = await admin.patch(`/tenants/${id}`, { active: false }, ifMatch);
  assertRefused(off, 409, "ERR_TENANCY_OWN_TENANT", "/active");
  const gone = await admin.delete(`/tenants/${id}`);
  assert.deepEqual([gone.status, gone.body.code], [409, "ERR_TENANCY_OWN_TENANT"]);
  const renamed = await admin.patch(`/tenants/${id}`, { name: "Acme", active: true }, ifMatch);
  assert.equal(renamed.status, 200, renamed.text);
  assert.equal((await as("other", "admin").delete(`/tenants/${id}`)).status, 204);
});
