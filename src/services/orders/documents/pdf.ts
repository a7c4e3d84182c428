import { scheduler } from "node:timers/promises";
import { type Run, unprintable } from "../rules/documents.ts";
import { loadTypeface, type Typeface } from "./fonts.ts";
import type { MeasureEm } from "./text.ts";

/** A millimetre in points, the unit of everything on a sheet. */
export const POINTS_PER_MM = 72 / 25.4;

/** Text whose baseline is at `y`; `x` is its left end, or its right end. Black unless said. */
export interface TextMark {
  readonly kind: "text";
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly runs: readonly Run[];
  readonly align?: "right";
  readonly color?: string;
}

/** A filled box; a thin one is a rule. Black unless said. */
export interface BoxMark {
  readonly kind: "box";
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly color?: string;
}

export type Mark = TextMark | BoxMark;

/** One page: its size in points, and what is on it, measured from the top left corner. */
export interface Sheet {
  readonly width: number;
  readonly height: number;
  readonly marks: readonly Mark[];
}

/** What a document says about itself. */
export interface PdfInfo {
  readonly title: string;
  readonly author: string;
  /** ISO-8601; when what it says was last changed, not when it was printed. */
  readonly at: string;
}

/** What a layout is made with. */
export interface Setting {
  readonly measure: MeasureEm;
  readonly xHeight: number;
  readonly capHeight: number;
  /** The text as it is measured and set; what the typeface lacks refuses the document. */
  printable(text: string): string;
  /** Gives other work its turn; for layouts that may have much to measure. */
  pause(): Promise<void>;
}

/**
 * Lays a document out and answers its bytes: the same ones for the same layout and info, whatever
 * was printed before. Between two sheets, other work gets its turn. Throws `unprintable` where the
 * typeface lacks a character, unless it is to `substitute` a mark for it.
 */
export async function renderPdf(
  info: PdfInfo,
  layout: (setting: Setting) => readonly Sheet[] | Promise<readonly Sheet[]>,
  { substitute = false }: { substitute?: boolean } = {},
): Promise<Buffer> {
  const typeface = await loadTypeface();
  const { default: PDFDocument } = await import("pdfkit");
  const at = new Date(info.at);
  const pdf = new PDFDocument({
    autoFirstPage: false,
    // An empty name is none: the built-in faces are not embedded, and know no Łódź.
    font: "",
    lang: "en-GB",
    displayTitle: true,
    pdfVersion: "1.7",
    info: {
      Title: info.title,
      Author: info.author,
      Creator: "Plimsoll",
      Producer: "Plimsoll",
      CreationDate: at,
      ModDate: at,
    },
  });
  pdf.registerFont("regular", faceOf(typeface.regular));
  pdf.registerFont("bold", faceOf(typeface.bold));
  const chunks: Uint8Array[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    pdf.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    pdf.on("end", resolve);
    pdf.on("error", reject);
  });
  const lacking = new Set<string>();
  const setting = settingOf(pdf, typeface, lacking);
  const sheets = await layout(setting);
  if (lacking.size > 0 && !substitute) throw unprintable([...lacking]);
  for (const sheet of sheets) {
    await setting.pause();
    drawSheet(pdf, sheet, setting.measure);
  }
  await setting.pause();
  pdf.end();
  await ended;
  return Buffer.concat(chunks);
}

type Pdf = PDFKit.PDFDocument;

/** pdfkit takes a parsed font as well as a file's bytes; its types don't say so. */
const faceOf = (font: Typeface["regular"]) => font as unknown as PDFKit.Mixins.PDFFontSource;

const weightOf = (bold: boolean) => (bold ? "bold" : "regular");

/** Measures each text once: a layout tries several sizes, and the width in ems is the same. */
function settingOf(pdf: Pdf, typeface: Typeface, lacking: Set<string>): Setting {
  const { xHeight, capHeight } = typeface;
  const printable = (text: string) =>
    typeface.printable(text, (character) => lacking.add(character));
  const known = { regular: new Map<string, number>(), bold: new Map<string, number>() };
  const measure = (text: string, bold: boolean) => {
    const weight = weightOf(bold);
    const widthEm = known[weight].get(text) ?? pdf.font(weight, 1).widthOfString(text);
    known[weight].set(text, widthEm);
    return widthEm;
  };
  return { xHeight, capHeight, printable, measure, pause: () => scheduler.yield() };
}

const BLACK = "#000000";

function drawSheet(pdf: Pdf, { width, height, marks }: Sheet, measure: MeasureEm): void {
  pdf.addPage({ size: [width, height], margin: 0 });
  for (const mark of marks) {
    if (mark.kind === "text") drawText(pdf, mark, measure);
    else pdf.rect(mark.x, mark.y, mark.width, mark.height).fill(mark.color ?? BLACK);
  }
}

function drawText(pdf: Pdf, mark: TextMark, measure: MeasureEm): void {
  const { runs, size, y, align, color = BLACK } = mark;
  const widths = runs.map(({ text, bold }) => measure(text, bold) * size);
  let x = mark.x;
  if (align === "right") x -= widths.reduce((sum, width) => sum + width, 0);
  runs.forEach(({ text, bold }, index) => {
    pdf.font(weightOf(bold), size).fillColor(color);
    pdf.text(text, x, y, { lineBreak: false, baseline: "alphabetic" });
    x += widths[index] as number;
  });
}
