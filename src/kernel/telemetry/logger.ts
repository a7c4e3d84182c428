import { pino } from "pino";
import type { Logger as PinoLogger } from "pino";
import { redactLine } from "./redact.ts";

export type Logger = PinoLogger;

export interface LoggerOptions {
  level: string;
  /** Standard output, written synchronously, unless a test wants the lines. */
  stream?: { write(line: string): void };
  /** The trace that the running code belongs to, if traces are on. */
  trace?: () => { traceId: string; spanId: string } | null;
}

/** What a log line says of the request or job it belongs to. */
export interface LogContext {
  requestId?: string;
  tenant?: string;
  user?: string;
  job?: string;
}

const maxLineCharacters = 65_536;
const maxStackFrames = 12;
const maxCauses = 5;
const maxStatements = 20;
const maxStatementCharacters = 500;

interface DatabaseErrorLike extends Error {
  severity: string;
  code: string;
}

function isDatabaseError(error: Error): error is DatabaseErrorLike {
  const { severity, code } = error as Partial<DatabaseErrorLike>;
  return typeof severity === "string" && typeof code === "string" && code.length === 5;
}

/** PostgreSQL quotes the offending value after the last colon of messages about data (class 22). */
function messageOf(error: Error): string {
  if (!isDatabaseError(error) || !error.code.startsWith("22")) return error.message;
  const colon = error.message.indexOf(":");
  return colon === -1 ? error.message.replace(/"[^"]*"/g, '"…"') : error.message.slice(0, colon);
}

function framesOf(error: Error): string {
  const stack = error.stack ?? "";
  const start = stack.search(/\n\s+at /);
  if (start === -1) return "";
  return stack
    .slice(start + 1)
    .split("\n")
    .slice(0, maxStackFrames)
    .join("\n");
}

/** Members of errors that say where and what, and never hold what somebody has entered. */
const plainMembers = [
  "code",
  "status",
  "syscall",
  "errno",
  "severity",
  "schema",
  "table",
  "column",
  "constraint",
  "routine",
] as const;

/**
 * An error for the log, with its causes. Members are chosen by name: `detail`, `where`,
 * `parameters` and the like of a database error quote rows.
 */
export function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const out: Record<string, unknown> = { type: error.name, message: messageOf(error) };
  for (const member of plainMembers) {
    const value = (error as unknown as Record<string, unknown>)[member];
    if (typeof value === "string" || typeof value === "number") out[member] = value;
  }
  out["stack"] = framesOf(error);
  if (depth >= maxCauses) return out;
  if (error.cause !== undefined) out["cause"] = serializeError(error.cause, depth + 1);
  if (error instanceof AggregateError) {
    out["errors"] = error.errors
      .slice(0, maxCauses)
      .map((one: unknown) => serializeError(one, depth + 1));
  }
  return out;
}

/** The texts of slow statements: the first 20, and of each the first 500 characters. */
function serializeStatements(texts: unknown): unknown {
  if (!Array.isArray(texts)) return texts;
  const shown = texts.slice(0, maxStatements).map((text) => {
    const whole = String(text);
    const more = whole.length - maxStatementCharacters;
    if (more <= 0) return whole;
    return `${whole.slice(0, maxStatementCharacters)}… and ${more} characters`;
  });
  const more = texts.length - shown.length;
  return more > 0 ? [...shown, `… and ${more} statements`] : shown;
}

/** Errors are serialised under whatever name they stand, not only under `err`. */
function withErrors(members: Record<string, unknown>): Record<string, unknown> {
  let out = members;
  for (const key in members) {
    if (!(members[key] instanceof Error)) continue;
    if (out === members) out = { ...members };
    out[key] = serializeError(members[key]);
  }
  return out;
}

function shorten(line: string): string {
  const head = /^\{"level":"\w+","time":"[^"]{1,40}"/.exec(line)?.[0] ?? '{"level":"warn"';
  return `${head},"msg":"A log line of ${line.length} characters was left out"}\n`;
}

/**
 * The process's log: one line of JSON each with level name, ISO time and message. Every line goes
 * through `redactLine`. Writing is synchronous, so the last lines before an exit are not lost.
 */
export function createLogger({ level, stream, trace }: LoggerOptions): Logger {
  const sink = stream ?? pino.destination({ dest: 1, sync: true });
  const gate = {
    write(line: string) {
      sink.write(redactLine(line.length > maxLineCharacters ? shorten(line) : line));
    },
  };
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      depthLimit: 8,
      edgeLimit: 200,
      formatters: { level: (label) => ({ level: label }), log: withErrors },
      serializers: { err: serializeError, statements: serializeStatements },
      hooks: {
        logMethod(args, method) {
          const [first, ...rest]: unknown[] = args;
          const error = first instanceof Error ? first : (first as { err?: unknown } | null)?.err;
          const named = rest.length === 0 && error instanceof Error;
          method.apply(this, named ? [args[0], messageOf(error)] : args);
        },
      },
      ...(trace && { mixin: () => trace() ?? {} }),
    },
    gate,
  );
}

/** A logger all of whose lines name the request or job. */
export function logFor(log: Logger, context: LogContext): Logger {
  return log.child({ ...context });
}
