import { type Static, type TProperties, type TSchema, Type } from "typebox";

/**
 * An object that refuses members it does not know. Name one that clients should see as a type of
 * its own: `strict({ … }, { title: "Shop" })` becomes `Shop` in the OpenAPI document.
 */
export function strict<Properties extends TProperties>(
  properties: Properties,
  options: {
    title?: string;
    description?: string;
    minProperties?: number;
    examples?: unknown[];
  } = {},
) {
  return Type.Object(properties, { ...options, additionalProperties: false });
}

export const Id = Type.String({
  format: "uuid",
  examples: ["019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a"],
});

/** ISO-8601 in UTC. */
export const Timestamp = Type.String({
  format: "date-time",
  maxLength: 40,
  examples: ["2026-11-20T12:00:00.123Z"],
});

/** A day without time or zone. */
export const Day = Type.String({ format: "date", examples: ["2026-11-20"] });

export const AmountMinor = Type.Integer({
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
  description: "In the currency's smallest unit: pence, cents.",
  examples: [1250],
});

export const Currency = Type.String({
  pattern: "^[A-Z]{3}$",
  description: "ISO 4217 code.",
  examples: ["GBP"],
});

export const Money = strict({ amountMinor: AmountMinor, currency: Currency }, { title: "Money" });
export type Money = Static<typeof Money>;

/** Grows by one with every change; the ETag is made of it. */
export const Version = Type.Integer({ minimum: 1, examples: [1] });

/** Path parameters of a route about one thing. */
export const ById = strict({ id: Id });

const CURSOR_CHARS_MAX = 2_048;

/**
 * Query members of every list; a list's own filters stand beside: `strict({
 * ...ListQuery.properties, … })`.
 */
export const ListQuery = strict({
  limit: Type.Integer({
    minimum: 1,
    maximum: 100,
    default: 20,
    description: "How many items at most.",
    examples: [20],
  }),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: CURSOR_CHARS_MAX,
      description: "`nextCursor` of the page before, with the same filters.",
      examples: ["WyIwMTlhOWY2ZSJd.b3BhcXVlb3BhcXVl"],
    }),
  ),
});
export type ListQuery = Static<typeof ListQuery>;

/** One page of a list; `nextCursor` is null on the last one. */
export function pageOf<Item extends TSchema>(item: Item, options: { title?: string } = {}) {
  return strict(
    {
      items: Type.Array(item, { maxItems: 100 }),
      nextCursor: Type.Union([Type.String(), Type.Null()], {
        description: "For `?cursor=` of the next page; null on the last one.",
        examples: [null],
      }),
    },
    options,
  );
}

/** Of an answer without a body, such as 204. */
export const NoContent = Type.Null({ description: "Done; there is nothing to say." });

/** RFC 9457, as every error is answered. */
export const ProblemDocument = Type.Object(
  {
    type: Type.String({ description: "Where the code is explained." }),
    title: Type.String({ description: "The same for every occurrence of the code." }),
    status: Type.Integer(),
    detail: Type.String({ description: "What happened this time." }),
    instance: Type.String({ description: "The path that was asked for." }),
    code: Type.String({ pattern: "^ERR_[A-Z0-9]+_[A-Z0-9_]+$" }),
    requestId: Type.String({ description: "Name it when you ask for help." }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String({
            description: "A JSON Pointer into the body, or `query.limit`-like.",
          }),
          message: Type.String(),
        }),
      ),
    ),
  },
  { title: "Problem" },
);
