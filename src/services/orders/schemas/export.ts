import { type Static, Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";
import { Order, OrderFilter, OrderItem } from "./orders.ts";

/** The filters of the list, which an export shows all of. */
export const ExportFilter = Type.Omit(OrderFilter, ["limit", "cursor"], {
  additionalProperties: false,
});
export type ExportFilter = Static<typeof ExportFilter>;

const { number, state, createdAt, updatedAt, notes, currency, shopId, customerId, ...order } =
  Order.properties;
const { customerName, customerEmail, customerPhone } = order;
const { quantity, unitPriceMinor, vatRate, totalMinor, vatMinor, allergens, productId, title } =
  OrderItem.properties;

/** A line of an order with what belongs to its order, which all of its lines repeat. */
export const ExportedLine = strict({
  number,
  state,
  createdAt,
  updatedAt,
  shop: Type.String({ examples: ["Example Street Deli"] }),
  customerName,
  customerEmail,
  customerPhone,
  notes,
  currency,
  orderNetMinor: order.netMinor,
  orderVatMinor: order.vatMinor,
  orderTotalMinor: order.totalMinor,
  line: Type.Integer({ minimum: 1, examples: [1] }),
  sku: Type.String({ description: "As the product has it now.", examples: ["CHS-CHED-200"] }),
  title,
  quantity,
  unitPriceMinor,
  vatRate,
  totalMinor,
  vatMinor,
  allergens,
  orderId: order.id,
  shopId,
  customerId,
  productId,
});
export type ExportedLine = Static<typeof ExportedLine>;

type Columns = Record<keyof ExportedLine, (line: ExportedLine) => unknown>;

/** The columns of an export: the members of a line, in their order. */
export const exportColumns = {
  ...(Object.fromEntries(
    Object.keys(ExportedLine.properties).map((name) => [
      name,
      (line: ExportedLine) => line[name as keyof ExportedLine],
    ]),
  ) as Columns),
  allergens: ({ allergens: names }: ExportedLine) => names.join(";"),
};
