import { isDeepStrictEqual } from "node:util";
import { exampleOf, type JsonSchema } from "./examples.ts";
import { ProblemDocument } from "./schemas.ts";
import type { DocumentedError } from "./types.ts";

const componentName = /^[A-Z][A-Za-z0-9]*$/;

/**
 * The shared parts of an OpenAPI document: named schemas, and problem answers by what they hold.
 */
export interface Components {
  /** The schema with every titled part taken out into a component and referred to. */
  refer(schema: JsonSchema): JsonSchema;
  /** A reference to the answer for `status` that lists these errors. */
  problem(status: string, errors: readonly DocumentedError[]): Record<string, unknown>;
  all(): Record<string, Record<string, unknown>>;
}

/** `refer` throws where two different schemas have one title. */
export function createComponents(): Components {
  const schemas = new Map<string, { source: JsonSchema; referred: JsonSchema }>();
  const problems = new Map<string, { name: string; answer: Record<string, unknown> }>();

  function refer(schema: JsonSchema): JsonSchema {
    const name = schema.title;
    if (name === undefined || !componentName.test(name)) return referWithin(schema, refer);
    const known = schemas.get(name);
    if (known === undefined) {
      // Entered before its parts, so that a schema that holds itself comes to an end.
      const entry = { source: schema, referred: {} as JsonSchema };
      schemas.set(name, entry);
      entry.referred = referWithin(schema, refer);
    } else if (known.source !== schema && !isDeepStrictEqual(plain(known.source), plain(schema))) {
      throw new Error(`Two different schemas have the title "${name}"`);
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  function problem(status: string, errors: readonly DocumentedError[]): Record<string, unknown> {
    const unique = [...new Map(errors.map((error) => [error.code, error])).values()];
    const key = unique.map(({ code }) => code).join(" ");
    let known = problems.get(key);
    if (!known) {
      const stem = `Problem${status}`;
      const alike = [...problems.values()].filter(({ name }) => name.startsWith(stem)).length;
      const name = alike === 0 ? stem : `${stem}x${alike + 1}`;
      known = { name, answer: problemAnswer(unique, refer) };
      problems.set(key, known);
    }
    return { $ref: `#/components/responses/${known.name}` };
  }

  return {
    refer,
    problem,
    all: () => ({
      schemas: Object.fromEntries(
        [...schemas]
          .map(([name, { referred }]) => [name, referred] as const)
          .sort(([a], [b]) => a.localeCompare(b)),
      ),
      responses: Object.fromEntries(
        [...problems.values()].map(({ name, answer }) => [name, answer]),
      ),
    }),
  };
}

type Refer = (schema: JsonSchema) => JsonSchema;

function problemAnswer(errors: readonly DocumentedError[], refer: Refer): Record<string, unknown> {
  const examples = errors.map(({ code, entry }) => [
    code,
    {
      value: {
        type: `/docs/errors#${code}`,
        title: entry.title,
        status: entry.status,
        detail: `${entry.title}.`,
        instance: "/api/v1/…",
        code,
        requestId: "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a",
        ...Object.fromEntries(
          Object.entries(entry.members ?? {}).map(([name, member]) => [name, exampleOf(member)]),
        ),
      },
    },
  ]);
  return {
    description: errors.map(({ entry }) => entry.title).join("; "),
    content: {
      "application/problem+json": {
        schema: problemSchema(errors, refer),
        examples: Object.fromEntries(examples),
      },
    },
  };
}

/** The members of all problems, and those that some of these errors have besides. */
function problemSchema(errors: readonly DocumentedError[], refer: Refer): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const { code, entry } of errors) {
    for (const [name, schema] of Object.entries(entry.members ?? {})) {
      const member: JsonSchema = schema;
      const description = `Of ${code}: ${member.description ?? name}`;
      const before = properties[name];
      const both = before && { anyOf: [...(before.anyOf ?? [before]), { ...member, description }] };
      properties[name] = both ?? { ...member, description };
    }
  }
  const problem = refer(ProblemDocument);
  if (Object.keys(properties).length === 0) return problem;
  return { allOf: [problem, { type: "object", properties: referAll(properties, refer) }] };
}

const referAll = (members: Readonly<Record<string, JsonSchema>>, refer: Refer) =>
  Object.fromEntries(Object.entries(members).map(([name, member]) => [name, refer(member)]));

function referWithin(schema: JsonSchema, refer: Refer): JsonSchema {
  const copy: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    copy[keyword] = referKeyword(keyword, value, refer);
  }
  return copy;
}

function referKeyword(keyword: string, value: unknown, refer: Refer): unknown {
  switch (keyword) {
    case "properties":
    case "patternProperties":
      return referAll(value as Record<string, JsonSchema>, refer);
    case "anyOf":
    case "oneOf":
    case "allOf":
      return (value as JsonSchema[]).map(refer);
    case "items":
    case "additionalProperties":
    case "not":
      return typeof value === "object" ? refer(value as JsonSchema) : value;
    default:
      return value;
  }
}

/** Without what TypeBox hangs on its schemas unseen. */
function plain(schema: JsonSchema): unknown {
  return JSON.parse(JSON.stringify(schema));
}
