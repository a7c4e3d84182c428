import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  autoRenames,
  compareValues,
  type DriftColumn,
  evidenceKeysMin,
  judgeDrift,
  nameScoreMin,
} from "./rules/drift.ts";
import { jaroWinkler, levenshteinRatio, nameSimilarity, vetoOf, wordsOf } from "./rules/names.ts";
import type { ColumnType } from "./rules/schema.ts";

const column = (
  name: string,
  valueOf: (at: number) => unknown = (at) => at + 1,
  { count = 40, type = "decimal" }: { count?: number; type?: ColumnType } = {},
): DriftColumn => ({
  name,
  type,
  values: new Map(Array.from({ length: count }, (_, at) => [`c${at}`, valueOf(at)])),
});

const judged = (removed: DriftColumn[], added: DriftColumn[], isStale = false) =>
  judgeDrift({ removed, added, isStale });
const verdict = (from: DriftColumn, to: DriftColumn, isStale = false) =>
  judged([from], [to], isStale)[0]?.verdict ?? "no";

/** Columns of the two market APIs and names that they have been given by others. */
const sameThing: [string, string][] = [
  ["current_price", "price"],
  ["price", "price_usd"],
  ["market_cap", "marketCap"],
  ["market_cap", "mcap"],
  ["market_cap_usd", "market_cap"],
  ["total_volume", "volume"],
  ["volume_24h", "vol24Hr"],
  ["volume_24h", "volume_24h_usd"],
  ["price_change_percentage_24h", "percent_change_24h"],
  ["price_change_percentage_24h", "priceChangePct24Hr"],
  ["price_change_percentage_24h", "change_24h_pct"],
  ["last_updated", "lastUpdatedAt"],
  ["circulating_supply", "circ_supply"],
  ["market_cap_rank", "cap_rank"],
  ["symbol", "ticker"],
  ["image", "image_url"],
  ["high_24h", "high24Hr"],
  ["max_supply", "maximum_supply"],
  ["quotes.USD.price", "quote.USD.price"],
  ["beta_value", "beta"],
];
const otherThing: [string, string][] = [
  ["ath_date", "atl_date"],
  ["percent_change_1h", "percent_change_1y"],
  ["high_24h", "low_24h"],
  ["total_supply", "max_supply"],
  ["market_cap", "market_cap_rank"],
  ["market_cap", "market_cap_change_24h"],
  ["price", "price_change_24h"],
  ["ath", "atl"],
  ["ath", "ath_date"],
  ["bid", "ask"],
  ["open_24h", "close_24h"],
  ["maker_fee", "taker_fee"],
  ["base_volume", "quote_volume"],
  ["price_usd", "price_btc"],
  ["volume_24h", "volume_7d"],
  ["percent_change_24h", "price_change_24h"],
  ["id", "image"],
  ["symbol", "name"],
  ["total_volume", "total_supply"],
];

// Guards against renames by spelling: these two measures call different things nearly the same.
test("names alone are unsafe: what is measured of them", () => {
  assert.equal(levenshteinRatio("ath_date", "atl_date"), 0.875);
  assert.equal(levenshteinRatio("percent_change_1h", "percent_change_1y").toFixed(2), "0.94");
  assert.ok(jaroWinkler("ath_date", "atl_date") > 0.9);
  for (const [a, b] of otherThing) {
    const isCandidate = nameSimilarity(a, b) >= nameScoreMin && vetoOf(a, b) === null;
    assert.ok(!isCandidate, `${a} ~ ${b}`);
  }
});

// Guards against a rename that nobody is told of because its names were thought too different.
test("other spellings of a name make a candidate", () => {
  for (const [a, b] of sameThing) {
    assert.ok(nameSimilarity(a, b) >= nameScoreMin, `${a} ~ ${b}: ${nameSimilarity(a, b)}`);
    assert.equal(vetoOf(a, b), null, `${a} ~ ${b}`);
  }
});

// Guards against false vetoes: a day has many spellings.
test("windows are canonical", () => {
  const day = ["change24Hr", "change_24h", "change_24_hours", "change1d", "change_1_day"];
  for (const name of day) assert.deepEqual(wordsOf(name), ["change", "1d"], name);
  assert.equal(vetoOf("change24Hr", "change_1d"), null);
  assert.match(vetoOf("change_24h", "change_1h") ?? "", /windows/);
});

// Guards against a score that depends on which name stands first, or leaves its range.
test("the name score is symmetric, from 0 to 1, and 1 for one name", () => {
  const name = fc.stringMatching(/^[a-zA-Z_0-9.]{1,24}$/);
  fc.assert(
    fc.property(name, name, (a, b) => {
      const score = nameSimilarity(a, b);
      assert.ok(score >= 0 && score <= 1, `${a} ~ ${b}: ${score}`);
      assert.ok(Math.abs(score - nameSimilarity(b, a)) < 0.15);
      assert.equal(nameSimilarity(a, a), 1);
      assert.equal(vetoOf(a, a), null);
      assert.equal(vetoOf(a, b) === null, vetoOf(b, a) === null);
    }),
  );
});

// Guards against a column mapped to another one on the strength of its name alone.
test("a rename is made only where names, values, types, best and margin all pass", () => {
  const from = column("current_price");
  const [pair] = judged([from], [column("priceCurrent"), column("price")]);
  assert.deepEqual([pair?.to, pair?.verdict, pair?.valueScore], ["price", "proposed", 1]);
  const alone = judged([from], [column("price"), column("rank_text", (at) => `x${at}`)]);
  assert.deepEqual(autoRenames(alone), { price: "current_price" });
  assert.deepEqual([alone[0]?.isMutualBest, alone[0]?.sharedKeys], [true, 40]);
});

// Guards against value evidence that a verdict does not follow.
test("values decide: auto, proposed or no", () => {
  const from = column("current_price");
  const off = (share: number) => column("price", (at) => (at < 40 * share ? at + 1 : at + 100));
  assert.equal(verdict(from, off(1)), "auto");
  assert.equal(verdict(from, off(0.7)), "auto");
  assert.equal(verdict(from, off(0.6)), "proposed");
  assert.equal(verdict(from, off(0.2)), "no");
  const few = column("price", undefined, { count: evidenceKeysMin - 1 });
  assert.equal(verdict(from, few), "proposed");
  assert.equal(judged([from], [few])[0]?.valueScore, null);
  const text = column("price", (at) => String(at + 1), { type: "text" });
  assert.equal(verdict(from, text), "no");
});

// Guards against a veto that equal values overrule: a stable coin's high is its low.
test("a veto is final however well the values agree", () => {
  for (const [from, to] of [
    ["ath_date", "atl_date"],
    ["high_24h", "low_24h"],
    ["percent_change_1h", "percent_change_1y"],
  ] as const) {
    const pairs = judged([column(from)], [column(to)]);
    assert.ok(pairs.every((pair) => pair.verdict === "no"));
  }
});

// Guards against a rename that is missed since its source changed every word of the name.
test("values alone propose: total_volume became volume_24h", () => {
  assert.ok(Math.abs(nameSimilarity("total_volume", "volume_24h") - 0.51) < 0.02);
  const [pair] = judged([column("total_volume")], [column("volume_24h")]);
  assert.equal(pair?.verdict, "proposed");
  const moved = column("volume_24h", (at) => (at < 37 ? at + 1 : -at));
  assert.deepEqual(judged([column("total_volume")], [moved]), []);
});

// Guards against evidence from nothing: two empty columns agree on every null.
test("nulls are no evidence; stale numbers may have moved further", () => {
  const nulls = column("a", () => null).values;
  assert.deepEqual(compareValues(nulls, nulls, false), { sharedKeys: 0, valueScore: null });
  const before = column("a", () => 100).values;
  const after = column("a", () => 110).values;
  assert.equal(compareValues(before, after, false).valueScore, 0);
  assert.equal(compareValues(before, after, true).valueScore, 1);
});
