import { isDeepStrictEqual } from "node:util";
import type { JsonSchema } from "./examples.ts";
import { ProblemDocument } from "./schemas.ts";
import type { DocumentedError } from "./types.ts";

const componentName = /^[A-Z][A-Za-z0-9]*$/;

/** The shared parts of an OpenAPI document: named schemas, and problem answers by what they hold. */
export class Components {
  readonly #schemas = new Map<string, { source: JsonSchema; referred: JsonSchema }>();
  readonly #problems = new Map<string, { name: string; answer: Record<string, unknown> }>();

  /** The schema with every titled part taken out into a component and referred to. */
  refer(schema: JsonSchema): JsonSchema {
    const name = schema.title;
    if (name === undefined || !componentName.test(name)) return this.#referWithin(schema);
    const known = this.#schemas.get(name);
    if (known === undefined) {
      // Entered before its parts, so that a schema that holds itself comes to an end.
      const entry = { source: schema, referred: {} as JsonSchema };
      this.#schemas.set(name, entry);
      entry.referred = this.#referWithin(schema);
    } else if (known.source !== schema && !isDeepStrictEqual(plain(known.source), plain(schema))) {
      throw new Error(`Two different schemas have the title "${name}"`);
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  /** A reference to the answer for `status` that lists these errors. */
  problem(status: string, errors: readonly DocumentedError[]): Record<string, unknown> {
    const unique = [...new Map(errors.map((error) => [error.code, error])).values()];
    const key = unique.map(({ code }) => code).join(" ");
    let known = this.#problems.get(key);
    if (!known) {
      const alike = [...this.#problems.values()].filter(({ name }) =>
        name.startsWith(`Problem${status}`),
      ).length;
      const name = alike === 0 ? `Problem${status}` : `Problem${status}x${alike + 1}`;
      known = { name, answer: this.#problemAnswer(unique) };
      this.#problems.set(key, known);
    }
    return { $ref: `#/components/responses/${known.name}` };
  }

  all(): Record<string, Record<string, unknown>> {
    const schemas = [...this.#schemas].map(([name, { referred }]) => [name, referred] as const);
    const problems = [...this.#problems.values()].map(({ name, answer }) => [name, answer] as const);
    return {
      schemas: Object.fromEntries(schemas.sort(([a], [b]) => a.localeCompare(b))),
      responses: Object.fromEntries(problems),
    };
  }

  #problemAnswer(errors: readonly DocumentedError[]): Record<string, unknown> {
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
        },
      },
    ]);
    return {
      description: errors.map(({ entry }) => entry.title).join("; "),
      content: {
        "application/problem+json": {
          schema: this.refer(ProblemDocument as JsonSchema),
          examples: Object.fromEntries(examples),
        },
      },
    };
  }

  #referWithin(schema: JsonSchema): JsonSchema {
    const copy: Record<string, unknown> = {};
    for (const [keyword, value] of Object.entries(schema)) {
      copy[keyword] = this.#referKeyword(keyword, value);
    }
    return copy;
  }

  #referKeyword(keyword: string, value: unknown): unknown {
    switch (keyword) {
      case "properties":
      case "patternProperties":
        return Object.fromEntries(
          Object.entries(value as Record<string, JsonSchema>).map(([name, member]) => [
            name,
            this.refer(member),
          ]),
        );
      case "anyOf":
      case "oneOf":
      case "allOf":
        return (value as JsonSchema[]).map((part) => this.refer(part));
      case "items":
      case "additionalProperties":
      case "not":
        return typeof value === "object" ? this.refer(value as JsonSchema) : value;
      default:
        return value;
    }
  }
}

/** Without what TypeBox hangs on its schemas unseen. */
function plain(schema: JsonSchema): unknown {
  return JSON.parse(JSON.stringify(schema));
}
