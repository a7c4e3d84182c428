import type { Tx } from "#kernel/db/types.ts";
import type { KernelDeps } from "#kernel/service.ts";
import { createProduct, createShop } from "./changes.ts";
import type { NewProduct, NewShop } from "./schemas.ts";

/** A small London deli: two counters and what lies on them. */
export async function ordersDemo(tx: Tx, { random }: KernelDeps): Promise<void> {
  for (const shop of demoShops) await createShop(tx, random.id(), shop);
  for (const product of demoProducts) await createProduct(tx, random.id(), product);
}

const demoShops: readonly NewShop[] = [
  { name: "Bermondsey Street Deli", address: "41 Bermondsey Street\nLondon SE1 3XF" },
  { name: "Maltby Street Stall", address: "Arch 46, Ropewalk\nMaltby Street\nLondon SE1 3PA" },
];

// Ingredients emphasise allergens in capitals, as a label for prepacked food must.
const demoProducts: readonly NewProduct[] = [
  {
    sku: "SAN-HAM-CHED",
    title: "Ham & Cheddar Sandwich",
    ingredients:
      "Bread (WHEAT flour, water, salt, yeast), ham (pork, salt, preservative: sodium nitrite), " +
      "Cheddar (MILK), butter (MILK), piccalilli (vegetables, vinegar, sugar, MUSTARD)",
    allergens: ["gluten", "milk", "mustard"],
    priceMinor: 595,
    vatRate: "zero",
    stock: 18,
  },
  {
    sku: "SAN-PRAWN",
    title: "Prawn Mayonnaise on Malted Bread",
    ingredients:
      "Malted bread (WHEAT flour, malted BARLEY, water, salt, yeast), prawns (CRUSTACEANS), " +
      "mayonnaise (rapeseed oil, EGG yolk, vinegar, MUSTARD), lemon juice, black pepper",
    allergens: ["gluten", "crustaceans", "eggs", "mustard"],
    priceMinor: 650,
    vatRate: "zero",
    stock: 12,
  },
  {
    sku: "SAU-ROLL-PORK",
    title: "Pork & Sage Sausage Roll",
    ingredients:
      "Pork, puff pastry (WHEAT flour, butter (MILK), water, salt), breadcrumbs (WHEAT), EGG, " +
      "onion, sage, white pepper. Served hot",
    allergens: ["gluten", "eggs", "milk"],
    priceMinor: 475,
    vatRate: "standard",
    stock: 20,
  },
  {
    sku: "EGG-SCOTCH",
    title: "Scotch Egg",
    ingredients:
      "Free-range EGG, pork, breadcrumbs (WHEAT flour, yeast, salt), mustard powder (MUSTARD), " +
      "parsley, nutmeg",
    allergens: ["gluten", "eggs", "mustard"],
    priceMinor: 425,
    vatRate: "zero",
    stock: 16,
  },
  {
    sku: "SOUP-CEL-STIL",
    title: "Celeriac & Stilton Soup",
    ingredients:
      "Celeriac (CELERY), vegetable stock (CELERY, carrot, onion), Stilton (MILK), cream (MILK), " +
      "leek, bay. Served hot",
    allergens: ["milk", "celery"],
    priceMinor: 550,
    vatRate: "standard",
    stock: null,
  },
  {
    sku: "SAL-SMOKED",
    title: "Smoked Salmon Blini Box",
    ingredients:
      "Smoked salmon (FISH, salt), blinis (WHEAT flour, buckwheat flour, MILK, EGG, yeast), " +
      "crème fraîche (MILK), dill, lemon",
    allergens: ["gluten", "eggs", "fish", "milk"],
    priceMinor: 1150,
    vatRate: "zero",
    stock: 8,
  },
  {
    sku: "SLD-HUMMUS",
    title: "Hummus & Roast Pepper Salad",
    ingredients:
      "Chickpeas, roast red pepper, tahini (SESAME), olive oil, lemon juice, garlic, parsley",
    allergens: ["sesame"],
    priceMinor: 495,
    vatRate: "zero",
    stock: 14,
  },
  {
    sku: "CHS-MONT-200",
    title: "Montgomery's Cheddar 200 g",
    ingredients: "Unpasteurised cow's MILK, salt, rennet, starter culture",
    allergens: ["milk"],
    priceMinor: 795,
    vatRate: "zero",
    stock: 24,
  },
  {
    sku: "CAK-ALM-ORA",
    title: "Orange & Almond Cake, slice",
    ingredients: "Ground almonds (NUTS), EGG, sugar, orange, baking powder",
    allergens: ["eggs", "nuts"],
    priceMinor: 395,
    vatRate: "zero",
    stock: 10,
  },
  {
    sku: "BIS-CHOC-PNUT",
    title: "Chocolate Peanut Cookie",
    ingredients:
      "WHEAT flour, PEANUT butter, butter (MILK), sugar, dark chocolate (cocoa mass, cocoa " +
      "butter, emulsifier: SOYA lecithin), EGG, sea salt",
    allergens: ["gluten", "eggs", "peanuts", "soybeans", "milk"],
    priceMinor: 275,
    vatRate: "zero",
    stock: 30,
  },
  {
    sku: "DRK-FLATWHITE",
    title: "Flat White",
    ingredients: "Espresso coffee, steamed whole MILK",
    allergens: ["milk"],
    priceMinor: 360,
    vatRate: "standard",
    stock: null,
  },
  {
    sku: "DRK-CIDER-500",
    title: "Somerset Dry Cider 500 ml",
    ingredients: "Apple juice, yeast, preservative: sodium metabisulphite (SULPHITES). 6% vol",
    allergens: ["sulphites"],
    priceMinor: 490,
    vatRate: "standard",
    stock: 36,
  },
];
