import type { Client } from "./client.ts";
import type { Output } from "./output.ts";
import type { Surroundings } from "./surroundings.ts";

/** What a command says of an option; `flags` as commander reads them: "--limit <count>". */
export interface OptionSpec {
  flags: string;
  summary: string;
  /** Text into the value that `run` gets; throws UsageError on nonsense. */
  parse?: (text: string) => unknown;
  choices?: readonly string[];
  default?: string | number | boolean;
  required?: boolean;
  /** May be given many times; the value is an array. */
  repeat?: boolean;
}

/** One run of a command: what it was given and what it works with. */
export interface Invocation {
  args: readonly string[];
  options: Readonly<Record<string, unknown>>;
  client: Client;
  out: Output;
  surroundings: Surroundings;
}

export interface CommandSpec {
  /** With its arguments, as commander reads them: "get <id>". */
  name: string;
  summary: string;
  options?: readonly OptionSpec[];
  /** Further lines of help. */
  help?: string;
  run?: (invocation: Invocation) => Promise<void>;
  commands?: readonly CommandSpec[];
}
