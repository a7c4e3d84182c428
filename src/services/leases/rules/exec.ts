import { type FieldError, requestErrors } from "#kernel/errors.ts";

/** The kernel takes no longer list of arguments everywhere; each counts with an end of its own. */
const commandBytesMost = 131_072;
const auditedChars = 1_000;

/** Throws the kernel's `invalid` for a command that names no program or is too long. */
export function assertCommand(command: readonly string[]): void {
  const errors: FieldError[] = [];
  if (command[0] === "") errors.push({ path: "/command/0", message: "must name a program" });
  const sizeBytes = command.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
  if (sizeBytes > commandBytesMost) {
    const message = `must not have more than ${commandBytesMost} bytes in all; it has ${sizeBytes}`;
    errors.push({ path: "/command", message });
  }
  if (errors.length > 0) throw requestErrors.invalid({ errors });
}

const assignment = /^([A-Za-z_][A-Za-z0-9_]*=).+/s;

/**
 * A command as the audit keeps it: its first thousand characters, and of variables that it is given
 * through `env` the names only.
 */
export function auditedCommand(command: readonly string[]): readonly string[] {
  const isEnv = /(^|\/)env$/.test(command[0] ?? "");
  let leftChars = auditedChars;
  const kept: string[] = [];
  for (const [at, word] of command.entries()) {
    const shown = isEnv ? word.replace(assignment, "$1…") : word;
    if (shown.length > leftChars) {
      const missing = command.length - at - 1;
      const more = missing > 0 ? ` and ${missing} more` : "";
      return [...kept, `${shown.slice(0, leftChars)}… (${shown.length} characters)${more}`];
    }
    leftChars -= shown.length;
    kept.push(shown);
  }
  return kept;
}
