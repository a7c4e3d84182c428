import assert from "node:assert/strict";
import test from "node:test";
import { invoiceSheets } from "./documents/invoice.ts";
import { renderPdf } from "./documents/pdf.ts";
import { type FoundPage, misplaced, readPdf } from "./fixtures/pdf.ts";
import { invoiceContent } from "./rules/documents.ts";
import { amountText, moneyText, type VatRate, vatRates } from "./rules/money.ts";
import { lineOf, type OrderState, orderStates, totalsOf } from "./rules/orders.ts";

const shop = {
  name: "Bermondsey Street Deli",
  address: "41 Bermondsey Street\nLondon SE1 3XF\nVAT GB 123 4567 89",
};

type Sold = [title: string, quantity: number, unitPriceMinor: number, vatRate: VatRate];
const basket: Sold[] = [
  ["Montgomery's Cheddar 200 g", 3, 795, "zero"],
  ["Brie & cranberry baguette", 2, 595, "standard"],
  ["Flat white", 7, 333, "standard"],
  ["Żurek", 1, 650, "reduced"],
  ["Cookery class", 1, 4_500, "exempt"],
];

function orderOf(
  sold: readonly Sold[] = basket,
  state: OrderState = "completed",
  currency = "GBP",
) {
  const items = sold.map(([title, quantity, priceMinor, vatRate], index) =>
    lineOf({ id: String(index), title, priceMinor, vatRate, allergens: [] }, quantity),
  );
  return {
    number: "261118-7K3QD",
    state,
    currency,
    items,
    ...totalsOf(items),
    customerName: "Ada Lovelace" as string | null,
    customerEmail: "ada@example.com" as string | null,
    customerPhone: "+44 20 7946 0018" as string | null,
    createdAt: "2026-11-18T23:59:59.999Z",
    updatedAt: "2026-11-20T12:00:00.000Z",
  };
}

async function print(order: ReturnType<typeof orderOf>, seller = shop) {
  const invoice = invoiceContent(order, seller);
  const info = { title: invoice.title, author: seller.name, at: order.updatedAt };
  return renderPdf(info, (setting) => invoiceSheets(invoice, setting));
}

const printed = async (...[order, seller]: Parameters<typeof print>) =>
  readPdf(await print(order, seller));

// Guards against an invoice whose figures are not the order's, or that leaves something out.
test("an invoice says who sold what to whom, for how much, and how it was taxed", async () => {
  const { lines, info, fonts } = await printed(orderOf());
  assert.deepEqual(lines, [
    "Bermondsey Street Deli | INVOICE",
    "41 Bermondsey Street",
    "London SE1 3XF | Order | 261118-7K3QD",
    "VAT GB 123 4567 89 | Ordered | 18 November 2026",
    "Invoice date | 20 November 2026",
    "State | Completed",
    "Customer",
    "Ada Lovelace",
    "ada@example.com",
    "+44 20 7946 0018",
    "Item | Quantity | Unit price | VAT | Amount GBP",
    "Montgomery's Cheddar 200 g | 3 | 7.95 | 0% | 23.85",
    "Brie & cranberry baguette | 2 | 5.95 | 20% | 11.90",
    "Flat white | 7 | 3.33 | 20% | 23.31",
    "Żurek | 1 | 6.50 | 5% | 6.50",
    "Cookery class | 1 | 45.00 | exempt | 45.00",
    "VAT rate | Net | VAT | Gross | Net | £104.39",
    "Zero 0% | 23.85 | 0.00 | 23.85 | VAT | £6.17",
    "Reduced 5% | 6.19 | 0.31 | 6.50",
    "Total | £110.56",
    "Standard 20% | 29.35 | 5.86 | 35.21",
    "Exempt | 45.00 | 0.00 | 45.00",
    "Prices include VAT, rounded for each line.",
    "Bermondsey Street Deli · 261118-7K3QD | Page 1 of 1",
  ]);
  assert.deepEqual(
    [info.Title, info.Author, info.Language, info.CreationDate, info.ModDate],
    ["INVOICE 261118-7K3QD", shop.name, "en-GB", "D:20261120120000Z", "D:20261120120000Z"],
  );
  assert.deepEqual(fonts, ["IBMPlexSans-Bold", "IBMPlexSans-Regular"]);
});

const headings: Record<OrderState, string> = {
  draft: "PROFORMA",
  pending: "PROFORMA",
  confirmed: "INVOICE",
  preparing: "INVOICE",
  ready: "INVOICE",
  completed: "INVOICE",
  cancelled: "CANCELLED",
};

// Guards against a draft that passes for an invoice, and against asking for money twice.
test("only what the shop has confirmed, and nobody cancelled, is an invoice", async () => {
  for (const state of orderStates) {
    const { lines, info } = await printed(orderOf(basket, state));
    const text = lines.join("\n");
    assert.equal(lines[0], `Bermondsey Street Deli | ${headings[state]}`);
    assert.equal(info.Title, `${headings[state]} 261118-7K3QD`);
    assert.match(text, new RegExp(`^State \\| ${state}$`, "im"));
    const isInvoice = headings[state] === "INVOICE";
    assert.equal(/invoice/i.test(text), isInvoice, state);
    assert.equal(/nothing is owed\.$/m.test(text), !isInvoice, state);
  }
});

// Guards against amounts a hundredfold too high or too low.
test("amounts have the decimals of their currency", async () => {
  const told = (amountMinor: number, currency: string) =>
    `${amountText(amountMinor, currency)} ${moneyText(amountMinor, currency)}`;
  assert.equal(told(5, "GBP"), "0.05 £0.05");
  assert.equal(told(0, "EUR"), "0.00 €0.00");
  assert.equal(told(1_234_567, "PLN"), "12,345.67 PLN 12,345.67");
  assert.equal(told(1_234_567, "JPY"), "1,234,567 JPY 1,234,567");
  assert.equal(told(999, "JPY"), "999 JPY 999");
  assert.equal(told(1_234_567, "KWD"), "1,234.567 KWD 1,234.567");
  assert.equal(told(-123_456, "GBP"), "\u22121,234.56 \u2212£1,234.56");
  assert.equal(
    told(Number.MAX_SAFE_INTEGER, "GBP"),
    "90,071,992,547,409.91 £90,071,992,547,409.91",
  );

  const yen = await printed(orderOf([["Onigiri", 3, 250, "reduced"]], "ready", "JPY"));
  assert.ok(yen.lines.includes("Onigiri | 3 | 250 | 5% | 750"), yen.lines.join("\n"));
  const dinars = await printed(orderOf([["Mezze", 2, 1_250, "standard"]], "ready", "KWD"));
  assert.ok(dinars.lines.includes("Mezze | 2 | 1.250 | 20% | 2.500"), dinars.lines.join("\n"));
});

const manyLines = (count: number, titleOf: (index: number) => string): Sold[] =>
  Array.from({ length: count }, (_, index) => [
    titleOf(index),
    1 + (index % 9),
    100 + index,
    vatRates[index % vatRates.length] as VatRate,
  ]);

// Guards against lines lost at the end of a page, and against pages that nobody can put in order.
test("a long order goes on over pages, each with the table's head and its number", async () => {
  const sold = manyLines(100, (index) =>
    index % 7 === 0 ? `Item ${index} ${"of many words ".repeat(17)}end` : `Item ${index} end`,
  );
  const order = orderOf(sold, "confirmed");
  const { pages, lines } = await printed(order);
  assert.ok(pages.length >= 4);
  const numbers = lines.flatMap((line) => /^Item (\d+) /.exec(line)?.[1] ?? []).map(Number);
  assert.deepEqual(
    numbers,
    sold.map((_, index) => index),
  );
  assert.equal(lines.filter((line) => /\bend\b/.test(line)).length, 100);
  pages.forEach((page, index) => {
    const head = page.lines.findIndex((line) => line.startsWith("Item | Quantity"));
    const firstItem = page.lines.findIndex((line) => /^Item \d/.test(line));
    if (firstItem >= 0) assert.ok(head >= 0 && head < firstItem, `page ${index + 1}`);
    assert.match(page.lines.at(-1) ?? "", new RegExp(`\\| Page ${index + 1} of ${pages.length}$`));
    if (index > 0) assert.equal(page.lines[0], `${shop.name} | INVOICE ${order.number}`);
    assert.deepEqual(misplaced(page), []);
  });
  const total = moneyText(order.totalMinor, "GBP");
  assert.equal(lines.filter((line) => line.endsWith(`Total | ${total}`)).length, 1);
});

// Guards against sums that run off the page, or into each other, when they are cut in two.
test("wherever the lines end, the sums follow in one piece", async () => {
  for (let count = 14; count <= 26; count += 1) {
    const { pages } = await printed(orderOf(manyLines(count, (index) => `Item ${index}`)));
    const last = pages.at(-1) as FoundPage;
    const text = last.lines.join("\n");
    assert.match(text, /VAT rate[^]*Zero[^]*Exempt[^]*rounded for each line/, `${count} lines`);
    assert.match(text, /Total \| £/, `${count} lines`);
    for (const page of pages) assert.deepEqual(misplaced(page), [], `${count} lines`);
  }
});

// Guards against texts and amounts of the greatest length pushing each other aside.
test("the longest names and the largest amounts have room", async () => {
  const wide = "W".repeat(255);
  const largest = orderOf(
    [
      [wide, 1, 9_007_199_254_740_000, "standard"],
      [wide, 10_000, 0, "exempt"],
    ],
    "draft",
    "PLN",
  );
  largest.customerName = "W".repeat(200);
  largest.customerEmail = `${"w".repeat(242)}@example.com`;
  const seller = { name: "W".repeat(200), address: "W\n".repeat(250) };
  const { pages, lines } = await printed(largest, seller);
  for (const page of pages) assert.deepEqual(misplaced(page), []);
  const letters = lines.join("").replace(/[^W]/g, "").length;
  assert.ok(letters >= 2 * 255 + 200 + 200 + 250, `${letters} letters`);
  assert.ok(lines.some((line) => line.endsWith("Total | PLN 90,071,992,547,400.00")));
  const nobody = await printed({
    ...orderOf(),
    customerName: null,
    customerEmail: null,
    customerPhone: null,
  });
  assert.ok(!nobody.lines.includes("Customer"));
});

// Guards against bytes that change with the time of day, and a server that stands still meanwhile.
test("the same order is the same bytes, and others have their turn while it is set", async () => {
  const order = orderOf(manyLines(100, (index) => `Item ${index}`));
  const first = await print(order);
  await print(orderOf(basket, "draft"));
  let turns = 0;
  let isDone = false;
  const count = () => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const second = await print(order);
  isDone = true;
  assert.deepEqual(second, first);
  assert.ok(turns > 100, `${turns} turns`);
});
