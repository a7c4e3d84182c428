import { accessErrors } from "../access/errors.ts";
import { requestErrors } from "../errors.ts";
import type { EventCatalogue } from "../events/catalogue.ts";
import { identityErrors } from "../identity/errors.ts";
import { type Components, createComponents } from "./components.ts";
import { looksAtIfMatch } from "./etag.ts";
import { exampleOf, type JsonSchema } from "./examples.ts";
import { type Areas, tagsOf } from "./openapi-tags.ts";
import { webhooksOf } from "./openapi-webhooks.ts";
import type { DocumentedError, RouteConfig } from "./types.ts";

/** A route as it was registered. */
export interface DocumentedRoute {
  method: string;
  /** With Fastify's `:id`. */
  url: string;
  service: string;
  schema: {
    summary?: string;
    description?: string;
    tags?: readonly string[];
    params?: unknown;
    querystring?: unknown;
    headers?: unknown;
    body?: unknown;
    response?: unknown;
  };
  config: RouteConfig;
}

export type OpenApiDocument = Record<string, unknown> & {
  paths: Record<string, Record<string, Operation>>;
  webhooks?: Record<string, Record<string, unknown>>;
  components: Record<string, Record<string, unknown>>;
};

export interface Operation {
  operationId: string;
  summary?: string;
  tags: readonly string[];
  requestBody?: { content: Record<string, { schema: JsonSchema; example?: unknown }> };
  responses: Record<string, Record<string, unknown>>;
  [member: string]: unknown;
}

/**
 * The OpenAPI 3.1 document of the routes that are served and of the events that webhooks are told.
 * Schemas with a `title` in PascalCase become components of that name; throws where two different
 * ones claim the same, or two operations one id.
 */
export function openApiDocument(
  routes: readonly DocumentedRoute[],
  version: string,
  events: EventCatalogue = {},
  areas: Areas = {},
): OpenApiDocument {
  const components = createComponents();
  const paths: OpenApiDocument["paths"] = {};
  const tags = new Set<string>();
  const ids = new Set<string>();
  for (const route of routes) {
    if (route.config.hidden || route.method === "HEAD") continue;
    const operation = operationOf(route, components);
    if (ids.has(operation.operationId)) {
      throw new Error(`Two operations have the id "${operation.operationId}"`);
    }
    ids.add(operation.operationId);
    for (const tag of operation.tags) tags.add(tag);
    const path = route.url.replace(/:(\w+)(\([^)]*\))?/g, "{$1}").replace("*", "{path}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Plimsoll",
      version,
      description:
        "Errors are problem documents (RFC 9457) whose codes are listed at " +
        "[/docs/errors](/docs/errors). The `path` of a faulty member is a JSON Pointer: into the " +
        "body as `/items/0`, into another part after its name, as `query/limit`. " +
        "Lists are paged by cursor. Times are ISO 8601 in UTC, with six digits of fraction in " +
        "every answer, so that they compare as texts; money is integer minor units.",
    },
    servers: [{ url: "/" }],
    ...tagsOf(tags, areas),
    paths,
    ...(Object.keys(events).length > 0 && { webhooks: webhooksOf(events, components) }),
    components: {
      ...components.all(),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
        apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
      },
    },
  };
}

function operationOf(route: DocumentedRoute, components: Components): Operation {
  const { schema, config, service } = route;
  const { permission } = config;
  return {
    operationId: config.operationId ?? operationId(route),
    ...(schema.summary !== undefined && { summary: schema.summary }),
    ...(schema.description !== undefined && { description: schema.description }),
    tags: schema.tags ?? (service === "" ? [] : [service]),
    security: permission === undefined ? [] : [{ bearer: [] }, { apiKey: [] }],
    ...(permission !== undefined && { "x-permission": permission }),
    parameters: parametersOf(route, components),
    ...requestBodyOf(route, components),
    responses: { ...answersOf(route, components), ...problemsOf(route, components) },
  };
}

/** "GET /api/v1/orders/:id/history" to "getOrdersByIdHistory". */
function operationId({ method, url }: DocumentedRoute): string {
  const words = url
    .replace(/^\/api\/v\d+/, "")
    .replace(/\*/g, ":path")
    .split(/[/.]/)
    .filter(Boolean)
    .map((part) => (part.startsWith(":") ? `by-${part.slice(1)}` : part))
    .flatMap((part) => part.split(/[^A-Za-z0-9]+/))
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return method.toLowerCase() + words.join("");
}

function parametersOf({ schema, config, method }: DocumentedRoute, components: Components) {
  const parameters = [
    ...membersAs("path", schema.params, components),
    ...membersAs("query", schema.querystring, components),
    ...membersAs("header", schema.headers, components),
  ];
  if (config.idempotent) {
    parameters.push({
      name: "Idempotency-Key",
      in: "header",
      required: false,
      description: "Kept for 24 hours: sent again with the same body, it gets the same answer.",
      schema: { type: "string", minLength: 1, maxLength: 255 },
      example: "order-2026-11-20-0001",
    });
  }
  if (looksAtIfMatch(method, config)) {
    parameters.push({
      name: "If-Match",
      in: "header",
      required: config.ifMatch === true && !config.ifNoneMatch,
      description: "The ETag of the version that this changes, several of them, or `*` for any.",
      schema: { type: "string" },
      example: '"3"',
    });
  }
  if (config.ifNoneMatch) {
    parameters.push({
      name: "If-None-Match",
      in: "header",
      required: false,
      description: "`*` to make what must not be there yet. This or If-Match is required.",
      schema: { type: "string", const: "*" },
      example: "*",
    });
  }
  if (hasVersion(schema, method)) {
    parameters.push({
      name: "If-None-Match",
      in: "header",
      required: false,
      description: "The ETag of what one has: answered 304 while it is current.",
      schema: { type: "string" },
      example: '"3"',
    });
  }
  return parameters;
}

/** Whether a GET answers one thing with its version, and so with an ETag. */
function hasVersion({ response }: DocumentedRoute["schema"], method: string): boolean {
  const answer = (response as Record<string, JsonSchema> | undefined)?.["200"];
  return method === "GET" && answer?.properties?.version !== undefined;
}

function membersAs(
  place: string,
  schema: unknown,
  components: Components,
): Record<string, unknown>[] {
  const { properties = {}, required = [] } = (schema ?? {}) as JsonSchema;
  return Object.entries(properties).map(([name, member]) => {
    const { description, ...rest } = member;
    return {
      // The rest of a path has no name of its own.
      name: name === "*" ? "path" : name,
      in: place,
      required: place === "path" || (required.includes(name) && member.default === undefined),
      ...(description !== undefined && { description }),
      schema: components.refer(rest),
      example: exampleOf(member),
    };
  });
}

function requestBodyOf(
  { schema, config, method }: DocumentedRoute,
  components: Components,
): Pick<Operation, "requestBody"> {
  if (config.raw) {
    if (method === "GET" || method === "OPTIONS") return {};
    const whatever = { schema: { type: "string", format: "binary" } };
    return { requestBody: { content: { "*/*": whatever } } };
  }
  if (config.accepts) {
    const text = { type: "string", description: "Streamed." };
    const content = config.accepts.map((type) => {
      const example = config.bodyExamples?.[type];
      return [type, { schema: text, ...(example !== undefined && { example }) }] as const;
    });
    return { requestBody: { content: Object.fromEntries(content) } };
  }
  if (schema.body === undefined) return {};
  const body = schema.body as JsonSchema;
  const required = body.type !== "object" || (body.required ?? []).length > 0;
  const content = { schema: components.refer(body), example: exampleOf(body) };
  return {
    requestBody: { required, content: { "application/json": content } } as Operation["requestBody"],
  };
}

function answersOf({ schema, method }: DocumentedRoute, components: Components) {
  const answers: Operation["responses"] = {};
  for (const [status, answer] of Object.entries(schema.response ?? {})) {
    const { description, content } = answer as JsonSchema & { content?: Record<string, object> };
    answers[status] = {
      description: description ?? "Done.",
      ...answerHeaders(status, answer as JsonSchema),
      ...(content ? { content } : contentOf(answer as JsonSchema, components)),
    };
  }
  if (hasVersion(schema, method)) {
    answers["304"] = { description: "What If-None-Match names is current." };
  }
  return answers;
}

function contentOf(schema: JsonSchema, components: Components) {
  if (schema.type === "null") return {};
  const type = schema.type === "string" ? "text/plain" : "application/json";
  return { content: { [type]: { schema: components.refer(schema), example: exampleOf(schema) } } };
}

function answerHeaders(status: string, { properties = {} }: JsonSchema) {
  const text = { type: "string" };
  const headers = {
    ...(properties.version && {
      ETag: { description: "The version; send it as If-Match.", schema: text, example: '"1"' },
    }),
    ...(status === "201" &&
      properties.id && { Location: { description: "Where it is.", schema: text } }),
  };
  return Object.keys(headers).length > 0 ? { headers } : {};
}

/** What may be wrong with the credentials of any request. */
export const credentialErrors: readonly DocumentedError[] = [
  identityErrors.unauthenticated,
  identityErrors.invalid_token,
  identityErrors.expired_token,
  identityErrors.invalid_api_key,
  identityErrors.ambiguous_credentials,
];

/** Which problems an operation may answer with, as far as its declaration tells. */
function errorsOf({ schema, config, url, method }: DocumentedRoute): DocumentedError[] {
  const takesBody = schema.body !== undefined || config.accepts !== undefined;
  const query = (schema.querystring ?? {}) as JsonSchema;
  const { malformed, invalid, not_found, internal, unavailable, rate_limited } = requestErrors;
  return [
    ...(takesBody || schema.querystring || schema.params ? [malformed, invalid] : []),
    ...(takesBody ? [requestErrors.unsupported_media_type, requestErrors.too_large] : []),
    ...(query.properties?.cursor ? [requestErrors.bad_cursor] : []),
    ...(config.permission ? [...credentialErrors, accessErrors.forbidden] : []),
    ...(config.websocket ? [identityErrors.invalid_ticket, accessErrors.foreign_origin] : []),
    ...(config.websocket && !config.websocket.optional ? [requestErrors.upgrade_required] : []),
    ...(/[:*]/.test(url) ? [not_found] : []),
    ...(looksAtIfMatch(method, config) ? [requestErrors.version_conflict] : []),
    ...(config.ifMatch ? [requestErrors.version_required] : []),
    ...(config.idempotent
      ? [
          requestErrors.bad_idempotency_key,
          requestErrors.idempotency_key_reused,
          requestErrors.idempotency_in_flight,
        ]
      : []),
    ...(config.rateLimit === "none" ? [] : [rate_limited]),
    ...(config.errors ?? []),
    internal,
    unavailable,
  ];
}

function problemsOf(route: DocumentedRoute, components: Components): Operation["responses"] {
  const declared = Object.keys(route.schema.response ?? {});
  const byStatus = new Map<string, DocumentedError[]>();
  for (const error of errorsOf(route)) {
    const status = String(error.entry.status);
    if (declared.includes(status)) continue;
    byStatus.set(status, [...(byStatus.get(status) ?? []), error]);
  }
  const entries = [...byStatus].sort(([a], [b]) => a.localeCompare(b));
  return Object.fromEntries(
    entries.map(([status, errors]) => [status, components.problem(status, errors)]),
  );
}
