import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../errors.ts";
import { assertSlug, slugOf } from "./slugs.ts";

// Guards against names of which no valid slug can be made.
test("a slug is made of any name and is always one", () => {
  assert.equal(slugOf("Häfen & Söhne"), "hafen-sohne");
  assert.equal(slugOf("  J'Toye OaaS!  "), "j-toye-oaas");
  assert.equal(slugOf("港口"), "tenant");
  assert.equal(slugOf("x"), "tenant");
  assert.equal(slugOf("---"), "tenant");
  assert.equal(slugOf("019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a"), "tenant");
  assert.equal(slugOf("a b", "f00d"), "a-b-f00d");
  for (const name of ["", "a".repeat(300), "ab ".repeat(100), "ﬁ", "İstanbul", "\u0000<script>"]) {
    assertSlug(slugOf(name));
    assertSlug(slugOf(name, "abc123"));
  }
});

// Guards against slugs that are no host name, or that read like a tenant's id.
test("typed slugs are checked", () => {
  for (const good of ["ab", "a1", "acme-ltd", "0-0", "a".repeat(63)]) assertSlug(good);
  const bad = ["", "a", "-ab", "ab-", "Ab", "a_b", "a.b", "a b", "ä-b", "a".repeat(64)];
  for (const slug of [...bad, "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a", "ab\n"]) {
    assert.throws(() => assertSlug(slug), { code: "ERR_TENANCY_INVALID_SLUG" }, slug);
  }
});

// Guards against a tenant whose address reads like a part of the platform.
test("a reserved slug is refused, and none is made of a name", () => {
  for (const slug of ["platform", "admin", "api", "system", "www"]) {
    assert.throws(
      () => assertSlug(slug, "/tenant/slug"),
      (error) => {
        assert.ok(error instanceof Problem);
        assert.equal(error.code, "ERR_TENANCY_RESERVED_SLUG");
        assert.deepEqual(
          error.options.errors?.map(({ path }) => path),
          ["/tenant/slug"],
        );
        return true;
      },
    );
    assertSlug(slugOf(slug.toUpperCase()));
    assertSlug(`${slug}-ltd`);
  }
  assert.equal(slugOf("API"), "api-tenant");
});
