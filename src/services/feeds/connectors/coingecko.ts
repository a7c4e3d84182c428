import { coingeckoBudget } from "../rules/budget.ts";
import { coingeckoErrorOf, coingeckoMeaning, coingeckoQuote } from "../rules/quotes.ts";
import { jsonTypes } from "../rules/schema.ts";
import type { Connector } from "./types.ts";
import { withQuery } from "./urls.ts";

export interface CoingeckoConfig {
  readonly baseUrl?: string;
  readonly vsCurrency?: "usd";
  /** 1 to 250. */
  readonly perPage?: number;
  readonly maxPages?: number;
}

export const coingeckoUrl = "https://api.coingecko.com/api/v3";
const proHost = "pro-api.coingecko.com";

/** Coins with their market, by id: an order by rank shifts while pages are read. */
export const coingecko: Connector<CoingeckoConfig> = {
  kind: "coingecko",
  stream: "markets",
  format: "json",
  types: jsonTypes,
  quote: coingeckoQuote,
  budget: coingeckoBudget,
  key: () => ["id"],
  first: () => ({ page: 1 }),
  request({ baseUrl = coingeckoUrl, vsCurrency = "usd", perPage = 250 }, position, secret) {
    const isPro = URL.canParse(baseUrl) && new URL(baseUrl).hostname === proHost;
    const header = isPro ? "x-cg-pro-api-key" : "x-cg-demo-api-key";
    return {
      url: withQuery(`${baseUrl}/coins/markets`, {
        vs_currency: vsCurrency,
        order: "id_asc",
        per_page: perPage,
        page: position.page ?? 1,
      }),
      headers: { accept: "application/json", ...(secret !== null && { [header]: secret }) },
    };
  },
  items: (_config, body) => (Array.isArray(body) ? body : null),
  next({ perPage = 250, maxPages = 40 }, position, { count }) {
    const page = Number(position.page ?? 1);
    return count < perPage || page >= maxPages ? null : { page: page + 1 };
  },
  refusal(_status, body) {
    const error = coingeckoErrorOf(body);
    return error === null ? null : coingeckoMeaning(error.code);
  },
};
