/** Words that sources use for one thing. */
const synonyms: Readonly<Record<string, string>> = {
  pct: "percent",
  perc: "percent",
  percentage: "percent",
  vol: "volume",
  chg: "change",
  delta: "change",
  mcap: "marketcap",
  cap: "marketcap",
  px: "price",
  curr: "current",
  circ: "circulating",
  maximum: "max",
  minimum: "min",
  avail: "available",
  ts: "timestamp",
  time: "timestamp",
  updated: "update",
  ticker: "symbol",
  hours: "h",
  hour: "h",
  hrs: "h",
  hr: "h",
  days: "d",
  day: "d",
};

/** Words that say nothing that a column's other words do not. */
const fillers = new Set(["at", "in", "of", "current", "value"]);

/**
 * The words of a column's name: `priceChangePct24Hr` is price, change, percent, 24h. Windows are
 * canonical, so that `24Hr`, `24h` and `1d` are one.
 */
export function wordsOf(name: string): string[] {
  const spaced = name
    .replace(/(\d+)[_\s-]?(hours?|hrs?|h|days?|d|minutes?|mins?|m|years?|y)(?![a-z])/gi, " $1$2 ")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .toLowerCase();
  const words = spaced
    .split(/[^a-z0-9]+/)
    .filter(Boolean)
    .map(canonicalWord);
  const joined = words.filter((word, at) => word !== "market" || words[at + 1] !== "marketcap");
  const telling = joined.filter((word) => !fillers.has(word));
  return telling.length > 0 ? telling : joined;
}

function canonicalWord(word: string): string {
  const [, count, unit = ""] = /^(\d+)(h|d|m|y)[a-z]*$/.exec(word) ?? [];
  if (count === undefined) return synonyms[word] ?? word;
  if (unit === "h" && Number(count) % 24 === 0 && Number(count) > 0)
    return `${Number(count) / 24}d`;
  return `${Number(count)}${unit}`;
}

const isWindow = (word: string) => /^\d+[hdmy]$/.test(word);

/** The Levenshtein distance as a similarity from 0 to 1. */
export function levenshteinRatio(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  const longest = Math.max(a.length, b.length);
  return longest === 0 ? 1 : 1 - (row[b.length] as number) / longest;
}

/** Jaro-Winkler: like Jaro, with up to four common first letters counted more. */
export function jaroWinkler(a: string, b: string): number {
  if (a === b) return 1;
  const reach = Math.max(0, Math.floor(Math.max(a.length, b.length) / 2) - 1);
  const taken = new Set<number>();
  const matchedA: string[] = [];
  for (let i = 0; i < a.length; i += 1) {
    for (let j = Math.max(0, i - reach); j <= Math.min(b.length - 1, i + reach); j += 1) {
      if (taken.has(j) || a[i] !== b[j]) continue;
      taken.add(j);
      matchedA.push(a[i] as string);
      break;
    }
  }
  const common = matchedA.length;
  if (common === 0) return 0;
  const matchedB = [...taken].sort((x, y) => x - y).map((at) => b[at]);
  const moved = matchedA.filter((letter, at) => letter !== matchedB[at]).length / 2;
  const jaro = (common / a.length + common / b.length + (common - moved) / common) / 3;
  let prefix = 0;
  while (prefix < 4 && prefix < a.length && a[prefix] === b[prefix]) prefix += 1;
  return jaro + prefix * 0.1 * (1 - jaro);
}

/** Below this, two words are two words however many letters they share. */
const sameWordMin = 0.88;

/** How many words have a partner, by how alike the two are; windows only match themselves. */
function sharedWords(a: readonly string[], b: readonly string[]): number {
  const left = [...b];
  let shared = 0;
  for (const word of a) {
    const scores = left.map((other) => wordScore(word, other));
    const best = Math.max(0, ...scores);
    if (best < sameWordMin) continue;
    shared += best;
    left.splice(scores.indexOf(best), 1);
  }
  return shared;
}

const wordScore = (a: string, b: string) =>
  a === b ? 1 : isWindow(a) || isWindow(b) ? 0 : jaroWinkler(a, b);

/**
 * How alike two names are, from 0 to 1. Most of it is which words have a partner; how the names
 * are spelled counts a little, and that all words of the shorter name are in the longer.
 */
export function nameSimilarity(a: string, b: string): number {
  const [wordsA, wordsB] = [wordsOf(a), wordsOf(b)];
  const shortest = Math.min(wordsA.length, wordsB.length);
  if (shortest === 0) return a === b ? 1 : 0;
  const shared = sharedWords(wordsA, wordsB);
  const dice = (2 * shared) / (wordsA.length + wordsB.length);
  const [joinedA, joinedB] = [[...wordsA].sort().join(" "), [...wordsB].sort().join(" ")];
  const spelling = levenshteinRatio(joinedA, joinedB);
  const score = 0.6 * dice + 0.2 * (shared / shortest) + 0.2 * spelling;
  return Math.round(score * 1_000) / 1_000;
}

/** Words of a group name different things: two names that have different ones are no rename. */
const exclusiveGroups: Readonly<Record<string, readonly string[]>> = {
  "ath/atl": ["ath", "atl"],
  "high/low": ["high", "low"],
  "open/close": ["open", "close"],
  "bid/ask": ["bid", "ask"],
  "maker/taker": ["maker", "taker"],
  "total/max/circulating": ["total", "max", "circulating"],
  "base/quote": ["base", "quote"],
  currency: ["usd", "eur", "gbp", "jpy", "chf", "cny", "btc", "eth", "usdt", "usdc"],
};
/** What one name has and the other lacks makes them two different things. */
const tellingWords = ["rank", "date", "change", "percent"];

/** Why two names can't be one column however alike they are, or null. */
export function vetoOf(a: string, b: string): string | null {
  const [wordsA, wordsB] = [new Set(wordsOf(a)), new Set(wordsOf(b))];
  const windows = (words: Set<string>) => [...words].filter(isWindow).sort().join(" ");
  const [windowsA, windowsB] = [windows(wordsA), windows(wordsB)];
  if (windowsA && windowsB && windowsA !== windowsB) return `windows ${windowsA} and ${windowsB}`;
  for (const [name, group] of Object.entries(exclusiveGroups)) {
    const inA = group.filter((word) => wordsA.has(word)).join(" ");
    const inB = group.filter((word) => wordsB.has(word)).join(" ");
    if (inA && inB && inA !== inB) return name;
  }
  const telling = tellingWords.find((word) => wordsA.has(word) !== wordsB.has(word));
  return telling ? `only one of them says ${telling}` : null;
}
