import { Type } from "typebox";
import { ListQuery, pageOf, strict, Timestamp, Version } from "#kernel/http/schemas.ts";
import { Grants } from "./api-keys.ts";
import { OneLine } from "./auth.ts";

const name = Type.String({
  pattern: "^[a-z][a-z0-9_]{1,39}$",
  description: "Unique in the tenant, and not a built-in role.",
  examples: ["clerk"],
});

const members = { name, title: OneLine(200, "Order clerk"), permissions: Grants };

export const ByRole = strict({ name });

export const Role = strict(
  { ...members, version: Version, createdAt: Timestamp, updatedAt: Timestamp },
  { title: "Role" },
);

export const RolePage = pageOf(Role, { title: "RolePage" });
export const NewRole = strict(members, { title: "NewRole" });

export const RoleChanges = strict(
  { title: Type.Optional(members.title), permissions: Type.Optional(Grants) },
  { title: "RoleChanges", minProperties: 1, examples: [{ permissions: ["order:read"] }] },
);

export const Permission = strict(
  {
    name: Type.String({ examples: ["order:confirm"] }),
    title: Type.String({ examples: ["Confirm orders"] }),
    ownable: Type.Boolean({ description: "May be limited to one's own with `:own`." }),
  },
  { title: "Permission" },
);

export const Permissions = strict(
  { items: Type.Array(Permission, { maxItems: 1_000 }) },
  { title: "Permissions" },
);

export const RoleQuery = ListQuery;
