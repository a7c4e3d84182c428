import { Type } from "typebox";
import { changesOf, line, pageOf, stamps, strict } from "#kernel/http/schemas.ts";
import { Grants } from "./api-keys.ts";

const name = Type.String({
  pattern: "^[a-z][a-z0-9_]{1,39}$",
  "x-must": "be 2 to 40 lower-case letters, digits and underscores, a letter first",
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

const Scope = Type.Union([Type.Enum(["all", "own"]), Type.Null()], {
  description: "How far the caller has it, and so may give it away; null: not at all.",
  examples: ["all"],
});

const Permission = strict(
  {
    name: Type.String({ examples: ["order:confirm"] }),
    title: Type.String({ examples: ["Confirm orders"] }),
    ownable: Type.Boolean({
      description: "May be limited to one's own, with `:own` at its end.",
      examples: [true],
    }),
    held: Scope,
  },
  { title: "Permission" },
);

export const PermissionPage = pageOf(Permission, { title: "PermissionPage" });
