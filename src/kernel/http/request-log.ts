import type { FastifyBaseLogger } from "fastify";
import type { Logger } from "../telemetry/logger.ts";

/** What every line of a request says beside its own. */
export interface RequestBindings {
  requestId: string;
  trace?: string;
  tenant?: string;
  user?: string;
}

type Level = "fatal" | "error" | "warn" | "info" | "debug" | "trace";

/**
 * A request's logger. Most requests write no line of their own, so the child of the process's
 * logger is made with the first one; a class, since it is made for every request and its methods
 * are shared.
 */
export class RequestLog {
  readonly #parent: Logger;
  readonly #bindings: RequestBindings;
  #child: Logger | null = null;

  constructor(parent: Logger, bindings: RequestBindings) {
    this.#parent = parent;
    this.#bindings = bindings;
  }

  /** Adds what has become known of the request. */
  bind(bindings: Partial<RequestBindings>): void {
    Object.assign(this.#bindings, bindings);
    this.#child = null;
  }

  get level(): string {
    return this.#parent.level;
  }

  isLevelEnabled(level: Level): boolean {
    return this.#parent.isLevelEnabled(level);
  }

  child(bindings: Record<string, unknown>, options?: object): Logger {
    return this.#own().child(bindings, options);
  }

  fatal(...line: unknown[]): void {
    this.#write("fatal", line);
  }
  error(...line: unknown[]): void {
    this.#write("error", line);
  }
  warn(...line: unknown[]): void {
    this.#write("warn", line);
  }
  info(...line: unknown[]): void {
    this.#write("info", line);
  }
  debug(...line: unknown[]): void {
    this.#write("debug", line);
  }
  trace(...line: unknown[]): void {
    this.#write("trace", line);
  }
  silent(): void {}

  #write(level: Level, line: unknown[]): void {
    if (!this.#parent.isLevelEnabled(level)) return;
    this.#own()[level](...(line as [object, string]));
  }

  #own(): Logger {
    this.#child ??= this.#parent.child({ ...this.#bindings });
    return this.#child;
  }
}

/** Adds to a request's log lines; does nothing to another kind of logger. */
export function bindLog(log: FastifyBaseLogger, bindings: Partial<RequestBindings>): void {
  if (log instanceof RequestLog) log.bind(bindings);
}
