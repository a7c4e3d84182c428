import { Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

export const EventsQuery = strict({
  types: Type.Optional(
    Type.String({
      pattern: "^[a-z0-9_.*]+(,[a-z0-9_.*]+){0,49}$",
      "x-must": 'be types of events with commas between, such as "order.created,shop.*"',
      maxLength: 2_000,
      description: 'Event types, separated by commas: "order.created,shop.*". All without it.',
      examples: ["*"],
    }),
  ),
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: "Go on after this event, as Last-Event-ID does when a browser reconnects.",
      examples: [0],
    }),
  ),
});

export const EventsHeaders = Type.Object({
  "last-event-id": Type.Optional(
    Type.String({
      pattern: "^[0-9]{1,15}$",
      "x-must": "be the id of an event: up to 15 digits",
      description: "The last `id` that was received; what came after it is sent first.",
      examples: ["1204"],
    }),
  ),
});
