import type { NewProduct } from "../schemas/products.ts";
import type { ProductValues } from "../store/products.ts";
import { knownAllergens } from "./allergens.ts";

/** A new product with what it has unless told otherwise; throws `unknown_allergen`. */
export function completeProduct(wanted: NewProduct): ProductValues {
  return {
    ingredients: "",
    stock: null,
    active: true,
    ...wanted,
    allergens: knownAllergens(wanted.allergens ?? []),
  };
}
