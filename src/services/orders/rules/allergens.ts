import { ordersErrors } from "../errors.ts";

/** The fourteen allergens that UK food law names, in the order in which they are always shown. */
export const allergenNames = [
  "gluten",
  "crustaceans",
  "eggs",
  "fish",
  "peanuts",
  "soybeans",
  "milk",
  "nuts",
  "celery",
  "mustard",
  "sesame",
  "sulphites",
  "lupin",
  "molluscs",
] as const;
export type AllergenName = (typeof allergenNames)[number];

/** The same allergens in the order of the fourteen; throws `unknown_allergen` for any other. */
export function knownAllergens(names: readonly string[], path = "/allergens"): AllergenName[] {
  const errors = names.flatMap((name, index) =>
    isAllergen(name) ? [] : [{ path: `${path}/${index}`, message: `${name} is not an allergen` }],
  );
  if (errors.length > 0) {
    const unknown = names.filter((name) => !isAllergen(name));
    throw ordersErrors.unknown_allergen({
      detail: `${unknown.map((name) => `"${name}"`).join(", ")}: use ${allergenNames.join(", ")}.`,
      errors,
      extensions: { allowed: allergenNames },
    });
  }
  return allergenNames.filter((name) => names.includes(name));
}

function isAllergen(name: string): name is AllergenName {
  return (allergenNames as readonly string[]).includes(name);
}
