import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Problem } from "#kernel/errors.ts";
import { type LabelFormat, labelSheets } from "./documents/label.ts";
import { POINTS_PER_MM, renderPdf } from "./documents/pdf.ts";
import { boldWords, type FoundPage, misplaced, readPdf } from "./fixtures/pdf.ts";
import type { AllergenName } from "./rules/allergens.ts";
import { labelContent, labelOf, tidyText } from "./rules/documents.ts";

const large: LabelFormat = { widthMm: 100, heightMm: 62, xHeightMm: 1.2 };
const small: LabelFormat = { widthMm: 89, heightMm: 36, xHeightMm: 1.2 };
/** Of IBM Plex Sans, from its OS/2 table. */
const X_HEIGHT_EM = 0.516;

const deli = {
  name: "Bermondsey Street Deli",
  address: "41 Bermondsey Street,\nLondon SE1 3XF",
  currency: "GBP",
  updatedAt: "2026-11-19T08:00:00.000Z",
};
const sandwich = {
  title: "Cheddar & pickle roll",
  ingredients:
    "Bread (wheat flour, water, yeast, salt, soya flour), Cheddar cheese (milk), pickle (dates, " +
    "mustard seed, spirit vinegar), butter (milk).",
  allergens: ["gluten", "soybeans", "milk", "mustard"] as AllergenName[],
  priceMinor: 475,
  updatedAt: "2026-11-20T12:00:00.000Z",
};

interface Wishes {
  shop?: typeof deli;
  format?: LabelFormat;
  acknowledgeAllergens?: boolean;
}

async function print(changes: Partial<typeof sandwich> = {}, wishes: Wishes = {}) {
  const { shop, format = large, acknowledgeAllergens = false } = wishes;
  const options = { price: shop !== undefined, acknowledgeAllergens };
  const label = labelOf({ ...sandwich, ...changes }, shop ?? null, options);
  const info = { title: label.title, author: shop?.name ?? "", at: label.at };
  return renderPdf(info, (setting) => labelSheets(label, format, setting));
}

const printed = async (changes?: Partial<typeof sandwich>, wishes?: Wishes) =>
  readPdf(await print(changes, wishes));

const bodyOf = ({ lines }: FoundPage) => lines.slice(1).join(" ");
const squeezed = (text: string) => text.replace(/[\s|]+/g, "");

// Guards against a label that leaves an allergen in plain type, or emphasises everything.
test("the label has name, price, seller and ingredients, and only allergens are bold", async () => {
  const { pages, info, fonts } = await printed({}, { shop: deli });
  assert.equal(pages.length, 1);
  const [page] = pages as [FoundPage];
  assert.equal(page.lines[0], "Cheddar & pickle roll | £4.75");
  assert.ok(squeezed(bodyOf(page)).startsWith(squeezed(`Ingredients: ${sandwich.ingredients}`)));
  assert.equal(page.lines.at(-1), "Bermondsey Street Deli, 41 Bermondsey Street, London SE1 3XF");
  assert.deepEqual(boldWords(page), [
    sandwich.title,
    "£4.75",
    ..."wheat,soya,Cheddar cheese,milk,mustard,butter,milk,bold".split(","),
  ]);
  assert.deepEqual(
    [info.Title, info.Author, info.Language, info.CreationDate],
    ["Label: Cheddar & pickle roll", deli.name, "en-GB", "D:20261120120000Z"],
  );
  assert.deepEqual(fonts, ["IBMPlexSans-Bold", "IBMPlexSans-Regular"]);
  assert.deepEqual(
    [page.width, page.height].map((points) => Math.round(points / POINTS_PER_MM)),
    [100, 62],
  );
});

// Guards against a declared allergen that the label leaves unsaid.
test("what no ingredient names plainly is added, and a precaution does not name it", async () => {
  const { pages } = await printed({
    ingredients: "Chickpeas, tahini, whey powder. May contain nuts and mustard",
    allergens: ["milk", "mustard", "sesame", "lupin"],
  });
  assert.deepEqual(boldWords(pages[0] as FoundPage), [
    sandwich.title,
    ..."tahini,whey,nuts,mustard,milk,mustard,sesame,lupin,bold".split(","),
  ]);
  assert.match(bodyOf(pages[0] as FoundPage), /Contains: milk, mustard, sesame, lupin\. For/);
  const plain = await printed({ ingredients: "Apples", allergens: [] });
  assert.doesNotMatch(plain.lines.join(" "), /Contains|bold/);
});

// Guards against a label that contradicts what customers are warned of.
test("a label without ingredients, or with undeclared allergens, is refused by name", async () => {
  const refused = (ingredients: string, allergens: AllergenName[] = []) => {
    try {
      labelContent({ ingredients, allergens }, false);
    } catch (error) {
      if (error instanceof Problem) return [error.code, error.options.extensions?.undeclared ?? []];
      throw error;
    }
    return null;
  };
  for (const nothing of ["", "  \n ", "\u00ad\u200b"]) {
    assert.deepEqual(refused(nothing), ["ERR_ORDERS_LABEL_WITHOUT_INGREDIENTS", []]);
  }
  assert.deepEqual(refused("Wheat, BUTTER, butter, shellfish", ["gluten", "fish"]), [
    "ERR_ORDERS_LABEL_UNDECLARED_ALLERGENS",
    [
      { word: "butter", allergens: ["milk"] },
      { word: "shellfish", allergens: ["crustaceans", "molluscs"] },
    ],
  ]);
  assert.deepEqual(refused("w\u00adhe\u200bat")?.[0], "ERR_ORDERS_LABEL_UNDECLARED_ALLERGENS");
  assert.equal(refused("Shellfish", ["molluscs"]), null);
  assert.equal(refused("Apple. May contain nuts."), null);
  const { pages } = await printed(
    { ingredients: "Oat drink", allergens: [] },
    { acknowledgeAllergens: true },
  );
  assert.deepEqual(boldWords(pages[0] as FoundPage), [sandwich.title, "Oat", "bold"]);
});

/** What of a page is neither the food's name nor the seller nor the page's number. */
function textOf(page: FoundPage, name: string, seller: string, number: string): string {
  const all = squeezed(page.lines.join(""));
  assert.ok(all.startsWith(squeezed(name)), `${all} has no ${name}`);
  assert.ok(all.endsWith(number), `${all} is not numbered ${number}`);
  const text = all.slice(squeezed(name).length, all.length - number.length);
  return seller !== "" && text.endsWith(squeezed(seller))
    ? text.slice(0, -squeezed(seller).length)
    : text;
}

// Guards against text that is cut off, doubled, too small to be read, or off the label.
test("any text stands on the labels once, in order, no smaller than the law allows", async () => {
  const word = fc.string({ unit: fc.constantFrom(..."abcdeQWéżßłЖщΩ½€&()%,.-"), maxLength: 24 });
  const texts = (longest: number) =>
    fc
      .array(fc.oneof(word, fc.constantFrom("milk", "wheat flour", "W".repeat(80), "\n", "soya")), {
        maxLength: longest / 6,
      })
      .map((words) => tidyText(words.join(" ").slice(0, longest)));
  const cases = fc.record({
    title: texts(255).filter((title) => title !== ""),
    ingredients: fc.oneof(texts(300), texts(2_000)).filter((list) => list !== ""),
    format: fc.constantFrom(large, small, { ...small, xHeightMm: 0.9 }),
    name: texts(200),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ title, ingredients, format, name }) => {
      const shop = name === "" ? null : { ...deli, name };
      const wishes = { price: false, acknowledgeAllergens: true };
      const label = labelOf({ ...sandwich, title, ingredients, allergens: [] }, shop, wishes);
      const info = { title, author: "", at: label.at };
      const pdf = await renderPdf(info, (setting) => labelSheets(label, format, setting));
      const { pages } = await readPdf(pdf);
      const bodies = pages.map((page, index) =>
        textOf(page, title, label.seller, pages.length > 1 ? `${index + 1}/${pages.length}` : ""),
      );
      const said = squeezed(`Ingredients:${ingredients}`);
      assert.equal(bodies.join("").slice(0, said.length), said);
      const rest = bodies
        .join("")
        .slice(said.length)
        .replace("Forallergens,seeingredientsinbold.", "");
      assert.ok(rest === "" || rest === squeezed(label.seller), rest);
      for (const page of pages) assert.deepEqual(misplaced(page), []);
      for (const { size } of pages.flatMap((page) => page.texts)) {
        assert.ok(size * X_HEIGHT_EM >= format.xHeightMm * POINTS_PER_MM, `${size} pt`);
      }
    }),
    { numRuns: 60 },
  );
});

// Guards against a short label in tiny letters, and against a second label that was not needed.
test("text is as large as it can be, and shrinks before it goes on to a second label", async () => {
  const sizeOf = async (ingredients: string) => {
    const { pages } = await printed({ ingredients, allergens: [] });
    const body = pages[0]?.texts.find(({ text }) => text.startsWith("Ingredients"));
    return { labels: pages.length, size: body?.size ?? 0 };
  };
  const short = await sizeOf("Apples");
  const long = await sizeOf("Apples, pears, plums. ".repeat(36));
  const longest = await sizeOf("Apples, pears, plums. ".repeat(80));
  assert.deepEqual([short.labels, long.labels, longest.labels], [1, 1, 2]);
  assert.ok(short.size > long.size && long.size > longest.size);
  assert.ok(short.size >= 10);
});

// Guards against characters that vanish, and against ingredients that nobody can read.
test("Latin, Greek and Cyrillic are set as they are; what the font lacks is refused", async () => {
  const ingredients = "Żurek ½ ñandú, Ελληνική φέτα, борщ Їжа, Øl — “fin” £ € ﬁ µ ạ ệ ş";
  const { lines } = await printed({ ingredients, allergens: ["milk"] });
  assert.ok(squeezed(lines.join("")).includes(squeezed(ingredients)), lines.join("\n"));
  const unread = { ingredients: "ผัด 中文中 \u{1f95c}\ufe0f, שום", allergens: [] };
  await assert.rejects(printed(unread), (error: Problem) => {
    assert.equal(error.code, "ERR_ORDERS_UNPRINTABLE");
    assert.deepEqual(error.options.extensions?.characters, [..."ผัด中文\u{1f95c}שום"]);
    assert.match(error.message, /lacks "ผ", .*: it has Latin, Greek and Cyrillic/);
    return true;
  });
  await assert.rejects(printed({ title: "茶" }), { code: "ERR_ORDERS_UNPRINTABLE" });
  const seller = { ...deli, name: "王 Deli" };
  await assert.rejects(printed({}, { shop: seller }), { code: "ERR_ORDERS_UNPRINTABLE" });
});

// Guards against a name so long that the ingredients are printed across the seller's address.
test("below a name that fills half of a label everything finds a place", async () => {
  for (const letters of [120, 160, 200, 240, 251]) {
    const title = tidyText(`a ${"W".repeat(letters).replace(/.{80}/g, "$& ")}`);
    const { pages } = await printed({ title }, { format: small });
    const { pages: sold } = await printed(
      { title, ingredients: "a" },
      { shop: deli, format: small },
    );
    for (const page of [...pages, ...sold]) assert.deepEqual(misplaced(page), [], title);
  }
});

// Guards against letters that are seen and not found: a face draws Ĵ with its J, " with its '.
test("a character is read back, whatever was drawn with its shape before it", async () => {
  for (const title of ["“Ĵĵ Ŵŵ Ќ Ҫ”", "\"J’ȷ Ww' К‘", "Ќ Ĵ"]) {
    const { lines } = await printed({ title });
    assert.equal(lines[0], title);
  }
});

// Guards against bytes that change with the time of day, or with what was printed before.
test("the same label is the same bytes, whatever was printed in between", async () => {
  const changes = { ingredients: "Cheese (milk), fish, ﬁsh, e\u0301clair, Ωμέγα" };
  const allergens: AllergenName[] = ["milk", "fish"];
  const first = await print({ ...changes, allergens });
  await print({ title: "ﬁ µ μ Ω Ω", ingredients: "affine ﬂan 1⁄2 Ёжик", allergens: [] });
  assert.deepEqual(await print({ ...changes, allergens }), first);
  assert.notDeepEqual(
    await print({ ...changes, allergens, priceMinor: 476 }, { shop: deli }),
    first,
  );
  const { lines } = await readPdf(first);
  assert.ok(lines.join(" ").includes("Cheese (milk), fish, ﬁsh, éclair, Ωμέγα"));
});
