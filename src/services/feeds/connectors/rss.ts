import { jsonTypes } from "../rules/schema.ts";
import type { Connector } from "./types.ts";

export interface RssConfig {
  readonly url: string;
}

/** The entries of an RSS 2.0 or Atom feed. */
export const rss: Connector<RssConfig> = {
  kind: "rss",
  stream: "entries",
  format: "feed",
  types: jsonTypes,
  quote: null,
  budget: { requestsPerMinute: 6 },
  key: () => ["id"],
  first: () => ({}),
  request: ({ url }, _position, secret) => ({
    url,
    headers: {
      accept: "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8",
      ...(secret !== null && { authorization: secret }),
    },
  }),
  next: () => null,
};
