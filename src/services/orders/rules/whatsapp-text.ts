/** A product as far as it can be asked for. */
export interface Offered {
  id: string;
  sku: string;
  title: string;
}

/** What somebody asks for, in their own words or by SKU. */
export interface Wanted {
  name: string;
  quantity: number;
}

export interface Understood {
  lines: { product: Offered; quantity: number }[];
  /** What was not understood, with the names that are most like it: each means one product. */
  unknown: { name: string; near: string[] }[];
  /** Whether anything in it reads like an order at all. */
  isOrder: boolean;
  /** Whether it asks for more than one message may. */
  isTooLong: boolean;
}

const partsMost = 50;
/** As many as an order may have lines. */
const pickedMost = 100;
/** Of the many unknown names that a text can hold, so many are compared with every product. */
const comparedMost = 5;
const comparedWordsMost = 6;
/** How many pieces around "and" or "&" a product's name may have. */
const joinedMost = 4;
const nearMost = 3;
/** From 0 (nothing in common) to 1 (the same); "bagette" is 0.77 like "baguette". */
const nearFrom = 0.5;
const wordCharsMost = 40;

const numbers: Readonly<Record<string, number>> = {
  a: 1,
  an: 1,
  one: 1,
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  eight: 8,
  nine: 9,
  ten: 10,
  eleven: 11,
  twelve: 12,
};

const opening = new RegExp(
  "^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|please|order|and|also|then|" +
    "(?:can|could|may) (?:i|we) (?:please )?(?:have|get|order)|" +
    "(?:i|we)(?:'d| would|'ll| will)? (?:like|love|want|need|have|take)(?: to (?:order|have))?)" +
    "(?=[\\s,:.!-]|$)[\\s,:.!-]*)+",
  "i",
);
const closing = /(?:(?:^|[\s,.!])(?:please|thanks|thank you|cheers|ta))+[\s.!]*$/i;
const leading = /^(\d{1,6})\s*(?:x|×|\*)?\s+(?=\S)|^(\d{1,6})\s*[x×*]\s*(?=\S)/i;
const trailing = /\s*[x×*]\s*(\d{1,6})$/i;
const inWords = new RegExp(`^(${Object.keys(numbers).join("|")})\\s+(?:x\\s+)?(?=\\S)`, "i");

/**
 * Reads an order out of a text such as "2 x brie baguette, 1 flat white". A part is taken for a
 * product when its words are a product's SKU or title, or stand in the title of one product only;
 * letters that are merely similar are asked back and never guessed.
 */
export function understandText(text: string, offered: readonly Offered[]): Understood {
  const index = indexOf(offered);
  const understood = nothing();
  const pieces = text.split(/[\n,;]+/, partsMost + 1);
  const parts = pieces.slice(0, partsMost).flatMap((part) => readPart(part, index));
  understood.isTooLong = Math.max(pieces.length, parts.length) > partsMost;
  for (const { name, quantity, hasQuantity } of parts.slice(0, partsMost)) {
    understood.isOrder ||= hasQuantity;
    const product = find(index, name);
    if (product) addLine(understood, product, quantity);
    else addUnknown(understood, index, name);
  }
  understood.isOrder ||= understood.lines.length > 0;
  return understood;
}

/** The same for what was picked from the catalogue, by SKU. */
export function understandPicked(
  picked: readonly Wanted[],
  offered: readonly Offered[],
): Understood {
  const bySku = new Map(offered.map((product) => [product.sku, product]));
  const index = indexOf(offered);
  const understood = { ...nothing(), isOrder: true, isTooLong: picked.length > pickedMost };
  for (const { name, quantity } of picked) {
    const product = bySku.get(name);
    if (product) addLine(understood, product, quantity);
    else addUnknown(understood, index, name);
  }
  return understood;
}

const nothing = (): Understood => ({ lines: [], unknown: [], isOrder: false, isTooLong: false });

interface Part extends Wanted {
  hasQuantity: boolean;
}

interface Index {
  offered: readonly Offered[];
  /** Null where several products share a key. */
  byKey: Map<string, Offered | null>;
  /** How many products share a title. */
  titles: Map<string, number>;
  /** The words of each title. */
  words: Map<Offered, Set<string>>;
  /** The titles of each word. */
  byWord: Map<string, Offered[]>;
}

function indexOf(offered: readonly Offered[]): Index {
  const index: Index = {
    offered,
    byKey: new Map(),
    titles: new Map(),
    words: new Map(),
    byWord: new Map(),
  };
  for (const product of offered) {
    const words = new Set(wordsOf(product.title));
    index.words.set(product, words);
    const [title, sku] = [keyOf(product.title), keyOf(product.sku)];
    index.titles.set(title, (index.titles.get(title) ?? 0) + 1);
    for (const key of new Set([title, sku, `${title} ${sku}`])) {
      index.byKey.set(key, index.byKey.has(key) ? null : product);
    }
    for (const word of words) {
      const sharing = index.byWord.get(word);
      if (sharing) sharing.push(product);
      else index.byWord.set(word, [product]);
    }
  }
  return index;
}

/** Words without case, accents, punctuation and the plural's "s": what two spellings share. */
function wordsOf(text: string): string[] {
  return text
    .normalize("NFKD")
    .replace(/[\p{M}'’]/gu, "")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== "" && word !== "of" && word !== "the")
    .map((word) => (word.length > 3 ? word.replace(/(?<=[^s])s$/, "") : word));
}

const keyOf = (text: string): string => wordsOf(text).join(" ");

/** A part names one product, or several joined by "and". */
function readPart(part: string, index: Index): Part[] {
  const whole = readWanted(part, index);
  if (!whole) return [];
  // The joining words stand in between, for names that have them: "ham & cheese and tea".
  const pieces = part.split(/(\s(?:and|&)\s|\+)/i, 2 * partsMost + 1);
  const read: Part[] = [];
  for (let at = 0; at < pieces.length; ) {
    const { wanted, next } = longestKnown(pieces, at, index);
    if (wanted) read.push(wanted);
    at = next;
  }
  const helps = read.some((each) => each.hasQuantity || find(index, each.name) !== null);
  return helps ? read : [whole];
}

/** The most pieces from `at` on that make one product's name together; else the one piece. */
function longestKnown(pieces: readonly string[], at: number, index: Index) {
  for (let end = Math.min(pieces.length, at + 2 * joinedMost - 1); end > at + 1; end -= 2) {
    const wanted = readWanted(pieces.slice(at, end).join(""), index);
    if (wanted && find(index, wanted.name)) return { wanted, next: end + 1 };
  }
  return { wanted: readWanted(pieces[at] as string, index), next: at + 2 };
}

/** Null where courtesy is all there is. */
function readWanted(part: string, index: Index): Part | null {
  const asked = part.trim().replace(opening, "").replace(closing, "").trim();
  if (keyOf(asked) === "") return null;
  const one = { name: asked, quantity: 1, hasQuantity: /^\d/.test(asked) };
  // "7 Up" is a name and not seven of something.
  if (find(index, asked)) return one;
  for (const pattern of [leading, trailing, inWords]) {
    const match = pattern.exec(asked);
    const count = match?.[1] ?? match?.[2];
    if (count === undefined) continue;
    const quantity = numbers[count.toLowerCase()] ?? Number(count);
    // "I have a question" counts nothing.
    const hasQuantity = !/^an?$/i.test(count);
    return { name: asked.replace(pattern, "").trim(), quantity, hasQuantity };
  }
  return one;
}

function find(index: Index, name: string): Offered | null {
  const exact = index.byKey.get(keyOf(name));
  if (exact) return exact;
  const candidates = containing(index, name);
  return candidates.length === 1 ? (candidates[0] as Offered) : null;
}

/** Products whose title has every word that was asked for. */
function containing({ byWord, words }: Index, name: string): Offered[] {
  const asked = wordsOf(name);
  const [rarest = []] = asked
    .map((word) => byWord.get(word) ?? [])
    .sort((a, b) => a.length - b.length);
  return rarest.filter((product) => asked.every((word) => words.get(product)?.has(word)));
}

/** Twice the same product is one line of the order. */
function addLine(understood: Understood, product: Offered, quantity: number): void {
  const line = understood.lines.find((each) => each.product.id === product.id);
  if (line) line.quantity += quantity;
  else understood.lines.push({ product, quantity });
}

function addUnknown(understood: Understood, index: Index, name: string): void {
  const isCompared = understood.unknown.length < comparedMost;
  understood.unknown.push({ name, near: isCompared ? nearTo(index, name) : [] });
}

/** Those whose titles have all the words, if any do; else those whose words are most like them. */
function nearTo(index: Index, name: string): string[] {
  const namesOf = (products: readonly Offered[]) =>
    [...new Set(products.map((product) => nameOf(index, product)))].slice(0, nearMost);
  const several = containing(index, name);
  if (several.length > 0) return namesOf(several);
  const asked = wordsOf(name).slice(0, comparedWordsMost).map(likenesses);
  const scored = index.offered.map((product) => {
    const words = [...(index.words.get(product) ?? []), product.sku.toLowerCase()];
    const best = asked.map((likeness) => Math.max(0, ...words.map(likeness)));
    return { product, score: best.reduce((sum, one) => sum + one, 0) / best.length };
  });
  const near = scored.filter(({ score }) => score >= nearFrom);
  near.sort((a, b) => b.score - a.score || (a.product.title < b.product.title ? -1 : 1));
  return namesOf(near.map(({ product }) => product));
}

/** The title, and the SKU where others have the same; `find` knows a product by either. */
function nameOf({ titles }: Index, { title, sku }: Offered): string {
  return titles.get(keyOf(title)) === 1 ? title : `${title} (${sku})`;
}

/** How like a word others are, by the pairs of letters that both have (L. R. Dice, 1945). */
function likenesses(word: string): (other: string) => number {
  const known = new Map<string, number>();
  const pairs = pairsOf(word);
  return (other) => {
    const found = known.get(other);
    if (found !== undefined) return found;
    const others = pairsOf(other);
    const common = [...pairs].filter((pair) => others.has(pair)).length;
    const likeness = word === other ? 1 : (2 * common) / Math.max(1, pairs.size + others.size);
    known.set(other, likeness);
    return likeness;
  };
}

function pairsOf(word: string): Set<string> {
  const letters = word.slice(0, wordCharsMost);
  return new Set(Array.from({ length: letters.length }, (_, at) => letters.slice(at, at + 2)));
}
