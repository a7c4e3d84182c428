import serializerSelector from "@fastify/fast-json-stringify-compiler";
import type { FastifySchemaCompiler, FastifySerializerCompiler } from "fastify";

type Schema = Readonly<Record<string, unknown>>;

/** Formats whose values have nothing that JSON escapes, and that stores and the kernel make. */
const plainFormats: readonly unknown[] = ["uuid", "date-time"];

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The schema with ids and moments as fast-json-stringify's `unsafe`: quoted, not searched. */
function withPlainTexts(schema: Schema): Schema {
  const { type, format, properties, items } = schema;
  if (type === "string") return plainFormats.includes(format) ? { type, format: "unsafe" } : schema;
  // Below anyOf and the like a value is validated to find its branch, which has to know formats.
  return {
    ...schema,
    ...(isSchema(properties) && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, one]) => [
          name,
          isSchema(one) ? withPlainTexts(one) : one,
        ]),
      ),
    }),
    ...(isSchema(items) && { items: withPlainTexts(items) }),
  };
}

/**
 * Compiles response schemas for Fastify, as it does by itself, except that ids and moments are not
 * searched for characters to escape. They are over half of a row's characters, and that search was
 * up to a sixth of a list's processor time.
 */
export function createSerializerCompiler(): FastifySerializerCompiler<unknown> {
  const compile = serializerSelector()(
    {},
    { ajv: { formats: { unsafe: true } } },
  ) as unknown as FastifySchemaCompiler<unknown>;
  return (route) => {
    const { schema } = route;
    return compile({ ...route, schema: isSchema(schema) ? withPlainTexts(schema) : schema }) as (
      data: unknown,
    ) => string;
  };
}
