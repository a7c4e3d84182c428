import { Ajv2020 } from "ajv/dist/2020.js";
import type { OpenApiDocument, Operation } from "../http/openapi.ts";
import { withFormats } from "../http/validation.ts";
import { faultyTags, isMadeUp, missingPromises } from "./openapi-promises.ts";

interface Content {
  schema?: object;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

/**
 * What is missing from or wrong with an OpenAPI document: an operation without id, summary, tag or
 * answer, a body or an answer without an example, an example that its own schema refuses, a
 * reference that leads nowhere, a parameter in the path that nobody describes. Empty when nothing
 * is.
 */
export function openApiFaults(document: OpenApiDocument): string[] {
  const ajv = withFormats(new Ajv2020({ strict: false, allErrors: true, validateFormats: true }));
  const faults = danglingReferences(document);
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const where = `${method.toUpperCase()} ${path}`;
      const say = (fault: string) => faults.push(`${where}: ${fault}`);
      if (!operation.operationId || !operation.summary) say("has no operationId or summary");
      if (operation.tags.length === 0) say("has no tag");
      const parameters = operation.parameters as { name: string; in: string }[];
      for (const [, parameter] of path.matchAll(/\{(\w+)\}/g)) {
        const described = parameters.some(
          ({ name, in: place }) => name === parameter && place === "path",
        );
        if (!described) say(`does not describe {${parameter}}`);
      }
      for (const content of Object.values(operation.requestBody?.content ?? {})) {
        checkExamples(ajv, document, content, (fault) => say(`request body ${fault}`));
      }
      for (const missing of missingPromises(path, method, operations)) say(missing);
      if (!Object.keys(operation.responses).some((status) => /^[123]/.test(status)))
        say("has no answer");
      for (const [status, answer] of Object.entries(operation.responses)) {
        for (const [type, content] of Object.entries(
          (answer.content ?? {}) as Record<string, Content>,
        )) {
          checkExamples(ajv, document, content, (fault) =>
            say(`answer ${status} ${type} ${fault}`),
          );
        }
      }
    }
  }
  faults.push(...faultyTags(document));
  for (const [type, { post }] of Object.entries(document.webhooks ?? {})) {
    const { summary, requestBody } = post as Operation;
    if (!summary) faults.push(`webhook ${type}: has no summary`);
    for (const content of Object.values(requestBody?.content ?? {})) {
      checkExamples(ajv, document, content, (fault) => faults.push(`webhook ${type}: ${fault}`));
    }
  }
  return faults;
}

function checkExamples(
  ajv: Ajv2020,
  { components }: OpenApiDocument,
  { schema, example, examples }: Content,
  say: (fault: string) => void,
): void {
  if (!schema) return say("has no schema");
  // Of bytes that are no text there is nothing to show.
  if ((schema as { format?: string }).format === "binary") return;
  const values = examples ? Object.values(examples).map(({ value }) => value) : [example];
  const validate = ajv.compile({ ...schema, components });
  for (const value of values) {
    if (value === undefined) say("has no example");
    else if (isMadeUp(value)) say("has an example that nobody has given, with a made-up text");
    else if (!validate(value))
      say(`has an example that its schema refuses: ${ajv.errorsText(validate.errors)}`);
  }
}

function danglingReferences(document: OpenApiDocument): string[] {
  const references = new Set(JSON.stringify(document).match(/"\$ref":"[^"]+"/g));
  return [...references]
    .map((text) => text.slice(8, -1))
    .filter((reference) => {
      const steps = reference.replace("#/", "").split("/");
      return (
        steps.reduce<unknown>((at, step) => (at as Record<string, unknown>)?.[step], document) ===
        undefined
      );
    })
    .map((reference) => `${reference} leads nowhere`);
}
