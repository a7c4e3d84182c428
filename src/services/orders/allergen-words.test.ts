import assert from "node:assert/strict";
import test from "node:test";
import { findAllergenWords } from "./rules/allergen-words.ts";
import { allergenNames } from "./rules/allergens.ts";

/** "word: allergens" for each word found; a "?" where it is only a precaution. */
const found = (text: string) =>
  findAllergenWords(text)
    .map(({ word, allergens, precautionary }) => {
      return `${word}: ${allergens.join("/")}${precautionary ? "?" : ""}`;
    })
    .join(", ");

const ingredients: Record<string, string> = {
  "Wheat flour, RYE, malted barley, rolled oats": `Wheat: gluten, RYE: gluten, malted: gluten, \
barley: gluten, oats: gluten`,
  "plain flour, spelt, semolina, couscous": `flour: gluten, spelt: gluten, semolina: gluten, \
couscous: gluten`,
  "prawns, crab, langoustines": `prawns: crustaceans, crab: crustaceans, \
langoustines: crustaceans`,
  "free-range egg white, eggs, mayonnaise": "egg: eggs, eggs: eggs, mayonnaise: eggs",
  "anchovies, cod, sea-bass, fish sauce": "anchovies: fish, cod: fish, sea-bass: fish, fish: fish",
  "peanuts, groundnut oil, ground nuts, monkey nuts": `peanuts: peanuts, groundnut: peanuts, \
ground nuts: peanuts, monkey nuts: peanuts`,
  "soya lecithin, soy sauce, soybeans, tofu, edamame": `soya: soybeans, soy: soybeans, \
soybeans: soybeans, tofu: soybeans, edamame: soybeans`,
  "milk, butter, double cream, Cheddar cheese, whey, caseinates, yogurt, buttermilk": `milk: milk, \
butter: milk, cream: milk, Cheddar: milk, cheese: milk, whey: milk, caseinates: milk, \
yogurt: milk, buttermilk: milk`,
  "Crème fraîche, GRUYÈRE, créme fraiche": `Crème fraîche: milk, GRUYÈRE: milk, \
créme fraiche: milk`,
  "almonds, cashew nuts, Brazil nuts, pistachios, marzipan": `almonds: nuts, cashew: nuts, \
nuts: nuts, Brazil nuts: nuts, pistachios: nuts, marzipan: nuts`,
  "celery salt, celeriac": "celery: celery, celeriac: celery",
  "mustard seed, Dijon mustards": "mustard: mustard, mustards: mustard",
  "sesame oil, tahini": "sesame: sesame, tahini: sesame",
  "sulphites, sulfur dioxide, E220, e 223, E-228(ii), sodium metabisulphite": `sulphites: \
sulphites, sulfur dioxide: sulphites, E220: sulphites, e 223: sulphites, E-228(ii): sulphites, \
metabisulphite: sulphites`,
  "lupin flour, lupini": "lupin: lupin, lupini: lupin",
  "mussels, squid ink, oyster sauce, cuttlefish": `mussels: molluscs, squid: molluscs, \
oyster: molluscs, cuttlefish: molluscs`,
  "shellfish, seafood": "shellfish: crustaceans/molluscs, seafood: fish/crustaceans/molluscs",
};

// Guards against an allergen that stands in the ingredients in plain type.
test("the words of all fourteen allergens are found, in any case and number", () => {
  for (const [text, words] of Object.entries(ingredients)) assert.equal(found(text), words, text);
  const met = Object.keys(ingredients).flatMap((text) =>
    findAllergenWords(text).flatMap(({ allergens }) => allergens),
  );
  assert.deepEqual(new Set(met), new Set(allergenNames));
});

// Guards against a label that is refused, or cries wolf, for what only sounds like an allergen.
test("what only sounds like an allergen is not one", () => {
  const innocent = [
    "coconut, nutmeg, chestnut",
    "butternut squash, butter beans, cocoa butter, shea butter",
    "coconut milk, rice milk, coconut cream, cream of tartar, milk thistle",
    "buckwheat, buckwheat flour, rice flour, cornflour, corn flour, gram flour, tapioca flour",
    "maltodextrin, maltitol, rice noodles, gluten-free bread",
    "eggplant, egg plant, pine nuts, tiger nuts, water chestnuts",
    "oyster mushrooms, crab apple, root beer, ginger ale",
    "vegan cheese, plant-based butter, dairy-free cream, vegan mayonnaise",
    "E330, E2200, E22, kale, codeine, crabby, soyuz",
    "free from milk and eggs. Nut-free. Contains no gluten",
  ];
  for (const text of innocent) assert.equal(found(text), "", text);
  const mixed: Record<string, string> = {
    "peanut butter": "peanut: peanuts",
    "almond milk, almond flour": "almond: nuts, almond: nuts",
    "oat milk": "oat: gluten",
    "soya milk": "soya: soybeans",
    "gluten-free oats": "oats: gluten",
    "wheat-free soy sauce": "soy: soybeans",
    "salad cream": "salad cream: eggs",
  };
  for (const [text, words] of Object.entries(mixed)) assert.equal(found(text), words, text);
});

// Guards against a denial that hides what stands behind it.
test("a denial ends where the list goes on", () => {
  assert.equal(found("free from nuts, milk"), "milk: milk");
  assert.equal(found("milk free range eggs"), "milk: milk, eggs: eggs");
  assert.equal(found("contains no nuts; butter"), "butter: milk");
  assert.equal(found("sugar-free milk chocolate"), "milk: milk");
});

// Guards against precautions taken for ingredients, and ingredients taken for precautions.
test("a precaution reaches to the end of its sentence", () => {
  const text = "Flour (wheat). May contain nuts, sesame and milk. Butter\nTraces of egg\nSoya";
  assert.equal(
    found(text),
    "Flour: gluten, wheat: gluten, nuts: nuts?, sesame: sesame?, milk: milk?, Butter: milk, " +
      "egg: eggs?, Soya: soybeans",
  );
});

// Guards against positions that emphasise something else than the word.
test("each word stands where it says, also between other letters", () => {
  const text = "Żurek «Σίκαλη» 🥜 rye-bread/MILK+(egg)'soya';crème brûlée with cream";
  const words = findAllergenWords(text);
  for (const { start, end, word } of words) assert.equal(text.slice(start, end), word);
  assert.deepEqual(
    words.map(({ word }) => word),
    ["rye", "bread", "MILK", "egg", "soya", "cream"],
  );
});

// Guards against a text that keeps the server busy: here it would outlast the test.
test("a hostile text takes no longer than an honest one", () => {
  for (const part of ["e ", "coconut ", "plant-", "may contain ", "free from ", "- ", "creme "]) {
    const text = part.repeat(20_000 / part.length);
    assert.ok(findAllergenWords(text).length <= text.length / part.length);
  }
});
