import { type Static, type TString, Type } from "typebox";
import { ListQuery, strict } from "#kernel/http/schemas.ts";
import { allergenNames } from "../rules/allergens.ts";

/** Newest first; `q` and `active` narrow it down. */
export const ListFilter = strict({
  ...ListQuery.properties,
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description: "Part of the name, title or SKU, in upper or lower case.",
      examples: ["deli"],
    }),
  ),
  active: Type.Optional(Type.Boolean({ description: "Only active ones, or only retired ones." })),
});
export type ListFilter = Static<typeof ListFilter>;

/** Allergens as somebody sends them: in any order; an unknown one is refused by its own name. */
export const allergenList = (description: string) =>
  Type.Array(Type.String({ maxLength: 40, examples: ["milk"] }), {
    maxItems: allergenNames.length,
    uniqueItems: true,
    description,
    examples: [["milk"]],
  });

/** Allergens as they are shown. */
export const knownAllergenList = (description: string) =>
  Type.Array(Type.Enum([...allergenNames]), { description, examples: [["milk"]] });

/** The same text, or null, which says that there is none. */
export const orNull = (schema: TString) =>
  Type.Unsafe<string | null>({ ...schema, type: ["string", "null"] });
