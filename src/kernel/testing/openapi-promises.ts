import { madeUp } from "../http/examples.ts";
import type { OpenApiDocument, Operation } from "../http/openapi.ts";

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  example?: unknown;
}

type Operations = Record<string, Operation>;

/**
 * What an operation's declaration leaves out of what it takes and answers: versions, keys, who is
 * refused and why, and an example of everything that may be sent or come back.
 */
export function missingPromises(path: string, method: string, operations: Operations): string[] {
  const operation = operations[method] as Operation;
  const { responses } = operation;
  const parameters = operation.parameters as Parameter[];
  const needsCaller = ((operation.security ?? []) as unknown[]).length > 0;
  const missing: string[] = [];
  const expect = (statuses: readonly string[], why: string) => {
    const absent = statuses.filter((status) => !responses[status]);
    if (absent.length > 0) missing.push(`lacks ${absent.join(", ")}, ${why}`);
  };

  if (needsCaller) expect(["401", "403", "429"], "as it needs a permission");
  if (needsCaller && path.includes("{")) expect(["404"], "as its path names something");
  // A body of any kind is somebody else's to refuse.
  if (operation.requestBody?.content?.["*/*"]) expect(["413"], "as it takes a body");
  else if (operation.requestBody) expect(["400", "413", "415", "422"], "as it takes a body");
  if (parameters.some(({ name }) => name === "cursor")) expect(["400"], "as it takes a cursor");
  for (const { name, example } of parameters) {
    if (example === undefined || isMadeUp(example)) missing.push(`has no example of ${name}`);
  }
  missing.push(...missingVersions(method, operations, expect));
  const key = parameters.some(({ name }) => name === "Idempotency-Key");
  if (key) expect(["400", "409", "422"], "as it takes an Idempotency-Key");
  else if (method === "post" && responses["201"] && needsCaller) {
    missing.push("creates, and takes no Idempotency-Key: say `idempotent`");
  }
  return missing;
}

type Expect = (statuses: readonly string[], why: string) => void;

/** PATCH and PUT of what has an ETag need If-Match; DELETE and actions may take it. */
function missingVersions(method: string, operations: Operations, expect: Expect): string[] {
  const parameters = (operations[method] as Operation).parameters as Parameter[];
  const ifMatch = parameters.find(({ name }) => name === "If-Match");
  const either = parameters.some(({ name }) => name === "If-None-Match");
  if (ifMatch) expect(["412"], "as it takes If-Match");
  if (ifMatch?.required || (ifMatch && either && method !== "get")) {
    expect(["428"], "as it needs If-Match");
  }
  const isVersioned = operations.get ? hasETag(operations.get) : method === "patch";
  const changes = method === "patch" || method === "put";
  if (!isVersioned || !(changes || method === "delete")) return [];
  if (!ifMatch) return ["changes what has an ETag, and takes no If-Match"];
  if (changes && !ifMatch.required && !either) return ["does not require If-Match: say `ifMatch`"];
  return [];
}

const hasETag = ({ responses }: Operation): boolean =>
  Object.hasOwn(responses["200"]?.headers ?? {}, "ETag");

/** Whether there is a text in it that `exampleOf` put where a schema says nothing. */
export function isMadeUp(value: unknown): boolean {
  if (typeof value === "string") return value !== "" && value.replaceAll(madeUp, "") === "";
  return typeof value === "object" && value !== null && Object.values(value).some(isMadeUp);
}

/** Tags that lead to nothing, or of which the reference would show only a name. */
export function faultyTags({ paths, tags = [] }: OpenApiDocument): string[] {
  const operations = Object.values(paths).flatMap((path) => Object.values(path));
  const used = new Set(operations.flatMap((operation) => operation.tags));
  const listed = tags as { name: string; description?: string }[];
  return [
    ...listed.filter(({ name }) => !used.has(name)).map(({ name }) => `tag ${name}: is empty`),
    ...listed
      .filter(({ description }) => !description)
      .map(({ name }) => `tag ${name}: has no description; see \`areas\` of its service`),
    ...[...used]
      .filter((name) => !listed.some((tag) => tag.name === name))
      .map((name) => `tag ${name}: is not listed`),
  ];
}
