import { Writable } from "node:stream";
import { CommandError, UsageError } from "./errors.ts";
import { textOf } from "./options.ts";
import type { Surroundings } from "./surroundings.ts";
import type { Invocation } from "./types.ts";

const stdinCharsAtMost = 10_000;

type Terminal = Pick<Surroundings, "stdin" | "stderr">;

/** Asks a person for a line, a secret one unseen; a usage error where there is no terminal. */
export async function ask(
  { stdin, stderr }: Terminal,
  question: string,
  { isSecret = false, instead }: { isSecret?: boolean; instead: string },
): Promise<string> {
  if (!stdin.isTTY || !stderr.isTTY) throw new UsageError(`${instead} is needed`);
  const { createInterface } = await import("node:readline/promises");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  if (isSecret) stderr.write(`${question}: `);
  const lines = createInterface({
    input: stdin,
    output: isSecret ? silent : stderr,
    terminal: true,
  });
  const stopped = new AbortController();
  lines.once("SIGINT", () => stopped.abort());
  try {
    return await lines.question(isSecret ? "" : `${question}: `, { signal: stopped.signal });
  } catch (error) {
    if (stopped.signal.aborted) throw new CommandError("Stopped");
    throw error;
  } finally {
    lines.close();
    if (isSecret) stderr.write("\n");
  }
}

/** What an option says, or the person at the terminal. */
export async function optionOrAsk(
  { options, surroundings }: Invocation,
  name: string,
  question: string,
): Promise<string> {
  return textOf(options, name) ?? ask(surroundings, question, { instead: `--${name}` });
}

/** All of standard input as text, for `--password-stdin`, without the line break at its end. */
export async function readStdin(stdin: NodeJS.ReadStream): Promise<string> {
  let text = "";
  stdin.setEncoding("utf8");
  for await (const chunk of stdin) {
    text += chunk;
    if (text.length > stdinCharsAtMost) throw new UsageError("Standard input is too long");
  }
  return text.replace(/\r?\n$/, "");
}

/** A password from standard input or from the person at the terminal, who is asked twice if new. */
export async function readPassword(
  terminal: Terminal,
  { fromStdin, isNew = false }: { fromStdin: boolean; isNew?: boolean },
): Promise<string> {
  if (fromStdin) return readStdin(terminal.stdin);
  const hidden = { isSecret: true, instead: "--password-stdin (or a terminal)" };
  const password = await ask(terminal, "Password", hidden);
  if (isNew && (await ask(terminal, "Again", hidden)) !== password) {
    throw new UsageError("The two passwords differ");
  }
  return password;
}
