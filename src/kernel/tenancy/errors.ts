import { defineErrors } from "../errors.ts";

export const tenancyErrors = defineErrors("tenancy", {
  slug_taken: { status: 409, title: "Another tenant has this slug" },
  invalid_slug: { status: 422, title: "The slug is not valid" },
  reserved_slug: { status: 422, title: "The slug is kept for the platform" },
  own_tenant: { status: 409, title: "Nobody closes the tenant that they act in" },
  dedicated_unavailable: { status: 409, title: "This server can't make dedicated tenants" },
});
