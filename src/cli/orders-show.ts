import { money } from "./money.ts";
import type { Output } from "./output.ts";
import { type Column, formatRecord, formatTable } from "./table.ts";
import { readable } from "./text.ts";

/** What the API answers of an order, as far as it is shown. */
export interface ShownOrder extends Record<string, unknown> {
  id: string;
  number: string;
  state: string;
  currency: string;
  items?: Record<string, unknown>[];
  allergenWarnings: { title: string; allergens: string[] }[];
  allowedTransitions: string[];
  /** Of a draft that can't be submitted. */
  obstacles?: { message: string }[];
}

const total = ({ totalMinor, currency }: Record<string, unknown>) => money(totalMinor, currency);

/** Columns of a list of orders; a number names an order wherever an id does. */
export const orderColumns: readonly Column[] = [
  { title: "Number", value: "number" },
  { title: "State", value: "state" },
  { title: "Customer", value: "customerName" },
  { title: "Total", value: total, isAmount: true },
  {
    title: "Allergens",
    value: ({ allergenWarnings }) =>
      (allergenWarnings as ShownOrder["allergenWarnings"]).length > 0 ? "warning" : "",
  },
  { title: "Made", value: "createdAt" },
  { title: "What can be done", value: "allowedTransitions" },
];

/** An order for a person: what it is, what is in it, and what can be done with it. */
export function showOrder(out: Output, order: ShownOrder): void {
  out.result(order, () => {
    const { currency, netMinor, vatMinor, totalMinor } = order;
    const amounts = `${money(totalMinor, currency)} (net ${money(netMinor, currency)}`;
    const head = {
      number: order.number,
      state: order.state,
      customer: contactOf(order),
      notes: order.notes === "" ? null : order.notes,
      total: `${amounts}, VAT ${money(vatMinor, currency)})`,
      allergens: warningsOf(order),
      canBeDone: order.allowedTransitions,
      ...(order.obstacles && {
        inTheWay: order.obstacles.map(({ message }) => message).join("; "),
      }),
      made: order.createdAt,
      changed: order.updatedAt,
      version: order.version,
      id: order.id,
    };
    for (const text of formatRecord(head)) out.line(text);
    if (!order.items) return;
    out.line("");
    const heading = (text: string) => out.paint("bold", text);
    const columns: readonly Column[] = [
      { title: "Quantity", value: "quantity" },
      { title: "Title", value: "title" },
      {
        title: "Each",
        value: ({ unitPriceMinor }) => money(unitPriceMinor, currency),
        isAmount: true,
      },
      { title: "VAT", value: "vatRate" },
      { title: "Total", value: (item) => money(item.totalMinor, currency), isAmount: true },
      { title: "Allergens", value: "allergens" },
    ];
    for (const text of formatTable(columns, order.items, { heading })) out.line(text);
  });
}

function contactOf({ customerName, customerEmail, customerPhone }: ShownOrder): string | null {
  const known = [customerName, customerEmail, customerPhone].filter(Boolean);
  return known.length > 0 ? known.map(readable).join(", ") : null;
}

function warningsOf({ allergenWarnings, acknowledgedAllergens }: ShownOrder): string | null {
  if (allergenWarnings.length === 0) return null;
  const told = allergenWarnings.map(({ title, allergens }) => `${title}: ${allergens.join(", ")}`);
  return `${told.join("; ")}${acknowledgedAllergens ? " (acknowledged)" : ""}`;
}
