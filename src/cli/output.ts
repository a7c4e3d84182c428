import { ApiError, CommandError } from "./errors.ts";
import { type Column, formatRecord, formatTable } from "./table.ts";
import { oneLine } from "./text.ts";
import type { Surroundings } from "./surroundings.ts";

export interface Page {
  items: Record<string, unknown>[];
  nextCursor: string | null;
}

/** A bar on standard error while something long goes on; nothing where nobody watches. */
export interface Progress {
  update(done: number, note?: string): void;
  /** Takes the bar away. */
  end(): void;
}

/** Everything a command says. Answers go to standard output, everything else to standard error. */
export interface Output {
  readonly isJson: boolean;
  /** Whether a person sees standard output. */
  readonly isTerminal: boolean;
  /** An answer: as JSON for programs, else what `render` prints through the other functions. */
  result(value: unknown, render: () => void): void;
  page(columns: readonly Column[], page: Page): void;
  record(record: Record<string, unknown>): void;
  /** One line for people; not printed with --json. */
  line(text: string): void;
  /** One JSON value on a line of its own, of an answer without end. */
  jsonLine(value: unknown): void;
  raw(chunk: Uint8Array | string): Promise<void>;
  success(text: string): void;
  note(text: string): void;
  error(error: unknown): void;
  progress(label: string, total: number | null): Progress;
  paint(style: Style, text: string): string;
}

const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof styles;

const barColumns = 30;
const errorsShown = 20;

function hasColour(env: Surroundings["env"], stream: NodeJS.WriteStream, wanted: boolean): boolean {
  if (!wanted || env.NO_COLOR || env.TERM === "dumb") return false;
  return Boolean(env.FORCE_COLOR) || stream.isTTY === true;
}

/** `json` and `color` as the options of every command say. */
export function createOutput(
  { env, stdout, stderr }: Surroundings,
  { json, color }: { json: boolean; color: boolean },
): Output {
  const painter = (stream: NodeJS.WriteStream) => {
    const isOn = hasColour(env, stream, color);
    return (style: Style, text: string) =>
      isOn && text !== "" ? `\u001b[${styles[style]}m${text}\u001b[0m` : text;
  };
  const paint = painter(stdout);
  const paintError = painter(stderr);
  const print = (text: string) => void stdout.write(`${text}\n`);
  const note = (text: string) => void stderr.write(`${text}\n`);
  const out: Output = {
    isJson: json,
    isTerminal: stdout.isTTY === true,
    paint,
    result: (value, render) => (json ? print(JSON.stringify(value, null, 2)) : render()),
    page(columns, page) {
      const { items, nextCursor } = page;
      if (json) return print(JSON.stringify(page, null, 2));
      const found = nextCursor ? "Nothing on this page." : "Nothing found.";
      if (items.length === 0) note(paintError("dim", found));
      const widthColumns = stdout.isTTY ? stdout.columns : undefined;
      const heading = (text: string) => paint("bold", text);
      if (items.length > 0) {
        for (const text of formatTable(columns, items, { widthColumns, heading })) print(text);
      }
      if (nextCursor) note(paintError("dim", `There is more: --all, or --cursor ${nextCursor}`));
    },
    record: (record) =>
      out.result(record, () => {
        for (const text of formatRecord(record)) print(text);
      }),
    line: (text) => (json ? undefined : print(text)),
    jsonLine: (value) => print(JSON.stringify(value)),
    raw: (chunk) =>
      new Promise((resolve) => {
        if (stdout.write(chunk)) resolve();
        else stdout.once("drain", resolve);
      }),
    success: (text) => (json ? undefined : note(`${paintError("green", "✔")} ${text}`)),
    note: (text) => (json ? undefined : note(paintError("dim", text))),
    error: (error) => note(json ? errorAsJson(error) : describeError(error, paintError).join("\n")),
    progress: (label, total) => drawProgress(stderr, label, total, json),
  };
  return out;
}

function errorAsJson(error: unknown): string {
  if (error instanceof ApiError) return JSON.stringify(error.problem, null, 2);
  const detail = error instanceof Error ? error.message : String(error);
  return JSON.stringify({ title: "The command failed", status: 0, detail }, null, 2);
}

function describeError(error: unknown, paint: Output["paint"]): string[] {
  const cross = paint("red", "✖");
  if (error instanceof CommandError) {
    return [`${cross} ${error.message}`, ...(error.hint ? [`  ${error.hint}`] : [])];
  }
  if (!(error instanceof ApiError)) {
    return [`${cross} ${error instanceof Error ? error.message : String(error)}`];
  }
  const { title, status, detail, code, requestId, errors } = error.problem;
  const lines = [
    `${cross} ${oneLine(title)} ${paint("dim", `(${[status, code].join(" ").trim()})`)}`,
  ];
  if (detail && detail !== title && detail !== `${title}.`) lines.push(`  ${oneLine(detail)}`);
  for (const { path, message } of (errors ?? []).slice(0, errorsShown)) {
    lines.push(`  ${paint("yellow", oneLine(path || "body"))} ${oneLine(message)}`);
  }
  const more = (errors ?? []).length - errorsShown;
  if (more > 0) lines.push(paint("dim", `  and ${more} more: --json shows them`));
  if (error.retryAfterSeconds !== undefined) {
    lines.push(`  Try again in ${error.retryAfterSeconds} s.`);
  }
  if (status === 401) lines.push("  Sign in with: plimsoll login");
  if (requestId) lines.push(paint("dim", `  request ${oneLine(requestId)}`));
  return lines;
}

function drawProgress(
  stream: NodeJS.WriteStream,
  label: string,
  total: number | null,
  isJson: boolean,
): Progress {
  if (!stream.isTTY || isJson) return { update: () => {}, end: () => {} };
  return {
    update(done, note = "") {
      const share = total ? Math.min(1, done / total) : null;
      const filled = Math.round((share ?? 0) * barColumns);
      const bar = share === null ? "" : ` ${"█".repeat(filled)}${"░".repeat(barColumns - filled)}`;
      const figure = share === null ? String(done) : `${Math.floor(share * 100)} %`;
      const text = `${label}${bar} ${figure}${note ? ` ${note}` : ""}`;
      stream.write(`\r\u001b[K${text.slice(0, stream.columns - 1)}`);
    },
    end: () => void stream.write("\r\u001b[K"),
  };
}
