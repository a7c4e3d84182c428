import type { NewProduct } from "../schemas/products.ts";

// VAT as the United Kingdom has it for food that is taken away: cold food is zero-rated; hot food,
// all drinks but milk, crisps and alcohol are standard-rated. Ingredients name allergens in
// capitals, as a label for prepacked food must emphasise them.

/** What the demo's deli sells. Every one of the fourteen allergens is in something. */
export const demoProducts: readonly NewProduct[] = [
  {
    sku: "SAN-HAM-CHED",
    title: "Ham & Cheddar Sandwich",
    ingredients:
      "Bread (WHEAT flour, water, salt, yeast), ham (pork, salt, preservative: sodium nitrite), " +
      "Cheddar (MILK), butter (MILK), piccalilli (vegetables, spirit vinegar, sugar, MUSTARD)",
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
      "mayonnaise (rapeseed oil, EGG yolk, spirit vinegar, MUSTARD), lemon juice, black pepper",
    allergens: ["gluten", "crustaceans", "eggs", "mustard"],
    priceMinor: 650,
    vatRate: "zero",
    stock: 12,
  },
  {
    sku: "SAN-EGG-CRESS",
    title: "Egg & Cress Roll",
    ingredients:
      "White roll (WHEAT flour, water, yeast, salt, MILK powder), free-range EGG, mayonnaise " +
      "(rapeseed oil, EGG yolk, spirit vinegar, MUSTARD), cress, black pepper",
    allergens: ["gluten", "eggs", "milk", "mustard"],
    priceMinor: 475,
    vatRate: "zero",
    stock: 15,
  },
  {
    sku: "BAG-TUNA",
    title: "Tuna & Celery Baguette",
    ingredients:
      "Baguette (WHEAT flour, water, salt, yeast), tuna (FISH), mayonnaise (rapeseed oil, EGG " +
      "yolk, spirit vinegar, MUSTARD), CELERY, spring onion, lemon juice",
    allergens: ["gluten", "eggs", "fish", "celery", "mustard"],
    priceMinor: 625,
    vatRate: "zero",
    stock: 10,
  },
  {
    sku: "ROL-PORK-HOT",
    title: "Pork & Sage Sausage Roll, hot",
    ingredients:
      "Pork, puff pastry (WHEAT flour, butter (MILK), water, salt), breadcrumbs (WHEAT), EGG, " +
      "onion, sage, white pepper",
    allergens: ["gluten", "eggs", "milk"],
    priceMinor: 475,
    vatRate: "standard",
    stock: 24,
  },
  {
    sku: "ROL-VEGAN",
    title: "Vegan Sausage Roll",
    ingredients:
      "Textured SOYA protein, puff pastry (WHEAT flour, vegetable fat, water, salt), onion, " +
      "rapeseed oil, fennel seed, sage",
    allergens: ["gluten", "soybeans"],
    priceMinor: 425,
    vatRate: "zero",
    stock: 16,
  },
  {
    sku: "PIE-STEAK-HOT",
    title: "Steak & Ale Pie, hot",
    ingredients:
      "Beef, shortcrust pastry (WHEAT flour, butter (MILK), water, salt), ale (BARLEY), onion, " +
      "CELERY, Worcester sauce (BARLEY malt vinegar, molasses, anchovies (FISH), tamarind), EGG",
    allergens: ["gluten", "eggs", "fish", "milk", "celery"],
    priceMinor: 695,
    vatRate: "standard",
    stock: 12,
  },
  {
    sku: "EGG-SCOTCH",
    title: "Scotch Egg",
    ingredients:
      "Free-range EGG, pork, breadcrumbs (WHEAT flour, yeast, salt), MUSTARD powder, parsley",
    allergens: ["gluten", "eggs", "mustard"],
    priceMinor: 425,
    vatRate: "zero",
    stock: 16,
  },
  {
    sku: "SOUP-CELERIAC",
    title: "Celeriac & Blue Cheese Soup, hot",
    ingredients:
      "Celeriac (CELERY), vegetable stock (CELERY, carrot, onion), blue cheese (MILK), cream " +
      "(MILK), leek, bay",
    allergens: ["milk", "celery"],
    priceMinor: 550,
    vatRate: "standard",
  },
  {
    sku: "BOX-SALMON",
    title: "Smoked Salmon Blini Box",
    ingredients:
      "Smoked salmon (FISH, salt), blinis (WHEAT flour, buckwheat flour, MILK, EGG, yeast), " +
      "crème fraîche (MILK), dill, lemon",
    allergens: ["gluten", "eggs", "fish", "milk"],
    priceMinor: 1150,
    vatRate: "zero",
    stock: 9,
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
    sku: "SLD-SEAFOOD",
    title: "Mussel & Prawn Salad",
    ingredients:
      "Mussels (MOLLUSCS), prawns (CRUSTACEANS), fennel, olive oil, white wine vinegar " +
      "(SULPHITES), parsley, lemon juice",
    allergens: ["crustaceans", "sulphites", "molluscs"],
    priceMinor: 795,
    vatRate: "zero",
    stock: 8,
  },
  {
    sku: "CHS-CHED-200",
    title: "Farmhouse Cheddar 200 g",
    ingredients: "Unpasteurised cow's MILK, salt, rennet, starter culture",
    allergens: ["milk"],
    priceMinor: 795,
    vatRate: "zero",
    stock: 24,
  },
  {
    sku: "BRD-SOURDOUGH",
    title: "Sourdough Loaf 800 g",
    ingredients: "WHEAT flour, RYE flour, water, salt",
    allergens: ["gluten"],
    priceMinor: 495,
    vatRate: "zero",
    stock: 8,
  },
  {
    sku: "CRK-LUPIN",
    title: "Seeded Crackers 150 g",
    ingredients: "WHEAT flour, LUPIN flour, SESAME seeds, sunflower seeds, olive oil, sea salt",
    allergens: ["gluten", "sesame", "lupin"],
    priceMinor: 375,
    vatRate: "zero",
    stock: 20,
  },
  {
    sku: "CAK-ALMOND",
    title: "Orange & Almond Cake, slice",
    ingredients: "Ground almonds (NUTS), EGG, sugar, orange, baking powder",
    allergens: ["eggs", "nuts"],
    priceMinor: 395,
    vatRate: "zero",
    stock: 12,
  },
  {
    sku: "BIS-PEANUT",
    title: "Peanut & Chocolate Chunk Cookie",
    ingredients:
      "WHEAT flour, PEANUT butter, butter (MILK), sugar, dark chocolate (cocoa mass, cocoa " +
      "butter, emulsifier: SOYA lecithin), EGG, sea salt",
    allergens: ["gluten", "eggs", "peanuts", "soybeans", "milk"],
    priceMinor: 275,
    vatRate: "zero",
    stock: 30,
  },
  {
    sku: "CRI-SALT-40",
    title: "Sea Salt Crisps 40 g",
    ingredients: "Potatoes, sunflower oil, sea salt",
    priceMinor: 145,
    vatRate: "standard",
    stock: 48,
  },
  {
    sku: "DRK-FLATWHITE",
    title: "Flat White",
    ingredients: "Espresso coffee, steamed whole MILK",
    allergens: ["milk"],
    priceMinor: 360,
    vatRate: "standard",
  },
  {
    sku: "DRK-TEA",
    title: "Pot of Tea",
    ingredients: "Water, black tea",
    priceMinor: 280,
    vatRate: "standard",
  },
  {
    sku: "DRK-APPLE-250",
    title: "Pressed Apple Juice 250 ml",
    ingredients: "Apple juice, antioxidant: ascorbic acid",
    priceMinor: 310,
    vatRate: "standard",
    stock: 36,
  },
  {
    sku: "DRK-CIDER-500",
    title: "Dry Cider 500 ml",
    ingredients: "Apple juice, yeast, preservative: sodium metabisulphite (SULPHITES). 6% vol",
    allergens: ["sulphites"],
    priceMinor: 490,
    vatRate: "standard",
    stock: 36,
  },
];
