import type { InvoiceContent } from "../rules/documents.ts";
import type { Mark, Setting, Sheet } from "./pdf.ts";
import { ASIDE, GREY, INK, LEADING, type Pen, penOf, RED, rule, type Style } from "./pen.ts";
import { abreast, type Block, stack, tableOf } from "./table.ts";

// A4, in points; measured from the top left corner.
const WIDTH = 595.28;
const HEIGHT = 841.89;
const LEFT = 56;
const RIGHT = WIDTH - 56;
const TOP = 48;
const BOTTOM = HEIGHT - 72;
const FOOT_Y = HEIGHT - 44;
/** What stands on the left beside something on the right. */
const HALF = (RIGHT - LEFT) / 2 - 16;
const FACTS_WIDTH = 170;
const TOTALS_WIDTH_MIN = 170;
const SUMS_GAP = 22;
/** An address of more lines is set as running text. */
const ADDRESS_LINES_MAX = 8;

const nameStyle: Style = { bold: true, size: 14 };
const totalStyle: Style = { bold: true, size: 13 };

/** An order on A4, on as many pages as its lines need, each of them under the table's head. */
export async function invoiceSheets(invoice: InvoiceContent, setting: Setting): Promise<Sheet[]> {
  const pen = penOf(setting);
  const rows = invoice.lines.map(({ title, quantity, unitPrice, vat, total }) => {
    return [title, quantity, unitPrice, vat, total];
  });
  const table = tableOf(
    {
      left: LEFT,
      right: RIGHT,
      heads: ["Item", "Quantity", "Unit price", "VAT", `Amount ${invoice.currency}`],
      rows,
      isRuled: true,
    },
    pen,
  );
  const continuation = continuationOf(invoice, pen);
  const pages: Mark[][] = [];
  let y = BOTTOM;
  const put = (block: Block) => {
    pages.at(-1)?.push(...block.at(y));
    y += block.height;
  };
  const begin = (...blocks: Block[]) => {
    pages.push([]);
    y = TOP;
    for (const block of blocks) put(block);
  };
  begin(openingOf(invoice, pen), table.head);
  for (const texts of rows) {
    await setting.pause();
    const row = table.rowOf(texts);
    if (y + row.height > BOTTOM) begin(continuation, table.head);
    put(row);
  }
  const sums = sumsOf(invoice, pen);
  if (y + sums.height > BOTTOM) begin(continuation);
  put(sums);
  return pages.map((marks, index) => ({
    width: WIDTH,
    height: HEIGHT,
    marks: [...marks, ...footOf(invoice, `Page ${index + 1} of ${pages.length}`, pen)],
  }));
}

/** Who sells, what this is, who buys: all that stands above the table on the first page. */
function openingOf(invoice: InvoiceContent, pen: Pen): Block {
  const { seller, buyer, note } = invoice;
  const left = stack([
    linesOf(pen.wrap(seller.name, HALF, nameStyle), pen, nameStyle),
    linesOf(addressLines(seller.address, pen), pen, { color: GREY }),
  ]);
  const customer = stack([
    linesOf(["Customer"], pen, ASIDE),
    ...buyer.map((line, index) => {
      const style = { bold: index === 0 };
      return linesOf(pen.wrap(line, HALF, style), pen, style);
    }),
  ]);
  const blocks = [
    abreast([left, factsOf(invoice, pen)]),
    ...(buyer.length > 0 ? [customer] : []),
    ...(note === null ? [] : [noteOf(note, pen)]),
    space(4),
  ];
  return stack(blocks, 22);
}

const space = (height: number): Block => ({ height, at: () => [] });

function linesOf(lines: readonly string[], pen: Pen, style: Style): Block {
  const leading = LEADING + (style.size ?? 9) - 9;
  return {
    height: lines.length * leading,
    at: (y) => lines.map((line, index) => pen.text(LEFT, y + (index + 0.8) * leading, line, style)),
  };
}

function addressLines(address: string, pen: Pen): string[] {
  const lines = pen.wrap(address, HALF);
  return lines.length > ADDRESS_LINES_MAX ? pen.wrap(address.replaceAll("\n", ", "), HALF) : lines;
}

/** What the paper is, in large letters on the right, and what identifies it. */
function factsOf({ heading, facts }: InvoiceContent, pen: Pen): Block {
  const color = heading === "CANCELLED" ? RED : INK;
  return {
    height: 30 + facts.length * LEADING,
    at: (y) => [
      pen.text(RIGHT, y + 14, heading, { bold: true, size: 22, align: "right", color }),
      ...facts.flatMap(({ name, value }, index) => {
        // On the lines of the address to the left, from the second one on.
        const baseline = y + 40 + index * LEADING;
        return [
          pen.text(RIGHT - FACTS_WIDTH, baseline, name, { color: GREY }),
          pen.text(RIGHT, baseline, value, { align: "right" }),
        ];
      }),
    ],
  };
}

const noteOf = (note: string, pen: Pen): Block => ({
  height: 24,
  at: (y) => [
    { kind: "box", x: LEFT, y, width: RIGHT - LEFT, height: 24, color: "#f1f2f5" },
    pen.text(LEFT + 10, y + 15.2, note),
  ],
});

/** What stands above the table on every further page. */
function continuationOf({ heading, number, seller }: InvoiceContent, pen: Pen): Block {
  const [name = ""] = pen.wrap(seller.name, HALF, { bold: true });
  return {
    height: 34,
    at: (y) => [
      pen.text(LEFT, y + 10, name, { bold: true }),
      pen.text(RIGHT, y + 10, `${heading} ${number}`, { align: "right" }),
    ],
  };
}

function footOf({ seller, number }: InvoiceContent, page: string, pen: Pen): Mark[] {
  const [name = ""] = pen.wrap(seller.name, HALF, ASIDE);
  return [
    rule(LEFT, FOOT_Y - 14, RIGHT - LEFT),
    pen.text(LEFT, FOOT_Y, `${name} · ${number}`, ASIDE),
    pen.text(RIGHT, FOOT_Y, page, { ...ASIDE, align: "right" }),
  ];
}

/** The sums of each VAT rate and those of the order, abreast where the figures allow it. */
function sumsOf(invoice: InvoiceContent, pen: Pen): Block {
  const rows = invoice.rates.map(({ name, net, vat, total }) => [name, net, vat, total]);
  const heads = ["VAT rate", "Net", "VAT", "Gross"];
  const rates = tableOf({ left: LEFT, heads, rows, isRuled: false }, pen);
  const width = Math.max(TOTALS_WIDTH_MIN, pen.widthOf(invoice.total, totalStyle) + 60);
  const summary = stack([rates.head, ...rows.map(rates.rowOf), noticeOf(pen)]);
  const totals = totalsOf(invoice, width, pen);
  const isNarrow = rates.width + SUMS_GAP + width <= RIGHT - LEFT;
  const sums = isNarrow ? abreast([summary, totals]) : stack([totals, summary], SUMS_GAP);
  return stack([space(0), sums], SUMS_GAP);
}

const noticeOf = (pen: Pen): Block => ({
  height: 26,
  at: (y) => [pen.text(LEFT, y + 18, "Prices include VAT, rounded for each line.", ASIDE)],
});

function totalsOf({ net, vat, total }: InvoiceContent, width: number, pen: Pen): Block {
  const x = RIGHT - width;
  const line = (y: number, name: string, value: string, style: Style = {}) => [
    pen.text(x, y, name, { ...style, size: 9 }),
    pen.text(RIGHT, y, value, { ...style, align: "right" }),
  ];
  return {
    height: 60,
    // The first two on lines of the table to the left.
    at: (y) => [
      ...line(y + 10, "Net", net),
      ...line(y + 28, "VAT", vat),
      rule(x, y + 36.5, width, true),
      ...line(y + 54, "Total", total, totalStyle),
    ],
  };
}
