/** The parts of JSON Schema that our schemas are made of. */
export interface JsonSchema {
  $ref?: string;
  type?: string | readonly string[];
  title?: string;
  description?: string;
  examples?: readonly unknown[];
  default?: unknown;
  const?: unknown;
  enum?: readonly unknown[];
  format?: string;
  pattern?: string;
  minLength?: number;
  minimum?: number;
  exclusiveMinimum?: number;
  minItems?: number;
  properties?: Readonly<Record<string, JsonSchema>>;
  required?: readonly string[];
  items?: JsonSchema;
  anyOf?: readonly JsonSchema[];
  oneOf?: readonly JsonSchema[];
  allOf?: readonly JsonSchema[];
  patternProperties?: Readonly<Record<string, JsonSchema>>;
  additionalProperties?: boolean | JsonSchema;
}

const formats: Readonly<Record<string, string>> = {
  uuid: "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a",
  "date-time": "2026-11-20T12:00:00.123456Z",
  date: "2026-11-20",
  time: "12:00:00Z",
  email: "ada@example.com",
  uri: "https://example.com/",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  hostname: "example.com",
};

/** Stands where a schema says nothing of a text. */
export const madeUp = "…";

/**
 * A value that shows what a schema means: its own first example where it has one, else one made of
 * its members. What only a pattern describes can't be guessed, so such schemas need an example.
 */
export function exampleOf(schema: JsonSchema): unknown {
  const { examples, enum: values, anyOf, oneOf, allOf } = schema;
  if (examples && examples.length > 0) return examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (values && values.length > 0) return values[0];
  if (allOf) return Object.assign({}, ...allOf.map((part) => exampleOf(part) as object));
  const branches = anyOf ?? oneOf;
  if (branches) return exampleOf(branches.find(({ type }) => type !== "null") ?? { type: "null" });
  return ofType(schema);
}

function ofType(schema: JsonSchema): unknown {
  const type = typeof schema.type === "object" ? schema.type[0] : schema.type;
  switch (type) {
    case "object":
      return objectExample(schema);
    case "array":
      return Array(Math.max(1, schema.minItems ?? 1)).fill(exampleOf(schema.items ?? {}));
    case "string":
      return formats[schema.format ?? ""] ?? madeUp.repeat(schema.minLength || 1);
    case "integer":
    case "number":
      return schema.minimum ?? (schema.exclusiveMinimum ?? 0) + 1;
    case "boolean":
      return true;
    default:
      return null;
  }
}

function objectExample({ properties, patternProperties }: JsonSchema): unknown {
  const example: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(properties ?? {})) example[name] = exampleOf(member);
  const [free] = Object.values(patternProperties ?? {});
  if (free && !properties) example.name = exampleOf(free);
  return example;
}
