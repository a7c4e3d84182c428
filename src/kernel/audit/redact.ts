const secretName = new RegExp(
  "pass(word|phrase|wd)|secret|token|authorization|credential|cookie|api_?key|private_?key" +
    "|^keys?$|totp|recovery_?codes?|sealed",
  "i",
);

const maxDepth = 12;

/** What stands in place of a secret. */
export const redacted = "[redacted]";

function isSecret(name: string, value: unknown): boolean {
  const holds = typeof value === "string" || (typeof value === "object" && value !== null);
  return holds && secretName.test(name);
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth >= maxDepth) return "[nested too deep]";
  if (Array.isArray(value)) return value.map((item) => clean(item, depth + 1));
  if (!isPlain(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      isSecret(name, member) ? redacted : clean(member, depth + 1),
    ]),
  );
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * A copy in which every member named like a secret is replaced by "[redacted]", whole, at any
 * depth. Numbers and booleans stay: `maxTokens: 100` is no secret.
 */
export function redact(value: unknown): unknown {
  return clean(value, 0);
}
