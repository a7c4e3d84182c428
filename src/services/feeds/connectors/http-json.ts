import { feedsErrors } from "../errors.ts";
import { jsonTypes } from "../rules/schema.ts";
import type { Connector, PageAnswer, Position } from "./types.ts";
import { nextLink, valueAt, withQuery } from "./urls.ts";

/** How an API is paged. Paths are dotted, in the answer's body. */
export type Pagination =
  | { readonly kind: "none" }
  | { readonly kind: "page"; readonly param: string; readonly first?: number }
  | {
      readonly kind: "offset";
      readonly param: string;
      readonly limitParam: string;
      readonly limit: number;
    }
  | { readonly kind: "cursor"; readonly param: string; readonly path: string }
  /** The `Link` header, or an address in the body where a path is given. */
  | { readonly kind: "link"; readonly path?: string };

export interface HttpJsonConfig {
  readonly url: string;
  /** Where the records are; the empty path is the body itself. */
  readonly itemsPath: string;
  readonly pagination: Pagination;
  readonly key: readonly string[];
  /** What a record is sorted by, and the parameter that asks for those from there on. */
  readonly cursor?: { readonly path: string; readonly param: string };
  /** The header that carries the secret, after `prefix`; `authorization` by default. */
  readonly secretHeader?: string;
  readonly secretPrefix?: string;
}

/** Any API that answers with lists of JSON objects. */
export const httpJson: Connector<HttpJsonConfig> = {
  kind: "http_json",
  stream: "items",
  format: "json",
  types: jsonTypes,
  quote: null,
  budget: { requestsPerMinute: 60 },
  key: ({ key }) => key,
  first: (_config, since): Position => (since === null ? {} : { since }),
  request(config, position, secret) {
    const { secretHeader = "authorization", secretPrefix = "" } = config;
    return {
      url: addressOf(config, position),
      headers: {
        accept: "application/json",
        ...(secret !== null && { [secretHeader]: `${secretPrefix}${secret}` }),
      },
    };
  },
  items({ itemsPath }, body) {
    const items = valueAt(body, itemsPath);
    return Array.isArray(items) ? items : null;
  },
  next(config, position, answer) {
    const step = nextStep(config, position, answer);
    return step === null ? null : { ...position, ...step };
  },
  cursorPath: ({ cursor }) => cursor?.path ?? null,
};

function addressOf({ url, pagination, cursor }: HttpJsonConfig, position: Position): string {
  if (position.link !== undefined) return String(position.link);
  const query: Record<string, string | number> = {};
  if (cursor && position.since !== undefined) query[cursor.param] = position.since;
  if (pagination.kind === "page") {
    query[pagination.param] = position.page ?? pagination.first ?? 1;
  }
  if (pagination.kind === "offset") {
    query[pagination.param] = position.offset ?? 0;
    query[pagination.limitParam] = pagination.limit;
  }
  if (pagination.kind === "cursor" && position.token !== undefined) {
    query[pagination.param] = position.token;
  }
  return withQuery(url, query);
}

function nextStep(
  { url, pagination }: HttpJsonConfig,
  position: Position,
  { body, count, headers, url: answeredFrom }: PageAnswer,
): Position | null {
  switch (pagination.kind) {
    case "none":
      return null;
    case "page":
      return count === 0 ? null : { page: Number(position.page ?? pagination.first ?? 1) + 1 };
    case "offset":
      return count < pagination.limit ? null : { offset: Number(position.offset ?? 0) + count };
    case "cursor": {
      const token = valueAt(body, pagination.path);
      const isToken = (typeof token === "string" && token !== "") || typeof token === "number";
      return isToken && token !== position.token ? { token } : null;
    }
    case "link": {
      const { path } = pagination;
      const link = path === undefined ? nextLink(headers.link) : valueAt(body, path);
      if (typeof link !== "string" || link === "") return null;
      if (!URL.canParse(link, answeredFrom)) throw badLink("is no address");
      const next = new URL(link, answeredFrom);
      // The secret goes with the request, and it is only for the source's own host.
      if (next.origin !== new URL(url).origin) throw badLink("leads to another host");
      return { link: next.href };
    }
  }
}

const badLink = (why: string) =>
  feedsErrors.bad_page({ detail: `The link to the next page ${why}; it must lead to the source.` });
