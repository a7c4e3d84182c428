import { Type } from "typebox";
import { Id, pageOf, strict, Timestamp, Version } from "#kernel/http/schemas.ts";
import { OneLine, Slug } from "./auth.ts";

const members = {
  name: OneLine(200, "Ada Ltd"),
  slug: Slug,
  active: Type.Boolean({ description: "False locks everybody out.", examples: [true] }),
};

const isolation = Type.Enum(["shared", "dedicated"], {
  description: "Rows beside other tenants', or PostgreSQL schemas of its own.",
  examples: ["shared"],
});

export const Tenant = strict(
  { id: Id, ...members, isolation, version: Version, createdAt: Timestamp, updatedAt: Timestamp },
  { title: "Tenant" },
);

export const TenantPage = pageOf(Tenant, { title: "TenantPage" });

export const NewTenant = strict(
  {
    name: members.name,
    slug: Type.Optional(members.slug),
    isolation: Type.Optional(isolation),
    active: Type.Optional(members.active),
  },
  { title: "NewTenant", examples: [{ name: "Ada Ltd", isolation: "shared" }] },
);

export const TenantChanges = strict(
  {
    name: Type.Optional(members.name),
    slug: Type.Optional(members.slug),
    active: Type.Optional(members.active),
  },
  { title: "TenantChanges", minProperties: 1, examples: [{ name: "Ada & Co" }] },
);
