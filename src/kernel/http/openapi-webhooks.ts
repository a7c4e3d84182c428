import type { EventCatalogue, EventEntry } from "../events/catalogue.ts";
import type { Components } from "./components.ts";
import { exampleOf, type JsonSchema } from "./examples.ts";
import { Id, Timestamp } from "./schemas.ts";

const example = (schema: unknown) => exampleOf(schema as JsonSchema);

const signatureHeaders = [
  ["webhook-id", "The event's id: the same when it is sent again.", example(Id)],
  ["webhook-timestamp", "Seconds since the Unix epoch.", "1795176000"],
  [
    "webhook-signature",
    "Standard Webhooks: `v1,` and the HMAC-SHA256 of `<id>.<timestamp>.<body>` in base64, under " +
      "the webhook's secret; several by blanks while a secret is being changed.",
    "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
  ],
] as const;

/** The event as webhooks, the stream and the broker carry it. */
function envelope(type: string, { data }: EventEntry, components: Components): JsonSchema {
  const [resource = ""] = type.split(".");
  return {
    type: "object",
    required: ["id", "type", "tenantId", "resource", "data", "occurredAt", "position"],
    properties: {
      id: Id,
      type: { type: "string", const: type },
      tenantId: Id,
      resource: {
        type: "object",
        required: ["type", "id"],
        properties: {
          type: { type: "string", examples: [resource] },
          id: { type: "string", examples: [example(Id)] },
        },
      },
      data: data ? components.refer(data) : { type: "object" },
      occurredAt: Timestamp,
      position: { type: "integer", minimum: 1, description: "Grows; has gaps." },
    },
  };
}

function exampleEvent(type: string, { data }: EventEntry): unknown {
  return {
    id: example(Id),
    type,
    tenantId: example(Id),
    resource: { type: type.split(".")[0], id: example(Id) },
    data: data ? example(data) : {},
    occurredAt: example(Timestamp),
    position: 1204,
  };
}

/** "order.created" to "onOrderCreated". */
function operationId(type: string): string {
  const words = type.split(/[._]/);
  return `on${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("")}`;
}

/** The `webhooks` of the OpenAPI document: one for each type of event there is, by name. */
export function webhooksOf(
  events: EventCatalogue,
  components: Components,
): Record<string, { post: Record<string, unknown> }> {
  const types = Object.keys(events).sort();
  return Object.fromEntries(
    types.map((type) => {
      const entry = events[type] as EventEntry;
      const content = {
        schema: envelope(type, entry, components),
        example: exampleEvent(type, entry),
      };
      const post = {
        operationId: operationId(type),
        summary: entry.title,
        tags: ["events"],
        parameters: signatureHeaders.map(([name, description, value]) => {
          const schema = { type: "string" };
          return { name, in: "header", required: true, description, schema, example: value };
        }),
        requestBody: { required: true, content: { "application/json": content } },
        responses: {
          "2XX": { description: "Taken. Anything else is sent again, for about three days." },
        },
      };
      return [type, { post }];
    }),
  );
}
