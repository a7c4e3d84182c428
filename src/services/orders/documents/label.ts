import type { LabelContent, Run } from "../rules/documents.ts";
import { type Mark, POINTS_PER_MM, type Setting, type Sheet } from "./pdf.ts";
import { breakLines } from "./text.ts";

/** What stands on a label; texts are as `tidyText` leaves them. */
export interface Label extends Pick<LabelContent, "ingredients" | "contains"> {
  /** The name of the food. */
  readonly name: string;
  /** With its currency; null where none is wanted. */
  readonly price: string | null;
  /** Who sells it and where, on one line; empty where nobody is named. */
  readonly seller: string;
}

export interface LabelFormat {
  readonly widthMm: number;
  readonly heightMm: number;
  /** How high the smallest "x" may be: 1.2, or 0.9 on packs of less than 80 cm². */
  readonly xHeightMm: number;
}

const MARGIN_MM = 4;
/** Sizes in points before anything shrinks. */
const NAME_SIZE_MAX = 17;
const TEXT_SIZE_MAX = 11;
const SCALE_STEP = 0.96;
const NAME_LINES_WANTED = 2;
const SELLER_LINES_MAX = 2;
const LEADING = 1.22;
const NAME_LEADING = 1.1;
const PARAGRAPH_GAP = 0.45;
const NAME_SHRINK_PART = 0.82;
/** As parts of the label's height, of the name's size, and of the label's width. */
const NAME_HEIGHT_PART = 0.12;
const NAME_HEIGHT_PART_MAX = 0.75;
const FOOT_HEIGHT_PART = 0.2;
const TEXT_SIZE_PART = 0.72;
const PRICE_WIDTH_PART = 0.4;

const plain = (text: string): Run => ({ text, bold: false });
const strong = (text: string): Run => ({ text, bold: true });

/** The space within the margins, in points from the top left corner, and the smallest size. */
interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly sizeMin: number;
}

/** What every label of a food has, and where the text between it begins or ends. */
interface Surround {
  readonly marks: readonly Mark[];
  readonly edge: number;
}

interface Head extends Surround {
  /** The name's size, if its length allows it; the text's follows from it. */
  readonly wanted: number;
}

/**
 * A label for food that is packed where it is sold. Its text shrinks until all of it fits, but not
 * below the legal height; what is left then goes on to further labels, each with the food's name.
 */
export function labelSheets(label: Label, format: LabelFormat, setting: Setting): Sheet[] {
  const frame = frameOf(format, setting);
  const full = layOut(label, frame, setting, true);
  // Where the bold type is explained is not worth a label of its own.
  const bare = full.length > 1 ? layOut(label, frame, setting, false) : full;
  const pages = bare.length < full.length ? bare : full;
  return pages.map((marks) => ({
    width: format.widthMm * POINTS_PER_MM,
    height: format.heightMm * POINTS_PER_MM,
    marks,
  }));
}

function layOut(label: Label, frame: Frame, setting: Setting, withAdvice: boolean): Mark[][] {
  const foot = footOf(label, frame, setting);
  const paragraphs = paragraphsOf(label, { withAdvice, withSeller: foot === null }).map((runs) =>
    runs.map(({ text, bold }) => ({ text: setting.printable(text), bold })),
  );
  const bottom = foot?.edge ?? frame.bottom;
  const attempt = (scale: number, lowest: number) => {
    const head = headOf(label, frame, setting, scale);
    const size = Math.max(frame.sizeMin, Math.min(TEXT_SIZE_MAX, head.wanted * TEXT_SIZE_PART));
    const body = pagesOf(paragraphs, size, { ...frame, top: head.edge, bottom: lowest }, setting);
    const isOver = body.length > 1 || head.edge + size * setting.capHeight > lowest;
    return { head, body, isOver };
  };
  let scale = 1;
  let { head, body, isOver } = attempt(scale, bottom);
  while (isOver && head.wanted > frame.sizeMin) {
    scale *= SCALE_STEP;
    ({ head, body, isOver } = attempt(scale, bottom));
  }
  if (body.length === 1) return body.map((lines) => [...head.marks, ...lines, ...marksOf(foot)]);
  // A label's number stands beside the seller; where nobody is named, it needs a line of its own.
  ({ head, body } = attempt(scale, foot ? bottom : bottom - frame.sizeMin * LEADING));
  return body.map((lines, index) => [
    ...head.marks,
    ...lines,
    ...marksOf(foot),
    numberOf(index + 1, body.length, frame),
  ]);
}

const marksOf = (surround: Surround | null): readonly Mark[] => surround?.marks ?? [];

function frameOf({ widthMm, heightMm, xHeightMm }: LabelFormat, { xHeight }: Setting): Frame {
  const margin = MARGIN_MM * POINTS_PER_MM;
  return {
    left: margin,
    right: widthMm * POINTS_PER_MM - margin,
    top: margin,
    bottom: heightMm * POINTS_PER_MM - margin,
    // Rounded up: the law's height is a minimum.
    sizeMin: Math.ceil(((xHeightMm * POINTS_PER_MM) / xHeight) * 100) / 100,
  };
}

/** The food's name, on two lines if it can be, its price, and a rule below them. */
function headOf(label: Label, frame: Frame, setting: Setting, scale: number): Head {
  const { left, right, top, bottom, sizeMin } = frame;
  const [name, price] = [setting.printable(label.name), setting.printable(label.price ?? "")];
  const sizeMax = Math.min(NAME_SIZE_MAX, (top + bottom) * NAME_HEIGHT_PART);
  const priceEm = setting.measure(price, true);
  const wanted = Math.max(sizeMin, sizeMax * scale);
  let size = wanted;
  const priceSize = Math.min(size, ((right - left) * PRICE_WIDTH_PART) / Math.max(priceEm, 1));
  const nameWidth = right - left - (price === "" ? 0 : priceEm * priceSize + size * 0.8);
  const linesOf = (text: string, at: number) =>
    breakLines([strong(text)], nameWidth / at, setting.measure);
  const linesAt = (at: number) => linesOf(name, at);
  // A little smaller on one line reads better than a second line of one word.
  const onOneLine = (nameWidth - 1) / setting.measure(name, true);
  if (onOneLine >= Math.max(sizeMin, size * NAME_SHRINK_PART)) size = Math.min(size, onOneLine);
  while (linesAt(size).length > NAME_LINES_WANTED && size > sizeMin) {
    size = Math.max(sizeMin, size * SCALE_STEP);
  }
  let lines = linesAt(size);
  if (lines.length * size * NAME_LEADING > (bottom - top) * NAME_HEIGHT_PART_MAX) {
    // Words wider than the label leave half of their lines empty: as one word, they fill them.
    lines = linesOf(name.replaceAll(" ", "\u00a0"), size);
  }
  const first = top + size * setting.capHeight;
  const baseline = (line: number) => first + line * size * NAME_LEADING;
  const ruleY = baseline(lines.length - 1) + size * 0.45;
  const marks = lines.map((runs, line): Mark => {
    return { kind: "text", x: left, y: baseline(line), size, runs };
  });
  marks.push({ kind: "box", x: left, y: ruleY, width: right - left, height: 0.75 });
  if (price !== "") {
    const runs = [strong(price)];
    marks.push({ kind: "text", x: right, y: first, size: priceSize, runs, align: "right" });
  }
  return { marks, wanted, edge: ruleY + size * 0.55 };
}

/** The seller at the bottom; null where there is none, or one who needs too much room there. */
function footOf(label: Label, frame: Frame, setting: Setting): Surround | null {
  const { seller } = label;
  if (seller === "") return null;
  const { left, right, top, bottom, sizeMin: size } = frame;
  const width = right - left - numberWidth(size);
  const lines = breakLines([plain(setting.printable(seller))], width / size, setting.measure);
  const height = (lines.length - 1 + setting.capHeight) * size * LEADING;
  if (lines.length > SELLER_LINES_MAX || height > (bottom - top) * FOOT_HEIGHT_PART) return null;
  const first = bottom - (lines.length - 1) * size * LEADING;
  const edge = first - size * 2;
  // At least a line of what the food is made of has to fit between its name and its seller.
  const name = headOf(label, frame, setting, 0);
  if (name.edge + size * setting.capHeight > edge) return null;
  return {
    marks: lines.map((runs, line): Mark => {
      return { kind: "text", x: left, y: first + line * size * LEADING, size, runs };
    }),
    edge,
  };
}

const numberWidth = (size: number) => size * 4;

const numberOf = (page: number, pages: number, { right, bottom, sizeMin }: Frame): Mark => ({
  kind: "text",
  x: right,
  y: bottom,
  size: sizeMin,
  runs: [plain(`${page}/${pages}`)],
  align: "right",
});

function paragraphsOf(
  { ingredients, contains, seller }: Label,
  { withAdvice, withSeller }: { withAdvice: boolean; withSeller: boolean },
): Run[][] {
  const names = contains.flatMap((name, index) =>
    index > 0 ? [plain(", "), strong(name)] : [strong(name)],
  );
  const isEmphasised = ingredients.some(({ bold }) => bold);
  const advice = [plain("For allergens, see ingredients in "), strong("bold"), plain(".")];
  return [
    [plain("Ingredients: "), ...ingredients],
    ...(contains.length > 0 ? [[plain("Contains: "), ...names, plain(".")]] : []),
    ...(isEmphasised && withAdvice ? [advice] : []),
    ...(withSeller && seller !== "" ? [[plain(seller)]] : []),
  ];
}

/** The paragraphs' lines at this size, one list for each label that they fill. */
function pagesOf(
  paragraphs: readonly (readonly Run[])[],
  size: number,
  { left, right, top, bottom }: Frame,
  { measure, capHeight }: Setting,
): Mark[][] {
  const pages: Mark[][] = [[]];
  const first = top + size * capHeight;
  let y = first;
  for (const paragraph of paragraphs) {
    for (const runs of breakLines(paragraph, (right - left) / size, measure)) {
      // A page takes one line even where none fits, so that every text comes to an end.
      if (y > bottom && (pages.at(-1)?.length ?? 0) > 0) {
        pages.push([]);
        y = first;
      }
      pages.at(-1)?.push({ kind: "text", x: left, y, size, runs });
      y += size * LEADING;
    }
    y += size * PARAGRAPH_GAP;
  }
  return pages;
}
