import { decimalOf } from "./decimals.ts";
import { isRecord, type RawRecord } from "./records.ts";
import { isMoment } from "./schema.ts";

/** A coin's price as one source saw it. Amounts are decimal texts, as `numeric` takes them. */
export interface CoinQuote {
  readonly externalId: string;
  readonly symbol: string;
  readonly name: string;
  readonly priceUsd: string | null;
  readonly marketCapUsd: string | null;
  readonly volume24hUsd: string | null;
  readonly change24hPct: string | null;
  /** ISO 8601 as the source said it. */
  readonly observedAt: string;
}

/** Why a record is no quote. `path` is the member of the record. */
export interface QuoteFault {
  readonly path: string;
  readonly message: string;
}

export type QuoteResult = { quote: CoinQuote } | { fault: QuoteFault };

/** Where a source keeps what a quote is made of, as column paths. */
export interface QuoteMapping {
  readonly externalId: string;
  readonly symbol: string;
  readonly name: string;
  readonly priceUsd: string;
  readonly marketCapUsd: string;
  readonly volume24hUsd: string;
  readonly change24hPct: string;
  readonly observedAt: string;
}

export const coingeckoQuote: QuoteMapping = {
  externalId: "id",
  symbol: "symbol",
  name: "name",
  priceUsd: "current_price",
  marketCapUsd: "market_cap",
  volume24hUsd: "total_volume",
  change24hPct: "price_change_percentage_24h",
  observedAt: "last_updated",
};

export const coinpaprikaQuote: QuoteMapping = {
  externalId: "id",
  symbol: "symbol",
  name: "name",
  priceUsd: "quotes.USD.price",
  marketCapUsd: "quotes.USD.market_cap",
  volume24hUsd: "quotes.USD.volume_24h",
  change24hPct: "quotes.USD.percent_change_24h",
  observedAt: "last_updated",
};

const textCharsMax = 200;
const changePctMin = -100;

class Faulty extends Error {
  readonly fault: QuoteFault;

  constructor(fault: QuoteFault) {
    super(fault.message);
    this.fault = fault;
  }
}

/**
 * A record as a quote. Null and absent amounts stay null, and zero stays zero: a price that nobody
 * knows is not nought. What can't be true (a text for a price, less than nothing, a fall by more
 * than all, no time) is a fault, never a guess.
 */
export function quoteOf(values: ReadonlyMap<string, unknown>, mapping: QuoteMapping): QuoteResult {
  try {
    return {
      quote: {
        externalId: textAt(values, mapping.externalId),
        symbol: textAt(values, mapping.symbol).toUpperCase(),
        name: textAt(values, mapping.name),
        priceUsd: amountAt(values, mapping.priceUsd, 0),
        marketCapUsd: amountAt(values, mapping.marketCapUsd, 0),
        volume24hUsd: amountAt(values, mapping.volume24hUsd, 0),
        change24hPct: amountAt(values, mapping.change24hPct, changePctMin),
        observedAt: momentAt(values, mapping.observedAt),
      },
    };
  } catch (error) {
    if (error instanceof Faulty) return { fault: error.fault };
    throw error;
  }
}

function fail(path: string, message: string): never {
  throw new Faulty({ path, message });
}

const shown = (value: unknown) => (JSON.stringify(value) ?? "nothing").slice(0, 60);

function textAt(values: ReadonlyMap<string, unknown>, path: string): string {
  const value = values.get(path);
  if (typeof value !== "string" || value.trim() === "" || value.length > textCharsMax) {
    fail(path, `It is ${shown(value)}; a text of 1 to ${textCharsMax} characters is needed.`);
  }
  return value.trim();
}

function amountAt(values: ReadonlyMap<string, unknown>, path: string, min: number): string | null {
  const value = values.get(path);
  if (value === null || value === undefined) return null;
  const text = decimalOf(value);
  if (text === null) fail(path, `It is ${shown(value)}; a number is needed.`);
  if (Number(text) < min) fail(path, `It is ${text}, which is less than ${min}.`);
  return text;
}

function momentAt(values: ReadonlyMap<string, unknown>, path: string): string {
  const value = values.get(path);
  if (typeof value !== "string" || !isMoment(value)) {
    fail(path, `It is ${shown(value)}; a moment of ISO 8601 is needed.`);
  }
  return value;
}

/** CoinGecko's error in a body, `{"status": {"error_code": …}}`, wherever it stands; or null. */
export function coingeckoErrorOf(body: unknown): { code: number; message: string } | null {
  if (!isRecord(body)) return null;
  const inner = isRecord(body.error) ? body.error : body;
  const status: RawRecord = isRecord(inner.status) ? inner.status : inner;
  const { error_code: code, error_message: message } = status;
  if (typeof code !== "number") return null;
  return { code, message: typeof message === "string" ? message.slice(0, 300) : "" };
}

/** What CoinGecko means by an error code, which its HTTP status does not say. */
export type CoingeckoMeaning = "credentials" | "plan" | "rate_limited" | "unavailable" | "other";

const coingeckoCodes: Readonly<Record<number, CoingeckoMeaning>> = {
  400: "other",
  401: "credentials",
  403: "plan",
  408: "unavailable",
  429: "rate_limited",
  500: "unavailable",
  503: "unavailable",
  1020: "unavailable",
  10002: "credentials",
  10005: "plan",
  10010: "credentials",
  10011: "credentials",
  10012: "plan",
};

/** A 401 with 10012 is a range that the plan does not have, and no wrong key. */
export const coingeckoMeaning = (code: number): CoingeckoMeaning => coingeckoCodes[code] ?? "other";
