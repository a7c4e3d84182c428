import { coinpaprikaBudget } from "../rules/budget.ts";
import { coinpaprikaQuote } from "../rules/quotes.ts";
import { jsonTypes } from "../rules/schema.ts";
import type { Connector, Refusal } from "./types.ts";
import { withQuery } from "./urls.ts";

export interface CoinpaprikaConfig {
  readonly baseUrl?: string;
  /** One to three, USD among them. */
  readonly quotes?: readonly string[];
}

export const coinpaprikaUrl = "https://api.coinpaprika.com/v1";

const meanings: Readonly<Record<number, Refusal>> = { 402: "plan", 403: "credentials" };

/** All tickers in one answer. */
export const coinpaprika: Connector<CoinpaprikaConfig> = {
  kind: "coinpaprika",
  stream: "tickers",
  format: "json",
  types: jsonTypes,
  quote: coinpaprikaQuote,
  budget: coinpaprikaBudget,
  key: () => ["id"],
  first: () => ({ page: 1 }),
  request({ baseUrl = coinpaprikaUrl, quotes = ["USD"] }, _position, secret) {
    return {
      url: withQuery(`${baseUrl}/tickers`, { quotes: quotes.join(",") }),
      headers: { accept: "application/json", ...(secret !== null && { authorization: secret }) },
    };
  },
  items: (_config, body) => (Array.isArray(body) ? body : null),
  next: () => null,
  refusal: (status) => meanings[status] ?? null,
};
