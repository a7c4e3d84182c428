import { Type } from "typebox";
import { Id, pageOf, strict, Version } from "#kernel/http/schemas.ts";

const FlagName = Type.String({
  pattern: "^[a-z][a-z0-9_]{0,62}$",
  "x-must": "be 1 to 63 lower-case letters, digits and underscores, a letter first",
  description: "In lower case: FLAG_NEW_EDITOR is new_editor.",
  examples: ["new_editor"],
});

export const ByFlag = strict({ name: FlagName });
export const ByFlagAndTenant = strict({ name: FlagName, tenantId: Id });

export const FlagChange = strict(
  { on: Type.Boolean({ examples: [true] }) },
  { title: "FlagChange" },
);

export const Flag = strict(
  {
    name: FlagName,
    on: Type.Boolean({ description: "For tenants without an override.", examples: [true] }),
    source: Type.Enum(["environment", "override", "default"], {
      description: "Where `on` comes from.",
      examples: ["override"],
    }),
    tenants: Type.Array(strict({ tenantId: Id, on: Type.Boolean({ examples: [true] }) }), {
      description: "Overrides for single tenants.",
      maxItems: 10_000,
    }),
    version: Version,
  },
  { title: "Flag" },
);

export const Flags = pageOf(Flag, { title: "Flags" });
