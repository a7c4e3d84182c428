import { audit } from "../audit/audit.ts";
import { type Clock, isoNow, isoOf } from "../clock.ts";
import type { Tx } from "../db/types.ts";
import { defineErrors, Problem } from "../errors.ts";
import type { Random } from "../random.ts";
import { outgoingErrors } from "../resilience/outgoing-errors.ts";
import type { Outgoing } from "../resilience/outgoing.ts";
import type { Secrets } from "../secrets/secrets.ts";
import { assertKnownTypes, type EventCatalogue } from "./catalogue.ts";
import { emit } from "./emit.ts";
import { newSecret } from "./webhook-rules.ts";
import * as store from "./webhook-store.ts";
import type { Endpoint, EndpointInput } from "./webhook-store.ts";

export const webhookErrors = defineErrors("webhooks", {
  too_many: { status: 409, title: "The tenant has as many webhook endpoints as it may have" },
  bad_overlap: { status: 422, title: "The old secret can't be kept for that long" },
});

export interface WebhookDeps {
  clock: Clock;
  random: Random;
  secrets: Pick<Secrets, "put" | "get" | "delete">;
  /** What an endpoint can ask for. */
  events: EventCatalogue;
}

const endpointsPerTenantMax = 20;
const replayMax = 1_000;
const overlapMaxHours = 7 * 24;
const resourceType = "webhook";

/** The names under which an endpoint's signing secrets are among its tenant's secrets. */
export function secretNames(endpointId: string): { current: string; old: string } {
  return { current: `webhook.${endpointId}`, old: `webhook.${endpointId}.old` };
}

/**
 * Throws for a URL that may not be called: a private address, a bad scheme. Looks names up, so call
 * it before the transaction. The sender checks again each time, since names change their addresses;
 * so one that leads nowhere now may do later.
 */
export async function assertEndpointUrl(
  outgoing: Pick<Outgoing, "assertAllowed">,
  url: string,
): Promise<void> {
  try {
    await outgoing.assertAllowed(url);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { code, status, title, options } = error;
    if (code === outgoingErrors.unreachable.code || code === outgoingErrors.timeout.code) return;
    const errors = [{ path: "/url", message: "can't be sent to" }];
    throw new Problem(code, { status, title }, { ...options, errors });
  }
}

const state = ({ url, events, description, active }: EndpointInput) => ({
  url,
  events,
  description,
  active,
});

const typePath = (index: number) => `/events/${index}`;

/** Makes an endpoint and answers with its secret, which is never shown again. */
export async function createEndpoint(
  tx: Tx,
  { random, secrets, events }: WebhookDeps,
  input: EndpointInput,
): Promise<Endpoint & { secret: string }> {
  assertKnownTypes(events, input.events, typePath);
  const id = random.id();
  const secret = newSecret(random);
  const lastFour = secret.slice(-4);
  const made = await store.insertEndpoint(tx, { ...input, id }, lastFour, endpointsPerTenantMax);
  if (!made) {
    throw webhookErrors.too_many({ detail: `At most ${endpointsPerTenantMax}; delete one first.` });
  }
  await secrets.put(tx, secretNames(id).current, secret);
  audit(tx, {
    action: "webhook.create",
    resource: { type: resourceType, id },
    after: state(made),
  });
  return { ...made, secret };
}

/** Changes an endpoint that was read with a lock; one that is on then sends what waits. */
export async function updateEndpoint(
  tx: Tx,
  { clock, events }: Pick<WebhookDeps, "clock" | "events">,
  found: Endpoint,
  change: Partial<EndpointInput>,
): Promise<Endpoint> {
  // A type that has gone since stands in nobody's way who changes something else.
  if (change.events) assertKnownTypes(events, change.events, typePath);
  const wanted = { ...state(found), ...change };
  const changed = await store.updateEndpoint(tx, found.id, wanted);
  if (changed.active) await store.markDue(tx, found.id, isoNow(clock));
  audit(tx, {
    action: "webhook.update",
    resource: { type: resourceType, id: found.id },
    before: state(found),
    after: state(changed),
  });
  return changed;
}

/** Deletes an endpoint with its deliveries and secrets. */
export async function deleteEndpoint(
  tx: Tx,
  { secrets }: Pick<WebhookDeps, "secrets">,
  found: Endpoint,
): Promise<void> {
  await store.deleteEndpoint(tx, found.id);
  const names = secretNames(found.id);
  await secrets.delete(tx, names.current);
  await secrets.delete(tx, names.old);
  audit(tx, {
    action: "webhook.delete",
    resource: { type: resourceType, id: found.id },
    before: state(found),
  });
}

/**
 * Gives an endpoint a new secret, shown once. The one before goes on signing beside it for
 * `overlapHours` (0 to 168), so that the receiver can change over without missing a message.
 */
export async function rotateSecret(
  tx: Tx,
  { clock, random, secrets }: WebhookDeps,
  found: Endpoint,
  overlapHours: number,
): Promise<Endpoint & { secret: string }> {
  if (overlapHours < 0 || overlapHours > overlapMaxHours) {
    throw webhookErrors.bad_overlap({ detail: `0 to ${overlapMaxHours} hours are possible.` });
  }
  const names = secretNames(found.id);
  const old = await secrets.get(tx, names.current);
  const secret = newSecret(random);
  await secrets.put(tx, names.current, secret);
  const keeps = old !== null && overlapHours > 0;
  if (keeps) await secrets.put(tx, names.old, old);
  else await secrets.delete(tx, names.old);
  const until = isoOf(clock.nowMs() + overlapHours * 3_600_000);
  const changed = await store.updateSecret(tx, found.id, secret.slice(-4), keeps ? until : null);
  audit(tx, {
    action: "webhook.rotate",
    resource: { type: resourceType, id: found.id },
    after: { secretLastFour: secret.slice(-4), oldSecretUntil: keeps ? until : null },
  });
  return { ...changed, secret };
}

/** Sends the endpoint, and no other, a `webhook.ping` event. */
export function pingEndpoint(tx: Tx, found: Endpoint): void {
  const resource = { type: resourceType, id: found.id };
  emit(tx, { type: "webhook.ping", resource, data: { endpointId: found.id } });
}

/** Delivers one event again, whatever became of it; null when the endpoint has no such delivery. */
export async function replayDelivery(
  tx: Tx,
  { clock }: Pick<WebhookDeps, "clock">,
  found: Endpoint,
  deliveryId: string,
): Promise<store.Delivery | null> {
  if (!(await store.restartDelivery(tx, found.id, deliveryId, isoNow(clock)))) return null;
  await store.markDue(tx, found.id, isoNow(clock));
  const resource = { type: "webhook", id: found.id };
  audit(tx, { action: "webhook.redeliver", resource, after: { deliveryId } });
  return store.selectDelivery(tx, deliveryId);
}

/**
 * Delivers the events of a stretch of time again that the endpoint wants, oldest first and at most
 * 1000; `more` says that there are others after `until`.
 */
export async function replayRange(
  tx: Tx,
  { clock }: Pick<WebhookDeps, "clock">,
  found: Endpoint,
  { from, to }: { from: string; to: string },
): Promise<store.Replayed & { more: boolean }> {
  const nowIso = isoNow(clock);
  const range = { endpointId: found.id, from, to, nowIso, limit: replayMax };
  const replayed = await store.replayEvents(tx, range);
  await store.markDue(tx, found.id, nowIso);
  audit(tx, {
    action: "webhook.replay",
    resource: { type: resourceType, id: found.id },
    after: { from, to, replayed: replayed.replayed },
  });
  return { ...replayed, more: replayed.replayed === replayMax };
}
