import { moneyText } from "./money.ts";
import type { Understood } from "./whatsapp-text.ts";

/** What WhatsApp takes as one message. */
const replyCharsMost = 4_096;
const shownLinesMost = 40;

/** An order as far as its customer is told. */
export interface ToldOrder {
  number: string;
  currency: string;
  totalMinor: number;
  items: readonly { title: string; quantity: number; totalMinor: number }[];
  allergenWarnings: readonly { title: string; allergens: readonly string[] }[];
}

/** A price that has changed since the customer was shown it. */
export interface NewPrice {
  title: string;
  unitPriceMinor: number;
}

const example = 'For example: "2 x brie baguette, 1 flat white".';

/** What was ordered, what it costs, and what the customer should know before the shop confirms. */
export function orderReply(
  order: ToldOrder,
  { shopName, newPrices }: { shopName: string; newPrices: readonly NewPrice[] },
): string {
  const money = (amountMinor: number) => moneyText(amountMinor, order.currency);
  const shown = order.items.slice(0, shownLinesMost);
  const left = order.items.length - shown.length;
  return reply([
    `Thank you. This is order ${order.number} at ${shopName}:`,
    ...shown.map((item) => `${item.quantity} × ${item.title}: ${money(item.totalMinor)}`),
    ...(left > 0 ? [`and ${left} more`] : []),
    `Total ${money(order.totalMinor)}, VAT included.`,
    ...newPrices.map(
      ({ title, unitPriceMinor }) => `${title} costs ${money(unitPriceMinor)} by now.`,
    ),
    ...order.allergenWarnings.map(
      ({ title, allergens }) => `Please note: ${title} contains ${allergens.join(", ")}.`,
    ),
    "The shop will look at it and confirm.",
  ]);
}

/** Asks back what was not understood; nothing has been ordered. */
export function unknownReply({ unknown, isTooLong }: Understood): string {
  if (isTooLong) return reply(["That is more than one order can hold. Please send less at once."]);
  return reply([
    ...unknown.slice(0, shownLinesMost).map(({ name, near }) => {
      const start = `Sorry, we don't know "${name}".`;
      return near.length > 0 ? `${start} Did you mean ${either(near)}?` : start;
    }),
    "Nothing has been ordered yet. Please send the whole order again.",
  ]);
}

/** For what can't be read as an order. */
export function helpReply(): string {
  return reply([
    "Sorry, we could not read an order in that.",
    `Please send a text with what you would like. ${example}`,
  ]);
}

/** For an order that the rules refuse; `why` is the refusal's public detail. */
export function refusedReply(why: string): string {
  return reply([`Sorry, we could not take that order. ${why}`]);
}

/** For a number that has no open shop behind it. */
export function closedReply(): string {
  return reply(["Sorry, we can't take orders here at the moment."]);
}

function either(names: readonly string[]): string {
  const last = names.at(-1) as string;
  return names.length === 1 ? last : `${names.slice(0, -1).join(", ")} or ${last}`;
}

function reply(lines: readonly string[]): string {
  return lines.join("\n").slice(0, replyCharsMost).toWellFormed();
}
