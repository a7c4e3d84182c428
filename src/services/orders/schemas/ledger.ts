import { type Static, Type } from "typebox";
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
} from "#kernel/http/schemas.ts";
import { vatRates } from "../rules/money.ts";

const members = {
  amountMinor: {
    ...AmountMinor,
    description: "VAT included, in the currency's smallest unit. Negative: paid out.",
  },
  vatRate: Type.Enum([...vatRates], { examples: ["standard"] }),
  reference: line(200, "What it is for: of an order its number.", "261120-7K3QD"),
};
const OrderId = Type.Unsafe<string | null>({
  ...Id,
  type: ["string", "null"],
  description: "The order that it belongs to.",
});

/** An entry of the ledger. It is never changed: its version stays 1. */
export const Transaction = strict(
  {
    id: Id,
    ...members,
    vatMinor: {
      ...AmountMinor,
      description: "The VAT in it, rounded half to even: amountMinor × rate / (100 + rate).",
    },
    currency: Currency,
    orderId: OrderId,
    ...stamps,
  },
  { title: "Transaction" },
);
export type Transaction = Static<typeof Transaction>;

export const TransactionPage = pageOf(Transaction, { title: "TransactionPage" });

export const TransactionFilter = strict({
  ...ListQuery.properties,
  orderId: Type.Optional(Id),
  from: Type.Optional({ ...Timestamp, description: "Booked at this moment or after." }),
  to: Type.Optional({ ...Timestamp, description: "Booked before this moment." }),
});
export type TransactionFilter = Static<typeof TransactionFilter>;

export const NewTransaction = strict(
  {
    ...members,
    vatMinor: Type.Optional({
      ...AmountMinor,
      description:
        "Computed unless given. To take an entry back, give its own negated: the lines of an " +
        "order were rounded one by one.",
    }),
    currency: Type.Optional({
      ...Currency,
      description: "The order's, if there is one, and GBP otherwise, unless given.",
    }),
    orderId: Type.Optional(OrderId),
  },
  {
    title: "NewTransaction",
    examples: [{ amountMinor: -475, vatRate: "standard", reference: "Refund, dropped roll" }],
  },
);
export type NewTransaction = Static<typeof NewTransaction>;
