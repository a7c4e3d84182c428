import Value from "typebox/value";
import { variableSchemas } from "./variables.ts";
import type { VariableSchema, Variables } from "./variables.ts";

export type EnvironmentVariables = Readonly<Record<string, string | undefined>>;

/** One thing that is wrong, by name; `problem` never holds a value. */
export interface ConfigFault {
  name: string;
  problem: string;
}

/** Names with our prefix that other programs of ours read. */
const readElsewhere = new Set([
  "PLIMSOLL_API",
  "PLIMSOLL_API_KEY",
  "PLIMSOLL_REQUIRE_ALL",
  "PLIMSOLL_TIDY_WORDS",
]);

/** Kubernetes sets such variables in every pod for a Service that is called plimsoll. */
const serviceLink =
  /^PLIMSOLL(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)$/;
const serviceLinkValue = /^(tcp|udp|sctp):\/\//;

/** Undefined for a text that means neither. */
export function parseBoolean(text: string): boolean | undefined {
  const lower = text.trim().toLowerCase();
  if (["1", "true", "yes", "on"].includes(lower)) return true;
  if (["0", "false", "no", "off"].includes(lower)) return false;
  return undefined;
}

/** The entries of a comma-separated list, trimmed, without empty ones. */
export function splitList(text: string): string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

function convert(schema: VariableSchema, text: string): unknown {
  if (schema.type === "integer") return /^\d{1,15}$/.test(text) ? Number(text) : text;
  if (schema.type === "boolean") return parseBoolean(text) ?? text;
  if (schema.type === "array") return splitList(text);
  return text;
}

/** Reads the known variables, with defaults; an empty text counts as absent. */
export function readVariables(env: EnvironmentVariables): {
  values: Variables;
  faults: ConfigFault[];
} {
  const values: Record<string, unknown> = {};
  const faults: ConfigFault[] = [];
  for (const [name, schema] of Object.entries(variableSchemas)) {
    const text = env[name]?.trim();
    if (!text) {
      if (schema.default !== undefined) values[name] = schema.default;
      continue;
    }
    const value = convert(schema, text);
    if (Value.Check(schema, value)) values[name] = value;
    else faults.push({ name, problem: `expects ${schema.expected}` });
  }
  return { values: values as Variables, faults };
}

/** `FLAG_<NAME>` by name in lower case. */
export function readFlags(env: EnvironmentVariables): {
  flags: Record<string, boolean>;
  faults: ConfigFault[];
} {
  const flags: Record<string, boolean> = {};
  const faults: ConfigFault[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith("FLAG_") || !text?.trim()) continue;
    const on = parseBoolean(text);
    if (!/^FLAG_[A-Z][A-Z0-9_]{0,62}$/.test(name)) {
      faults.push({ name, problem: "expects a name of upper-case letters, digits and _" });
    } else if (on === undefined) {
      faults.push({ name, problem: "expects 1, true, yes, on or 0, false, no, off" });
    } else {
      flags[name.slice("FLAG_".length).toLowerCase()] = on;
    }
  }
  return { flags, faults };
}

/** Edits (insert, delete, replace) from one name to the other. Wagner and Fischer, 1974. */
export function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}

function closest(
  name: string,
  candidates: readonly string[],
  maxEdits: number,
): { name: string; edits: number } {
  let best = { name: "", edits: Number.POSITIVE_INFINITY };
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > maxEdits) continue;
    const edits = editDistance(name, candidate);
    if (edits < best.edits) best = { name: candidate, edits };
  }
  return best;
}

function isOurs(name: string): boolean {
  return /^(PLIMSOL+|FLAGS?|OIDC)_/i.test(name);
}

/**
 * Names that are likely meant for us and that nobody reads: every unknown one with our prefixes,
 * and others one or two edits away from a known name that is not set itself.
 */
export function unknownNames(
  env: EnvironmentVariables,
  isKnownElsewhere: (name: string) => boolean,
): ConfigFault[] {
  const known = Object.keys(variableSchemas);
  const faults: ConfigFault[] = [];
  for (const name of Object.keys(env)) {
    if (variableSchemas[name] || name.startsWith("FLAG_")) continue;
    if (readElsewhere.has(name) || name.startsWith("PLIMSOLL_TEST_") || isKnownElsewhere(name))
      continue;
    if (serviceLink.test(name) || serviceLinkValue.test(env[name] ?? "")) continue;
    if (!isOurs(name) && (name.length < 8 || name.length > 64)) continue;
    const near = /^FLAG/i.test(name)
      ? { name: "FLAG_<NAME>", edits: 0 }
      : closest(name.toUpperCase(), known, isOurs(name) ? 5 : 2);
    const hint = near.edits <= 5 ? `; did you mean ${near.name}?` : "";
    if (isOurs(name)) faults.push({ name, problem: `is not a variable of this server${hint}` });
    else if (near.edits <= 2 && near.name.length >= 8 && env[near.name] === undefined) {
      faults.push({ name, problem: `is not a variable of this server${hint}` });
    }
  }
  return faults;
}
