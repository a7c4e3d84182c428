import {
  type Static,
  type TObject,
  type TOptional,
  type TProperties,
  type TSchema,
  Type,
} from "typebox";

interface ObjectOptions {
  title?: string;
  description?: string;
  minProperties?: number;
  examples?: unknown[];
}

/**
 * An object that refuses members it does not know. Name one that clients should see as a type of
 * its own: `strict({ … }, { title: "Shop" })` becomes `Shop` in the OpenAPI document.
 */
export function strict<Properties extends TProperties>(
  properties: Properties,
  options: ObjectOptions = {},
) {
  return Type.Object(properties, { ...options, additionalProperties: false });
}

/** For texts that hold an id and need not: `examples: [exampleId]`. */
export const exampleId = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";

export const Id = Type.String({ format: "uuid", examples: [exampleId] });

/** ISO-8601; answers have it in UTC with six digits of fraction. */
export const Timestamp = Type.String({
  format: "date-time",
  maxLength: 40,
  examples: ["2026-11-20T12:00:00.123456Z"],
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
  "x-must": 'be a code of three capital letters, such as "GBP"',
  description: "ISO 4217 code.",
  examples: ["GBP"],
});

export const Money = strict({ amountMinor: AmountMinor, currency: Currency }, { title: "Money" });
export type Money = Static<typeof Money>;

/** Grows by one with every change; the ETag is made of it. */
export const Version = Type.Integer({ minimum: 1, examples: [1] });

/** What every row that can be changed has besides its own members. */
export const stamps = { version: Version, createdAt: Timestamp, updatedAt: Timestamp };

/** Text without line breaks, and without blanks around it. At least one character. */
export function line(maxLength: number, description: string, example: string) {
  return Type.String({
    minLength: 1,
    maxLength,
    pattern: "^\\S(.*\\S)?$",
    "x-must": "be one line without blanks around it",
    description: `${description} One line without blanks around it.`,
    examples: [example],
  });
}

/** Text of any number of lines; may be empty. */
export function text(maxLength: number, description: string, example: string) {
  return Type.String({ maxLength, description, examples: [example] });
}

type Optional<Members extends TProperties> = {
  [Name in keyof Members]: TOptional<Members[Name]>;
};
type Required<Members extends TProperties, Name extends keyof Members> = {
  [Each in keyof Members]: Each extends Name ? Members[Each] : TOptional<Members[Each]>;
};

/** The same members, each of which may be left out. */
export function optional<Members extends TProperties>(members: Members): Optional<Members> {
  const all = Object.entries(members).map(([name, schema]) => [name, Type.Optional(schema)]);
  return Object.fromEntries(all);
}

/**
 * What a POST takes: the members, of which only `required` must be given. Give them no `default`,
 * or a PATCH of the same members would fill in what it leaves out; `changes.ts` has the defaults.
 */
export function newOf<Members extends TProperties, Name extends keyof Members & string>(
  members: Members,
  required: readonly Name[],
  options: ObjectOptions = {},
): TObject<Required<Members, Name>> {
  const given = Object.fromEntries(required.map((name) => [name, members[name]]));
  const all = { ...optional(members), ...given } as unknown as Required<Members, Name>;
  return strict(all, options);
}

/** What a PATCH takes: any of the members, and at least one. */
export function changesOf<Members extends TProperties>(
  members: Members,
  options: ObjectOptions = {},
): TObject<Optional<Members>> {
  return strict(optional(members), { minProperties: 1, ...options });
}

/** Path parameters of a route about one thing. */
export const ById = strict({ id: Id });

const CURSOR_CHARS_MAX = 2_048;
const exampleCursor = "WyIwMTlhOWY2ZS0yYjVjLTdjMzEtOWQwYS02ZjFkMmUzYzRiNWEiXQ.8Jx0bYtqk3mW5vRz";

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
      examples: [exampleCursor],
    }),
  ),
});
export type ListQuery = Static<typeof ListQuery>;

/** Of lists that are short as a rule: all of it comes at once unless told otherwise. */
export const ShortListQuery = strict({
  ...ListQuery.properties,
  limit: Type.Integer({ ...ListQuery.properties.limit, default: 100 }),
});

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
    type: Type.String({
      description: "Where the code is explained.",
      examples: ["/docs/errors#ERR_REQUEST_INVALID"],
    }),
    title: Type.String({
      description: "The same for every occurrence of the code.",
      examples: ["The request has members that are not valid"],
    }),
    status: Type.Integer({ examples: [422] }),
    detail: Type.String({
      description: "What happened this time.",
      examples: ["The quantity must be at least 1."],
    }),
    instance: Type.String({
      description: "The path that was asked for.",
      examples: ["/api/v1/orders"],
    }),
    code: Type.String({ pattern: "^ERR_[A-Z0-9]+_[A-Z0-9_]+$" }),
    requestId: Type.String({ description: "Name it when you ask for help." }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String({
            description:
              "A JSON Pointer: into the body as `/items/0`, into another part after its name, as " +
              "`query/limit`, `path/id` or `header/last-event-id`.",
            examples: ["/items/0/quantity"],
          }),
          message: Type.String({ examples: ["must be >= 1"] }),
        }),
      ),
    ),
  },
  { title: "Problem" },
);
