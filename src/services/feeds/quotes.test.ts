import assert from "node:assert/strict";
import { test } from "node:test";
import { parseExactJson } from "./rules/decimals.ts";
import {
  coingeckoErrorOf,
  coingeckoMeaning,
  coingeckoQuote,
  coinpaprikaQuote,
  type QuoteMapping,
  quoteOf,
} from "./rules/quotes.ts";
import { flatten } from "./rules/records.ts";

const gecko = {
  id: "bitcoin",
  symbol: "btc",
  name: "Bitcoin",
  current_price: 70187,
  market_cap: 1381651251183,
  total_volume: 20154184933,
  price_change_percentage_24h: 3.12502,
  last_updated: "2026-06-01T10:00:00.000Z",
};
const paprika = {
  id: "btc-bitcoin",
  name: "Bitcoin",
  symbol: "BTC",
  last_updated: "2026-06-01T10:00:00Z",
  quotes: {
    USD: {
      price: 70190.5,
      volume_24h: 20154184933.5,
      market_cap: 1381651251183,
      percent_change_24h: -3.1,
    },
  },
};

const read = (raw: object | string, mapping: QuoteMapping = coingeckoQuote) => {
  const record = typeof raw === "string" ? parseExactJson(raw) : raw;
  return quoteOf(flatten(record as Record<string, unknown>), mapping);
};
const quote = (raw: object | string, mapping?: QuoteMapping) => {
  const result = read(raw, mapping);
  assert.ok("quote" in result, JSON.stringify(result));
  return result.quote;
};
const fault = (raw: object | string) => {
  const result = read(raw);
  assert.ok("fault" in result, JSON.stringify(result));
  return result.fault.path;
};

// Guards against two sources of one coin that can't be compared.
test("both market sources become quotes", () => {
  assert.deepEqual(quote(gecko), {
    externalId: "bitcoin",
    symbol: "BTC",
    name: "Bitcoin",
    priceUsd: "70187",
    marketCapUsd: "1381651251183",
    volume24hUsd: "20154184933",
    change24hPct: "3.12502",
    observedAt: "2026-06-01T10:00:00.000Z",
  });
  const other = quote(paprika, coinpaprikaQuote);
  assert.deepEqual([other.priceUsd, other.change24hPct], ["70190.5", "-3.1"]);
});

// Guards against a price that a float has rounded.
test("every digit of a price arrives", () => {
  const text = JSON.stringify(gecko);
  const tiny = text.replace("70187", "0.000000012345678901234567890123");
  assert.equal(quote(tiny).priceUsd, "0.000000012345678901234567890123");
  const huge = text.replace("1381651251183", "123456789012345678901234.75");
  assert.equal(quote(huge).marketCapUsd, "123456789012345678901234.75");
  assert.equal(quote(text.replace("70187", "1.2e-9")).priceUsd, "0.0000000012");
});

// Guards against an unknown price that is reported as nothing.
test("null and absent stay null, zero stays zero", () => {
  const { market_cap: _, ...rest } = gecko;
  const known = quote({ ...rest, current_price: null, total_volume: 0 });
  assert.deepEqual([known.priceUsd, known.marketCapUsd, known.volume24hUsd], [null, null, "0"]);
});

// Guards against numbers that can't be true and are stored all the same.
test("what can't be true is a fault at its place", () => {
  const cases: [object | string, string][] = [
    [{ ...gecko, current_price: "70187" }, "current_price"],
    [{ ...gecko, current_price: -1 }, "current_price"],
    [{ ...gecko, current_price: true }, "current_price"],
    [{ ...gecko, current_price: [1] }, "current_price"],
    [JSON.stringify(gecko).replace("70187", "1e400"), "current_price"],
    [{ ...gecko, market_cap: -0.5 }, "market_cap"],
    [{ ...gecko, total_volume: -1 }, "total_volume"],
    [{ ...gecko, price_change_percentage_24h: -100.01 }, "price_change_percentage_24h"],
    [{ ...gecko, id: "" }, "id"],
    [{ ...gecko, symbol: null }, "symbol"],
    [{ ...gecko, name: "x".repeat(201) }, "name"],
    [{ ...gecko, last_updated: null }, "last_updated"],
    [{ ...gecko, last_updated: 1780000000 }, "last_updated"],
    [{ ...gecko, last_updated: "2026-13-01T00:00:00Z" }, "last_updated"],
  ];
  for (const [raw, path] of cases) assert.equal(fault(raw), path, JSON.stringify(raw));
  assert.equal(quote({ ...gecko, price_change_percentage_24h: -100 }).change24hPct, "-100");
});

// Guards against a range beyond the plan that is reported as a wrong key.
test("CoinGecko's error code is found and says more than its status", () => {
  const status = { timestamp: "2026-06-01T10:00:00Z", error_code: 10012, error_message: "365" };
  assert.deepEqual(coingeckoErrorOf({ error: { status } }), { code: 10012, message: "365" });
  assert.deepEqual(coingeckoErrorOf({ status })?.code, 10012);
  assert.deepEqual(coingeckoErrorOf({ error_code: 429 }), { code: 429, message: "" });
  for (const none of [null, [], "x", {}, { error: "coin not found" }, { status: "ok" }]) {
    assert.equal(coingeckoErrorOf(none), null);
  }
  assert.equal(coingeckoMeaning(10012), "plan");
  assert.equal(coingeckoMeaning(10002), "credentials");
  assert.equal(coingeckoMeaning(77), "other");
});
