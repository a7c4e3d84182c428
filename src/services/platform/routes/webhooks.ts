import type { Tx } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import { eventErrors } from "#kernel/events/catalogue.ts";
import * as store from "#kernel/events/webhook-store.ts";
import * as webhooks from "#kernel/events/webhooks.ts";
import { decodeCursor, page } from "#kernel/http/cursor.ts";
import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, ListQuery, NoContent } from "#kernel/http/schemas.ts";
import { outgoingErrors } from "#kernel/resilience/outgoing-errors.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { current, type Expected } from "#kernel/versions.ts";
import * as schemas from "../schemas/webhooks.ts";

const tags = ["webhooks"];
const urlErrors = [
  outgoingErrors.bad_url,
  outgoingErrors.private_address,
  eventErrors.unknown_type,
];

/** An endpoint as it is shown: of its secret the last four characters. */
function shown({ secretLastFour, failuresInRow: _, ...endpoint }: store.Endpoint) {
  return { ...endpoint, secret: `…${secretLastFour}` };
}

const locked = async (tx: Tx, id: string, version: Expected = null) =>
  current(await store.selectEndpoint(tx, id, true), version);

/** Where a tenant's events are sent to. */
export const webhookRoutes: Routes<PlatformDeps> = (app, deps) => {
  readRoutes(app, deps);
  changeRoutes(app, deps);
  secretRoutes(app, deps);
  deliveryRoutes(app, deps);
  replayRoutes(app, deps);
};

const readRoutes: Routes = (app, { db }) => {
  app.get(
    "/webhooks",
    {
      schema: {
        summary: "List webhooks",
        tags,
        querystring: ListQuery,
        response: { 200: schemas.WebhookPage },
      },
      config: { permission: "webhook:read" },
    },
    async ({ tenant, query: { cursor, limit } }) => {
      const afterId = cursor === undefined ? {} : { afterId: String(decodeCursor(cursor, 1)[0]) };
      const wanted = { ...afterId, limit: limit + 1 };
      const found = await db.inTenant(tenant, (tx) => store.selectEndpoints(tx, wanted));
      return page(found.map(shown), limit, ({ id }) => [id]);
    },
  );

  app.get(
    "/webhooks/:id",
    {
      schema: { summary: "Get a webhook", tags, params: ById, response: { 200: schemas.Webhook } },
      config: { permission: "webhook:read" },
    },
    async (request, reply) => {
      const { id } = request.params;
      const found = await db.inTenant(request.tenant, (tx) => store.selectEndpoint(tx, id));
      return sendFound(request, reply, found && shown(found));
    },
  );

  app.get(
    "/webhooks/:id/history",
    { schema: { ...historySchema("webhook"), tags }, config: { permission: "webhook:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "webhook", params.id, query),
  );
};

const changeRoutes: Routes<PlatformDeps> = (app, deps) => {
  const { mutate, outgoing } = deps;
  app.post(
    "/webhooks",
    {
      schema: {
        summary: "Add a webhook",
        description: "The answer holds the signing secret, which is never shown again.",
        tags,
        body: schemas.NewWebhook,
        response: { 201: schemas.WebhookWithSecret },
      },
      config: {
        permission: "webhook:create",
        idempotent: true,
        secretAnswer: true,
        errors: [...urlErrors, webhooks.webhookErrors.too_many],
      },
    },
    async (request, reply) => {
      const input = { description: "", active: true, ...request.body };
      await webhooks.assertEndpointUrl(outgoing, input.url);
      return mutate(request, reply, 201, (tx) => webhooks.createEndpoint(tx, deps, input));
    },
  );

  app.patch(
    "/webhooks/:id",
    {
      schema: {
        summary: "Change a webhook",
        description: "Switching it on sends what has been waiting.",
        tags,
        params: ById,
        body: schemas.WebhookChanges,
        response: { 200: schemas.Webhook },
      },
      config: { permission: "webhook:update", ifMatch: true, errors: urlErrors },
    },
    async (request, reply) => {
      const { params, body } = request;
      if (body.url !== undefined) await webhooks.assertEndpointUrl(outgoing, body.url);
      return mutate(request, reply, 200, async (tx) => {
        const found = await locked(tx, params.id, expectedVersion(request));
        return shown(await webhooks.updateEndpoint(tx, deps, found, body));
      });
    },
  );

  app.delete(
    "/webhooks/:id",
    {
      schema: { summary: "Delete a webhook", tags, params: ById, response: { 204: NoContent } },
      config: { permission: "webhook:delete" },
    },
    (request, reply) =>
      mutate(request, reply, 204, async (tx) => {
        const found = await locked(tx, request.params.id, optionalVersion(request));
        await webhooks.deleteEndpoint(tx, deps, found);
      }),
  );
};

const secretRoutes: Routes<PlatformDeps> = (app, deps) => {
  const { mutate } = deps;
  app.post(
    "/webhooks/:id/rotate-secret",
    {
      schema: {
        summary: "Rotate a webhook's secret",
        description: "The answer holds the new secret; for a while both sign.",
        tags,
        params: ById,
        body: schemas.SecretRotation,
        response: { 200: schemas.WebhookWithSecret },
      },
      config: { permission: "webhook:update", acceptsIfMatch: true, secretAnswer: true },
    },
    (request, reply) =>
      mutate(request, reply, 200, async (tx) => {
        const found = await locked(tx, request.params.id, optionalVersion(request));
        return webhooks.rotateSecret(tx, deps, found, request.body.overlapHours);
      }),
  );

  app.post(
    "/webhooks/:id/ping",
    {
      schema: {
        summary: "Send a test event",
        description: "A `webhook.ping` event, to this webhook alone.",
        tags,
        params: ById,
        response: { 204: NoContent },
      },
      config: { permission: "webhook:update", acceptsIfMatch: true },
    },
    (request, reply) =>
      mutate(request, reply, 204, async (tx) => {
        const found = await locked(tx, request.params.id, optionalVersion(request));
        webhooks.pingEndpoint(tx, found);
      }),
  );
};

const deliveryRoutes: Routes = (app, { db }) => {
  app.get(
    "/webhooks/:id/deliveries",
    {
      schema: {
        summary: "List a webhook's deliveries",
        tags,
        params: ById,
        querystring: schemas.DeliveryQuery,
        response: { 200: schemas.DeliveryPage },
      },
      config: { permission: "webhook:read" },
    },
    async ({ tenant, params, query: { cursor, limit, ...filter } }) => {
      const before =
        cursor === undefined ? {} : { beforePosition: Number(decodeCursor(cursor, 1)[0]) };
      const wanted = { endpointId: params.id, ...filter, ...before, limit: limit + 1 };
      const found = await db.inTenant(tenant, async (tx) => {
        current(await store.selectEndpoint(tx, params.id));
        return store.selectDeliveries(tx, wanted);
      });
      return page(found, limit, ({ position }) => [position]);
    },
  );

  app.get(
    "/webhooks/:id/deliveries/:deliveryId",
    {
      schema: {
        summary: "Get a delivery with its attempts",
        tags,
        params: schemas.ByDelivery,
        response: { 200: schemas.DeliveryWithAttempts },
      },
      config: { permission: "webhook:read" },
    },
    async ({ tenant, params }) =>
      db.inTenant(tenant, async (tx) => {
        const found = await store.selectDelivery(tx, params.deliveryId);
        if (found?.endpointId !== params.id) throw requestErrors.not_found();
        return { ...found, log: await store.selectAttempts(tx, found.id) };
      }),
  );
};

const replayRoutes: Routes<PlatformDeps> = (app, deps) => {
  const { mutate } = deps;
  app.post(
    "/webhooks/:id/deliveries/:deliveryId/replay",
    {
      schema: {
        summary: "Deliver an event again",
        tags,
        params: schemas.ByDelivery,
        response: { 200: schemas.Delivery },
      },
      config: { permission: "webhook:update", acceptsIfMatch: true },
    },
    (request, reply) =>
      mutate(request, reply, 200, async (tx) => {
        const { id, deliveryId } = request.params;
        const found = await locked(tx, id, optionalVersion(request));
        return webhooks.replayDelivery(tx, deps, found, deliveryId);
      }),
  );

  app.post(
    "/webhooks/:id/replay",
    {
      schema: {
        summary: "Deliver a stretch of time again",
        description: "At most 1000 events that the webhook wants, oldest first.",
        tags,
        params: ById,
        body: schemas.ReplayRange,
        response: { 200: schemas.Replayed },
      },
      config: { permission: "webhook:update", acceptsIfMatch: true },
    },
    (request, reply) =>
      mutate(request, reply, 200, async (tx) => {
        const found = await locked(tx, request.params.id, optionalVersion(request));
        return webhooks.replayRange(tx, deps, found, request.body);
      }),
  );
};
