import type { AllergenName } from "./allergens.ts";

/**
 * How plainly a word speaks. `named`: everybody knows the allergen by it. `derived`: made of it,
 * but the law wants the allergen named as well. `implied`: a dish that usually has it, which the
 * list of ingredients takes apart.
 */
export type Plainness = "named" | "derived" | "implied";

/** A word of an ingredients list that stands for one of the fourteen, or for one of several. */
export interface AllergenWord {
  /** Where it stands: `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
  readonly word: string;
  /** Any of these explains the word: shellfish are crustaceans or molluscs. */
  readonly allergens: readonly AllergenName[];
  readonly plainness: Plainness;
  /** In a sentence such as "May contain nuts", which warns of what is not an ingredient. */
  readonly precautionary: boolean;
}

interface Entry {
  readonly allergens: readonly AllergenName[];
  readonly plainness: Plainness;
  /** In the singular; a blank also stands for a hyphen, a vowel also for the accented one. */
  readonly words: string;
  /** Words that take the meaning away when they stand directly before: almond milk. */
  readonly notAfter?: string;
}

const plants = "vegan, plant-based, dairy-free, non-dairy";
const nutWords = "almond, cashew, hazelnut, macadamia, pecan, pistachio, walnut, tiger nut";
const drinks = `${nutWords}, coconut, hemp, oat, pea, rice, soy, soya`;
const cereals = "wheat, wholewheat, rye, barley, oat, spelt";
const otherStarch = `gluten-free, wheat-free, buckwheat, cauliflower, chickpea, corn, gram, lentil,
  maize, polenta, potato, rice`;

const named = (allergen: AllergenName, words: string, notAfter?: string): Entry => ({
  allergens: [allergen],
  plainness: "named",
  words,
  ...(notAfter !== undefined && { notAfter }),
});
const derived = (allergen: AllergenName, words: string, notAfter?: string): Entry => ({
  ...named(allergen, words, notAfter),
  plainness: "derived",
});
const implied = (allergen: AllergenName, words: string, notAfter?: string): Entry => ({
  ...named(allergen, words, notAfter),
  plainness: "implied",
});

/** Phrases that only look like an allergen. */
const harmless = `apple butter, butter bean, butter lettuce, cacao butter, cocoa butter, kola nut,
  cola nut, crab apple, cream of tartar, cream soda, custard apple, egg plant, ginger ale,
  ginger beer, root beer, mango butter, milk thistle, oyster mushroom, pine nut, shea butter,
  shea nut, tiger nut`;

const entries: readonly Entry[] = [
  named("gluten", "gluten, wheat, rye, barley, oat, oatmeal, oatcake, wholewheat, wheatgerm"),
  derived("gluten", "spelt, kamut, khorasan, emmer, einkorn, triticale, durum, farro, freekeh"),
  derived("gluten", "bulgur, bulghur, bulgar, seitan, rusk, panko, matzo, atta"),
  derived("gluten", "malt, malted, couscous, semolina, breadcrumb", `${otherStarch}, ${cereals}`),
  derived(
    "gluten",
    "flour",
    `${otherStarch}, ${cereals}, ${nutWords}, amaranth, arrowroot, banana, besan, carob, cassava,
     chestnut, coconut, flax, hemp, lupin, masa, millet, mustard, pea, peanut, plantain, quinoa,
     sorghum, soy, soya, tapioca, teff, urad`,
  ),
  implied(
    "gluten",
    `bread, shortbread, flatbread, gingerbread, baguette, ciabatta, focaccia, sourdough, brioche,
     croissant, bagel, bun, naan, pitta, tortilla, wrap, pancake, waffle, muffin, scone, crumpet,
     doughnut, donut, sponge, pasta, spaghetti, macaroni, lasagne, lasagna, noodle, ramen, udon,
     pastry, biscuit, cookie, cracker, cream cracker, crouton, batter, tempura, beer, ale, lager,
     stout`,
    `${otherStarch}, glass, cellophane, mung bean`,
  ),
  named("crustaceans", "crustacean"),
  derived(
    "crustaceans",
    `prawn, shrimp, crab, crabmeat, crabstick, lobster, crayfish, crawfish, langoustine, krill,
     scampi`,
  ),
  named("eggs", "egg"),
  derived("eggs", "albumen, ovalbumin, lysozyme, e1105, eggnog"),
  implied("eggs", "mayonnaise, mayo, meringue, omelette, quiche, hollandaise, salad cream", plants),
  named("fish", "fish, fishcake"),
  derived(
    "fish",
    `anchovy, basa, bonito, bream, carp, catfish, caviar, cod, coley, dashi, dover sole, eel,
     haddock, hake, halibut, herring, isinglass, kipper, lemon sole, mackerel, monkfish, mullet,
     pangasius, perch, pilchard, plaice, pollack, pollock, roe, salmon, sardine, sea bass, seabass,
     skate, snapper, sprat, sturgeon, surimi, swordfish, taramasalata, tilapia, trout, tuna,
     turbot, whitebait, whiting`,
  ),
  implied("fish", "worcester sauce, worcestershire sauce", "vegan"),
  named("peanuts", "peanut, groundnut, ground nut, monkey nut"),
  derived("peanuts", "arachis"),
  implied("peanuts", "satay"),
  named("soybeans", "soy, soya, soybean, soyabean"),
  derived("soybeans", "tofu, edamame, tempeh, miso, natto, tamari, shoyu, bean curd, beancurd"),
  derived("soybeans", "okara, yuba, textured vegetable protein, tvp"),
  named("milk", "milk", `${plants}, ${drinks}`),
  named(
    "milk",
    "butter",
    `${plants}, ${nutWords}, peanut, nut, seed, sunflower, sesame, pumpkin, soy, soya`,
  ),
  named("milk", "cream", `${plants}, coconut, oat, soy, soya`),
  named(
    "milk",
    "cheese, yoghurt, yogurt, yoghourt, creme fraiche, fromage frais",
    `${plants}, soy, soya`,
  ),
  named("milk", "dairy, buttermilk, milkfat, milkshake, buttercream", plants),
  derived(
    "milk",
    `whey, casein, caseinate, lactose, lactalbumin, lactoglobulin, butterfat, ghee, quark, kefir,
     skyr, labneh, paneer, ricotta, mozzarella, cheddar, parmesan, parmigiano, pecorino, feta,
     halloumi, mascarpone, brie, camembert, gouda, edam, gruyere, emmental, stilton, gorgonzola,
     roquefort, manchego, cheesecake, dulce de leche`,
    plants,
  ),
  derived("milk", "curd", "bean, lemon, lime, orange, fruit"),
  implied("milk", "white chocolate, butterscotch, custard, bechamel", plants),
  named(
    "nuts",
    `nut, almond, hazelnut, walnut, cashew, pecan, brazil nut, brazils, pistachio, macadamia,
     queensland nut`,
  ),
  derived("nuts", "marzipan, praline, frangipane, gianduja, nougat, filbert, cobnut"),
  named("celery", "celery, celeriac"),
  named("mustard", "mustard"),
  named("sesame", "sesame"),
  derived("sesame", "tahini, tahina, halva, halvah, gomasio, gomashio, gingelly, za'atar"),
  implied("sesame", "hummus, houmous"),
  named(
    "sulphites",
    `sulphite, sulfite, bisulphite, bisulfite, metabisulphite, metabisulfite, sulphur dioxide,
     sulfur dioxide, so2`,
  ),
  derived("sulphites", "e220, e221, e222, e223, e224, e225, e226, e227, e228"),
  named("lupin", "lupin, lupine, lupini"),
  named("molluscs", "mollusc, mollusk"),
  derived(
    "molluscs",
    `mussel, oyster, squid, octopus, clam, cockle, scallop, whelk, winkle, periwinkle, cuttlefish,
     calamari, abalone, snail, escargot, limpet`,
  ),
  { allergens: ["crustaceans", "molluscs"], plainness: "derived", words: "shellfish" },
  { allergens: ["fish", "crustaceans", "molluscs"], plainness: "derived", words: "seafood" },
];

const accented: Readonly<Record<string, string>> = {
  a: "[aàáâä]",
  c: "[cç]",
  e: "[eèéêë]",
  i: "[iìíîï]",
  o: "[oòóôö]",
  u: "[uùúûü]",
  "'": "['’]",
};

function patternOf(word: string): string {
  if (/^e\d+$/.test(word)) return `e[\\s-]*${word.slice(1)}(?:\\(?(?:i|ii|iii|iv)\\)?)?`;
  const letters = [...word].map((letter) => (/[ -]/.test(letter) ? "[\\s-]+" : letter));
  const stem = letters.map((letter) => accented[letter] ?? letter).join("");
  return word.endsWith("y") ? `${stem.slice(0, -1)}(?:y|ys|ies)` : `${stem}(?:s|es)?`;
}

/** The longest first, so that a phrase wins over the word that it begins with. */
const anyOf = (words: string): string =>
  words
    .split(",")
    .map((word) => word.trim())
    .sort((left, right) => right.length - left.length)
    .map(patternOf)
    .join("|");

const notFree = "(?![\\s-]+free(?![\\s-]*(?:range|run|roaming|flowing)))";
const alternatives = entries.map(({ words, notAfter }) => {
  const before = notAfter === undefined ? "" : `(?<!(?:${anyOf(notAfter)})[\\s-]+)`;
  return `${before}(${anyOf(words)})`;
});
const wordsPattern = new RegExp(
  `(?<![\\p{L}\\p{M}\\p{N}])(?:(?:${anyOf(harmless)})|(?:${alternatives.join("|")})${notFree})` +
    "(?![\\p{L}\\p{M}\\p{N}])",
  "giu",
);

/** Up to the next stop, what is said not to be in the food. */
const deniedPattern =
  /(?<!\p{L})(?:free\s+(?:from|of)|contains?\s+no|does\s+not\s+contain)\s[^,.;:()\n]*/giu;
/** To the end of the sentence, what may be in the food by accident. */
const precautionPattern =
  /(?<!\p{L})(?:may\s+(?:also\s+)?contain|traces?\s+of|not\s+suitable\s+for)\s[^.\n]*/giu;

const spansOf = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map(({ index, 0: { length } }) => ({ index, end: index + length }));

/**
 * The words of an ingredients list, in English, that stand for an allergen, from left to right.
 * What is denied ("free from milk", "nut-free") is not among them.
 */
export function findAllergenWords(text: string): AllergenWord[] {
  const denied = spansOf(text, deniedPattern);
  const precautions = spansOf(text, precautionPattern);
  return [...text.matchAll(wordsPattern)].flatMap((match) => {
    const { index: start, 0: word } = match;
    const entry = entries[match.slice(1).findIndex((group) => group !== undefined)];
    const isIn = (spans: { index: number; end: number }[]) =>
      spans.some(({ index, end }) => start >= index && start < end);
    if (entry === undefined || isIn(denied)) return [];
    const { allergens, plainness } = entry;
    const precautionary = isIn(precautions);
    return [{ start, end: start + word.length, word, allergens, plainness, precautionary }];
  });
}
