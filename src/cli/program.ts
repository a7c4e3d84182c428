import { Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "./errors.ts";
import type { CommandSpec, Invocation, OptionSpec } from "./types.ts";

/** Builds commander's commands from specs; `invoke` runs a command with what it was given. */
export function addCommand(
  parent: Command,
  spec: CommandSpec,
  invoke: (spec: CommandSpec, given: Pick<Invocation, "args" | "options">) => Promise<void>,
): void {
  const command = parent.command(spec.name).description(spec.summary);
  if (spec.help) command.addHelpText("after", `\n${spec.help}`);
  for (const option of spec.options ?? []) command.addOption(buildOption(option));
  for (const child of spec.commands ?? []) addCommand(command, child, invoke);
  if (!spec.run) return;
  command.action((...given: unknown[]) => {
    const values = given
      .slice(0, -2)
      .flat()
      .filter((value) => value !== undefined);
    return invoke(spec, { args: values.map(String), options: command.optsWithGlobals() });
  });
}

function buildOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.summary);
  if (spec.default !== undefined) option.default(spec.default);
  if (spec.choices) option.choices([...spec.choices]);
  if (spec.required) option.makeOptionMandatory();
  if (!spec.choices && (spec.parse || spec.repeat)) {
    option.argParser((text: string, before: unknown) => {
      const value = parsed(spec, text);
      return spec.repeat ? [...(Array.isArray(before) ? before : []), value] : value;
    });
  }
  return option;
}

function parsed(spec: OptionSpec, text: string): unknown {
  try {
    return spec.parse ? spec.parse(text) : text;
  } catch (error) {
    if (error instanceof UsageError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}
