/** The subprotocol of terminals; `routes/terminal.ts` describes it. */
export const terminalProtocol = "plimsoll.terminal.v1";

export const columnsMost = 1_000;
export const rowsMost = 1_000;

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What a client says in text; bytes are what is typed. */
export type ClientWord =
  | ({ readonly type: "resize" } & TerminalSize)
  /** Nothing more is to be sent until `resume`. */
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  /** Ends the program. */
  | { readonly type: "end" };

/** What a server says in text; bytes are what is shown. */
export type ServerWord =
  /** Shown bytes go on from `position`; of those that were typed, `typed` have arrived. */
  | { type: "ready"; terminal: string; position: number; typed: number }
  | { type: "exit"; exitCode: number | null }
  | { type: "error"; code: string; detail: string };

/** How a connection is closed by the server, besides what the kernel says of its own. */
export const terminalCloses = {
  exited: { code: 1000, reason: "the program has ended" },
  notUnderstood: { code: 1008, reason: "the message is not understood" },
  takenOver: { code: 4000, reason: "another connection has taken over" },
} as const;

const isCount = (value: unknown, most: number): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;

/** Reads what a client says; null for what is none of it. */
export function readWord(text: string): ClientWord | null {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof said !== "object" || said === null) return null;
  const { type, columns, rows } = said as Record<string, unknown>;
  if (type === "pause" || type === "resume" || type === "end") return { type };
  if (type !== "resize") return null;
  return isCount(columns, columnsMost) && isCount(rows, rowsMost) ? { type, columns, rows } : null;
}
