import { type Static, Type } from "typebox";
import { AmountMinor, Currency, Id, line, strict, Version } from "#kernel/http/schemas.ts";
import { orderStates } from "../rules/orders.ts";
import { syncItemsMost, syncTypes } from "../rules/sync.ts";
import { CustomerChanges, NewCustomer } from "./customers.ts";
import { itemsMost, NewOrder, OrderChanges } from "./orders.ts";
import { NewProduct, ProductChanges } from "./products.ts";
import { NewShop, ShopChanges } from "./shops.ts";

const exampleKey = "till-7/c-12";

const itemMembers = {
  clientId: line(100, "Names the till; keys are its own.", "till-7"),
  type: Type.Enum([...syncTypes], { examples: ["customer"] }),
  key: line(
    100,
    "The till's own id of what it made; the server's id of what it got from the server.",
    exampleKey,
  ),
};

const SyncItem = strict(
  {
    ...itemMembers,
    baseVersion: Type.Optional(
      Type.Unsafe<number | null>({
        type: ["integer", "null"],
        minimum: 0,
        maximum: 2 ** 31 - 1,
        description: "The version that the till changed; null or 0 for what is new.",
        examples: [null],
      }),
    ),
    data: Type.Unsafe<Record<string, unknown> | null>({
      type: ["object", "null"],
      description:
        "What POST takes when it is new, else what PATCH takes; null deletes. A till's key may " +
        'stand for any id. An order may have a `state`: a new one "draft" or "pending", which ' +
        "submits it, with `acknowledgeAllergens`; another any, into which it is moved. Its items " +
        "may have the `unitPriceMinor` that the till took.",
      examples: [{ name: "Ada Lovelace" }],
    }),
  },
  { title: "SyncItem" },
);
export type SyncItem = Static<typeof SyncItem>;

export const SyncBatch = strict(
  { items: Type.Array(SyncItem, { minItems: 1, maxItems: syncItemsMost }) },
  {
    title: "SyncBatch",
    examples: [
      {
        items: [
          {
            clientId: "till-7",
            type: "customer",
            key: exampleKey,
            baseVersion: null,
            data: { name: "Ada Lovelace" },
          },
        ],
      },
    ],
  },
);

export const syncOutcomes = ["applied", "unchanged", "conflict", "refused"] as const;

const PriceDifference = strict(
  {
    productId: Id,
    currency: Currency,
    tillUnitPriceMinor: { ...AmountMinor, description: "What the till took." },
    unitPriceMinor: { ...AmountMinor, description: "What it is, and what the order says." },
  },
  { title: "SyncPriceDifference" },
);
export type PriceDifference = Static<typeof PriceDifference>;

const SyncProblem = Type.Object(
  {
    code: Type.String({ examples: ["ERR_ORDERS_SKU_TAKEN"] }),
    title: Type.String({ examples: ["The SKU is taken"] }),
    status: Type.Integer({
      description: "500 and more: the same item may be sent again.",
      examples: [409],
    }),
    detail: Type.String({ examples: ['There is a product with SKU "CHS-BRIE-150" already.'] }),
    errors: Type.Optional(
      Type.Array(
        strict({
          path: Type.String({
            description: "A JSON Pointer into the batch.",
            examples: ["/items/0/product/sku"],
          }),
          message: Type.String({ examples: ["is taken"] }),
        }),
      ),
    ),
  },
  {
    title: "SyncProblem",
    description:
      "As the endpoint of the resource would have answered, with the code's own members.",
    additionalProperties: true,
  },
);

const SyncResult = strict(
  {
    ...itemMembers,
    outcome: Type.Enum([...syncOutcomes], {
      description:
        "`applied` now; `unchanged`: applied before, or so already; `conflict`: it has another " +
        "version by now, or is gone, or can't be moved into that state, which the problem then " +
        "says; `refused` with a problem.",
      examples: ["applied"],
    }),
    id: Type.Unsafe<string | null>({
      ...Id,
      type: ["string", "null"],
      description: "The server's; null where there is none.",
    }),
    version: Type.Unsafe<number | null>({
      ...Version,
      type: ["integer", "null"],
      description: "The server's; null where it is refused, or deleted.",
    }),
    resource: Type.Unsafe<Record<string, unknown> | null>({
      type: ["object", "null"],
      additionalProperties: true,
      description: "As GET shows it; null where `version` is.",
      examples: [null],
    }),
    priceDifferences: Type.Optional(
      Type.Array(PriceDifference, {
        description: "Where the till took another price than the order says.",
      }),
    ),
    problem: Type.Optional(SyncProblem),
  },
  { title: "SyncResult" },
);
export type SyncResult = Static<typeof SyncResult>;

export const SyncAnswer = strict(
  { items: Type.Array(SyncResult, { description: "In the order of the batch." }) },
  { title: "SyncAnswer" },
);

const TillItem = strict({
  ...NewOrder.properties.items.items.properties,
  unitPriceMinor: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
});
const tillItems = Type.Array(TillItem, { minItems: 1, maxItems: itemsMost });
const tillMembers = {
  state: Type.Optional(Type.Enum([...orderStates])),
  acknowledgeAllergens: Type.Optional(Type.Boolean()),
};
const TillOrder = strict({ ...NewOrder.properties, ...tillMembers, items: tillItems });
const TillOrderChanges = strict(
  { ...OrderChanges.properties, ...tillMembers, items: Type.Optional(tillItems) },
  { minProperties: 1 },
);
export type TillOrder = Static<typeof TillOrder>;
export type TillOrderChanges = Static<typeof TillOrderChanges>;

/** What an item's data must be, by what it does. */
export const syncSchemas = {
  shop: { create: NewShop, update: ShopChanges },
  product: { create: NewProduct, update: ProductChanges },
  customer: { create: NewCustomer, update: CustomerChanges },
  order: { create: TillOrder, update: TillOrderChanges },
} as const;
