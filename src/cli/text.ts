const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const isWide = new RegExp(
  "[\\p{Extended_Pictographic}\\u1100-\\u115f\\u2e80-\\ua4cf\\uac00-\\ud7a3" +
    "\\uf900-\\ufaff\\ufe30-\\ufe4f\\uff00-\\uff60\\uffe0-\\uffe6]",
  "u",
);
const isPlain = /^[\x20-\x7e]*$/;
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text from a server made safe for a terminal on one line: control characters, which could move the
 * cursor or change colours, and marks that reverse the writing are shown instead of obeyed.
 */
export function oneLine(text: string): string {
  return text.replace(controls, (mark) => {
    if (mark === "\n") return "↵";
    if (mark === "\t") return " ";
    return `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** How many columns of a terminal the text takes: 2 for wide characters, 1 for other graphemes. */
export function displayWidth(text: string): number {
  if (isPlain.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) columns += isWide.test(segment) ? 2 : 1;
  return columns;
}

/** The text cut to at most `columns`, with … where something is missing. */
export function fit(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let kept = "";
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    const width = isWide.test(segment) ? 2 : 1;
    if (used + width > columns - 1) break;
    kept += segment;
    used += width;
  }
  return `${kept}…`;
}

/** The text with blanks up to `columns`. */
export function pad(text: string, columns: number, side: "left" | "right" = "left"): string {
  const blanks = " ".repeat(Math.max(0, columns - displayWidth(text)));
  return side === "left" ? text + blanks : blanks + text;
}

/** A few of many by name, for a column: "shop:read, shop:update and 25 more". */
export function briefly(values: unknown, atMost = 3): string {
  const names = Array.isArray(values) ? values.map(readable) : [];
  if (names.length <= atMost + 1) return readable(names);
  return `${names.slice(0, atMost).join(", ")} and ${names.length - atMost} more`;
}

/** A value of an answer as a person reads it: times shortened to the second, lists by commas. */
export function readable(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length === 0 ? "–" : value.map(readable).join(", ");
  if (typeof value === "object") return oneLine(JSON.stringify(value));
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const time = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d+)?Z$/.exec(text);
  return time ? `${time[1]} ${time[2]}Z` : oneLine(text);
}
