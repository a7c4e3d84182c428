import { type Static, type TInteger, Type } from "typebox";
import {
  AmountMinor,
  Currency,
  Id,
  ListQuery,
  line,
  pageOf,
  stamps,
  strict,
  Timestamp,
  text,
} from "#kernel/http/schemas.ts";
import { vatRates } from "../rules/money.ts";
import { type OrderState, orderEventNames, orderStates, quantityMost } from "../rules/orders.ts";
import { knownAllergenList, orNull } from "./common.ts";
import { emailAddress, phoneNumber } from "./customers.ts";

export const itemsMost = 100;

const exampleId = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";

const contactMembers = {
  customerName: orNull(
    line(200, "The customer's, as it was when it was ordered, unless given.", "Ada Lovelace"),
  ),
  customerEmail: orNull(emailAddress("As customerName.")),
  customerPhone: orNull(phoneNumber("As customerName.")),
};
const notes = text(2000, "Empty unless given.", "No napkins");
const title = Type.String({ examples: ["Montgomery's Cheddar 200 g"] });
const VatRate = Type.Enum([...vatRates], { examples: ["zero"] });
const CustomerId = Type.Unsafe<string | null>({
  ...Id,
  type: ["string", "null"],
  description: "Null: nobody that is written down.",
});
const State = Type.Enum([...orderStates], { examples: ["pending"] });

export const OrderItem = strict(
  {
    productId: Id,
    title,
    quantity: Type.Integer({ minimum: 1, maximum: quantityMost, examples: [2] }),
    unitPriceMinor: { ...AmountMinor, description: "VAT included, as it was when ordered." },
    vatRate: VatRate,
    totalMinor: { ...AmountMinor, description: "unitPriceMinor × quantity." },
    vatMinor: {
      ...AmountMinor,
      description: "The VAT in it, rounded half to even: totalMinor × rate / (100 + rate).",
    },
    allergens: knownAllergenList("As the product had them when it was ordered or submitted."),
  },
  { title: "OrderItem" },
);

export const AllergenWarning = strict(
  {
    productId: Id,
    title,
    allergens: knownAllergenList("Those of the product that the customer must not eat."),
  },
  { title: "AllergenWarning" },
);

const totals = {
  netMinor: { ...AmountMinor, description: "totalMinor less vatMinor." },
  vatMinor: { ...AmountMinor, description: "Sum of the items' vatMinor." },
  totalMinor: { ...AmountMinor, description: "Sum of the items' totalMinor." },
};

const head = {
  id: Id,
  number: Type.String({
    description: "Unique in the tenant; short enough to be called out.",
    examples: ["261120-7K3QD"],
  }),
  shopId: Id,
  customerId: CustomerId,
  ...contactMembers,
  notes,
  state: State,
  currency: { ...Currency, description: "The shop's." },
};

const tail = {
  ...totals,
  allergenWarnings: Type.Array(AllergenWarning, {
    maxItems: itemsMost,
    description: "Items that hold what the customer must not eat.",
  }),
  acknowledgedAllergens: Type.Boolean({
    description: "Somebody submitted it knowing of the warnings.",
    examples: [false],
  }),
  ownerId: Type.String({
    description: "The user who made it.",
    examples: [exampleId],
  }),
};

const AllowedTransitions = Type.Array(Type.Enum([...orderEventNames]), {
  description: "What the caller may do with it now: POST /orders/{id}/ and this.",
  examples: [["confirm", "cancel"]],
});

const Obstacle = strict(
  {
    code: Type.String({
      description: "As submitting would be refused.",
      examples: ["ERR_ORDERS_RETIRED"],
    }),
    path: Type.String({
      description: "A JSON Pointer into the order.",
      examples: ["/items/0/productId"],
    }),
    message: Type.String({ examples: ["Montgomery's Cheddar 200 g is off sale"] }),
  },
  { title: "OrderObstacle" },
);

export const Order = strict(
  {
    ...head,
    items: Type.Array(OrderItem, { maxItems: itemsMost }),
    ...tail,
    allowedTransitions: AllowedTransitions,
    obstacles: Type.Optional(
      Type.Array(Obstacle, {
        description:
          "Of a draft that can't be submitted as it is: its shop, its customer or a product is " +
          "retired, or the shop has changed its currency.",
      }),
    ),
    ...stamps,
  },
  { title: "Order" },
);
export type Order = Static<typeof Order>;

/** As lists show it: without its items. */
export const OrderHead = strict(
  { ...head, ...tail, allowedTransitions: AllowedTransitions, ...stamps },
  { title: "OrderHead" },
);
export type OrderHead = Static<typeof OrderHead>;

export const OrderPage = pageOf(OrderHead, { title: "OrderPage" });

const moment = (description: string) => Type.Optional({ ...Timestamp, description });

/** Newest first; the filters narrow it down. */
export const OrderFilter = strict({
  ...ListQuery.properties,
  state: Type.Optional(State),
  shopId: Type.Optional(Id),
  customerId: Type.Optional(Id),
  from: moment("Made at this moment or after."),
  to: moment("Made before this moment."),
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description: "Part of the number or of the customer's name, in upper or lower case.",
      examples: ["7K3QD"],
    }),
  ),
});
export type OrderFilter = Static<typeof OrderFilter>;

const refused = (name: string) =>
  Type.Optional(
    Type.Unknown({
      description: `Refused with ERR_ORDERS_TOTALS_ARE_COMPUTED: the server computes ${name}.`,
    }),
  );
const believed = Type.Optional({
  ...Currency,
  description: "What the client believes it to be; ERR_ORDERS_MIXED_CURRENCIES if it is not.",
});

const NewItem = strict(
  {
    productId: Id,
    quantity: Type.Number({
      description: `A whole number from 1 to ${quantityMost}; else ERR_ORDERS_BAD_QUANTITY.`,
      examples: [2],
    }),
    currency: believed,
    unitPriceMinor: refused("prices"),
    totalMinor: refused("totals"),
    vatMinor: refused("the VAT"),
    title: refused("titles"),
    vatRate: refused("VAT rates"),
  },
  { title: "NewOrderItem", examples: [{ productId: exampleId, quantity: 2 }] },
);

const orderMembers = {
  shopId: Id,
  customerId: Type.Optional(CustomerId),
  customerName: Type.Optional(contactMembers.customerName),
  customerEmail: Type.Optional(contactMembers.customerEmail),
  customerPhone: Type.Optional(contactMembers.customerPhone),
  notes: Type.Optional(notes),
  items: Type.Array(NewItem, {
    minItems: 1,
    maxItems: itemsMost,
    description: "Each product once. Replaces all items where the order has some.",
  }),
  currency: believed,
  totalMinor: refused("totals"),
  netMinor: refused("totals"),
  vatMinor: refused("the VAT"),
};

const item = { productId: exampleId, quantity: 2 };

export const NewOrder = strict(orderMembers, {
  title: "NewOrder",
  examples: [{ shopId: exampleId, customerName: "Ada Lovelace", items: [item] }],
});
export type NewOrder = Static<typeof NewOrder>;

export const OrderChanges = strict(
  {
    ...orderMembers,
    shopId: Type.Optional(orderMembers.shopId),
    items: Type.Optional(orderMembers.items),
  },
  { title: "OrderChanges", minProperties: 1, examples: [{ items: [item] }] },
);
export type OrderChanges = Static<typeof OrderChanges>;

/** Body of everything that moves an order on; may be left out. */
export const Move = strict(
  {
    reason: Type.Optional(line(500, "Kept in the order's history.", "Customer rang to change it")),
    acknowledgeAllergens: Type.Optional(
      Type.Boolean({
        description: "Submits in spite of allergen warnings; kept in the history. Else ignored.",
        examples: [false],
      }),
    ),
  },
  { title: "OrderMove", examples: [{ reason: "Customer rang to change it" }] },
);
export type Move = Static<typeof Move>;

/** What events carry: titles are left out, so that the largest order fits into an event. */
export const ToldOrder = strict(
  {
    ...head,
    items: Type.Array(
      Type.Omit(OrderItem, ["title", "allergens"], { additionalProperties: false }),
    ),
    ...tail,
    allergenWarnings: Type.Array(
      Type.Omit(AllergenWarning, ["title"], { additionalProperties: false }),
    ),
    reason: Type.Optional(
      Type.String({
        description: "Why it was moved on, if somebody said so.",
        examples: ["Paid at the door"],
      }),
    ),
    ...stamps,
  },
  { title: "ToldOrder" },
);
export type ToldOrder = Static<typeof ToldOrder>;

/** `from` and `to` narrow down both halves, each by its own moment. */
export const SummaryFilter = strict({
  from: moment("Made, or completed, at this moment or after."),
  to: moment("Made, or completed, before this moment."),
  shopId: Type.Optional(Id),
});
export type SummaryFilter = Static<typeof SummaryFilter>;

export const revenueDaysMost = 1_000;

const countMembers = Object.fromEntries(
  orderStates.map((state) => [state, Type.Integer({ minimum: 0, examples: [3] })]),
) as Record<OrderState, TInteger>;

export const OrderSummary = strict(
  {
    counts: strict(countMembers, {
      description: "How many of the orders made in the range are in each state now.",
    }),
    revenue: Type.Array(
      strict({
        day: Type.String({ format: "date", description: "In UTC.", examples: ["2026-11-20"] }),
        currency: Currency,
        orders: Type.Integer({ minimum: 1, examples: [12] }),
        netMinor: AmountMinor,
        vatMinor: AmountMinor,
        totalMinor: AmountMinor,
      }),
      {
        maxItems: revenueDaysMost,
        description: `Orders completed in the range, by day and currency, newest first; at most \
${revenueDaysMost}.`,
      },
    ),
  },
  { title: "OrderSummary" },
);
export type OrderSummary = Static<typeof OrderSummary>;
