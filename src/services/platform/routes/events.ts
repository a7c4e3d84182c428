import { assertKnownTypes, eventErrors } from "#kernel/events/catalogue.ts";
import { envelopeOf } from "#kernel/events/publisher.ts";
import type { StoredEvent } from "#kernel/events/types.ts";
import type { Principal } from "#kernel/identity/types.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { EventsHeaders, EventsQuery } from "../schemas/events.ts";

/**
 * An event may be seen by whoever may read its resource: `order:read` for an "order". Whoever may
 * read only their own sees the events of what they own.
 */
export function maySee({ permissions, actor }: Principal, event: StoredEvent): boolean {
  const scope = permissions.get(`${event.resource.type.replaceAll("_", "-")}:read`);
  if (scope === "own") return event.ownerId !== null && event.ownerId === actor.userId;
  return scope === "all";
}

const streamExample = `id: 1204
event: webhook.disabled
data: {"id":"019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a","type":"webhook.disabled","position":1204}

`;

/** What happens in the caller's tenant, as it happens. */
export const eventRoutes: Routes<PlatformDeps> = (app, deps) => {
  const { events: catalogue, feed, streams } = deps;
  app.get(
    "/events",
    {
      schema: {
        summary: "Follow events",
        description:
          "Server-sent events: `id` is the position to resume from, `event` the type, `data` the " +
          "event as webhooks carry it. Only events of resources that the caller may read.",
        tags: ["events"],
        querystring: EventsQuery,
        headers: EventsHeaders,
        response: {
          200: {
            description: "The stream; it stays open.",
            content: {
              "text/event-stream": { schema: { type: "string" }, example: streamExample },
            },
          },
        },
      },
      config: { permission: "event:read", errors: [eventErrors.unknown_type] },
    },
    async (request, reply) => {
      const { query, headers, tenant } = request;
      const types = query.types?.split(",") ?? ["*"];
      assertKnownTypes(catalogue, types, () => "query/types");
      const resumeAfter = headers["last-event-id"] ?? query.after;
      // Before the answer begins: who has it may count on hearing of everything from then on.
      const lastEventId = await feed.begin(
        tenant.id,
        resumeAfter === undefined ? undefined : Number(resumeAfter),
      );
      const stream = streams.open(request, reply);
      const events = feed.subscribe(tenant.id, {
        lastEventId,
        types,
        may: (event) => maySee(request.principal, event),
        signal: stream.signal,
      });
      try {
        for await (const event of events) {
          const data = envelopeOf(event);
          if (!stream.send({ id: String(data.position), event: data.type, data })) break;
        }
      } catch (error) {
        request.log.warn({ err: error }, "an event stream broke off");
      }
      stream.close();
    },
  );
};
