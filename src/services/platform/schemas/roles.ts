import { Type } from "typebox";
import { changesOf, line, ListQuery, pageOf, stamps, strict } from "#kernel/http/schemas.ts";
import { Grants } from "./api-keys.ts";

const name = Type.String({
  pattern: "^[a-z][a-z0-9_]{1,39}$",
  description: "Unique in the tenant, and not a built-in role.",
  examples: ["clerk"],
});

const members = { name, title: line(200, "For people.", "Order clerk"), permissions: Grants };

export const ByRole = strict({ name });

export const Role = strict({ ...members, ...stamps }, { title: "Role" });

export const RolePage = pageOf(Role, { title: "RolePage" });
export const NewRole = strict(members, { title: "NewRole" });

export const RoleChanges = changesOf(
  { title: members.title, permissions: Grants },
  { title: "RoleChanges", examples: [{ permissions: ["order:read"] }] },
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
