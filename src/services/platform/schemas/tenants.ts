import { Type } from "typebox";
import { changesOf, Id, newOf, pageOf, stamps, strict } from "#kernel/http/schemas.ts";
import { Slug, tenantName } from "./auth.ts";

const members = {
  name: tenantName,
  slug: Slug,
  active: Type.Boolean({ description: "False locks everybody out.", examples: [true] }),
};

const isolation = Type.Enum(["shared", "dedicated"], {
  description: "Rows beside other tenants', or PostgreSQL schemas of its own.",
  examples: ["shared"],
});

export const Tenant = strict({ id: Id, ...members, isolation, ...stamps }, { title: "Tenant" });

export const TenantPage = pageOf(Tenant, { title: "TenantPage" });

export const NewTenant = newOf({ ...members, isolation }, ["name"], {
  title: "NewTenant",
  examples: [{ name: "Ada Ltd", isolation: "shared" }],
});

export const TenantChanges = changesOf(members, {
  title: "TenantChanges",
  examples: [{ name: "Ada & Co" }],
});
