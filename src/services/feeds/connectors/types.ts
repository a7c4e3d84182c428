import type { RateBudget } from "../rules/budget.ts";
import type { QuoteMapping } from "../rules/quotes.ts";
import type { TypeReader } from "../rules/schema.ts";

export const sourceKinds = ["coingecko", "coinpaprika", "csv", "http_json", "rss"] as const;
export type SourceKind = (typeof sourceKinds)[number];

/** Where a stream goes on: a plain object, kept with the records of the page before it. */
export type Position = Readonly<Record<string, string | number>>;

/** A request of one page. The secret is in its headers only. */
export interface PageRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a page has said, for finding the next one. */
export interface PageAnswer {
  readonly body: unknown;
  readonly count: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Where the answer came from. */
  readonly url: string;
}

/** What a source means by an answer that is no page. */
export type Refusal = "credentials" | "plan" | "rate_limited" | "unavailable" | "other";

/** A kind of source, as data and small pure functions; `fetchPages` does the rest. */
export interface Connector<Config> {
  readonly kind: SourceKind;
  /** What the source calls its records. */
  readonly stream: string;
  readonly format: "json" | "csv" | "feed";
  readonly types: TypeReader;
  /** Where a quote is in a record; null for streams that are no market. */
  readonly quote: QuoteMapping | null;
  /** What holds where the source's owner said nothing. */
  readonly budget: RateBudget;
  key(config: Config): readonly string[];
  /** Where a stream begins; `since` is what an earlier run has reached. */
  first(config: Config, since: string | null): Position;
  request(config: Config, position: Position, secret: string | null): PageRequest;
  /** The records of a JSON answer; null where it holds none. */
  items?(config: Config, body: unknown): readonly unknown[] | null;
  /** Where the page after this one is; null after the last one. */
  next(config: Config, position: Position, answer: PageAnswer): Position | null;
  /** Of a record, how far the stream has come with it. */
  cursorPath?(config: Config): string | null;
  /** What an answer means, where its status does not say it; null leaves it to the status. */
  refusal?(status: number, body: unknown): Refusal | null;
}
