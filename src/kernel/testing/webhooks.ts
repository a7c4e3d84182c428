import type { TestContext } from "node:test";
import { defineEvents, mergeEvents } from "../events/catalogue.ts";
import { emit } from "../events/emit.ts";
import { type SenderOptions, sendDue } from "../events/webhook-sender.ts";
import { type Delivery, type Endpoint, selectDeliveries } from "../events/webhook-store.ts";
import { createEndpoint, type WebhookDeps } from "../events/webhooks.ts";
import { createOutgoing } from "../resilience/outgoing.ts";
import { createPolicies, type Policies } from "../resilience/policies.ts";
import { createSealer } from "../secrets/seal.ts";
import { createSecrets } from "../secrets/secrets.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { type EventHouse, eventHouse, type Receiver } from "./events.ts";

export interface WebhookHouse extends EventHouse {
  sender: SenderOptions;
  deps: WebhookDeps;
  policies: Policies;
  /** Hands out and sends everything that is due now. */
  settle(): Promise<void>;
}

/** What an endpoint can ask for here. */
const told = defineEvents({
  "order.updated": { title: "An order has changed" },
  "shop.created": { title: "A shop was opened" },
});

/** A database with what webhooks need around it; only these receivers may be called. */
export async function webhookHouse(
  t: TestContext,
  allowed: readonly Receiver[],
): Promise<WebhookHouse> {
  const house = await eventHouse(t);
  const { clock, random, log, metrics } = house;
  const policies = createPolicies({ clock, random, log, metrics });
  const outgoing = createOutgoing({
    policies,
    allowPrivateHosts: allowed.map(({ host }) => host),
    clock,
    log,
    metrics,
    ownAddresses: () => new Set(),
  });
  t.after(() => outgoing.close());
  const secrets = createSecrets(createSealer(random.bytes(32), [], random));
  const sender = { ...house, outgoing, secrets };
  return {
    ...house,
    policies,
    sender,
    deps: { clock, random, secrets, events: mergeEvents([{ name: "orders", events: told }]) },
    async settle() {
      for (;;) {
        const handedOut = await house.relay();
        const serving = await sendDue(sender, 32, new AbortController().signal);
        await Promise.all(serving);
        if (handedOut === 0 && serving.length === 0) return;
      }
    },
  };
}

/** An endpoint for orders. */
export function addEndpoint(
  { db, deps }: WebhookHouse,
  tenant: TenantRef,
  url: string,
  events = ["order.*"],
): Promise<Endpoint & { secret: string }> {
  const input = { url, events, description: "", active: true };
  return db.inTenant(tenant, (tx) => createEndpoint(tx, deps, input));
}

/** Tells that an order has changed for the nth time. */
export function tellOrder(
  { db }: WebhookHouse,
  tenant: TenantRef,
  n: number,
  id = "1",
): Promise<void> {
  return db.inTenant(tenant, async (tx) => {
    emit(tx, { type: "order.updated", resource: { type: "order", id }, data: { n } });
  });
}

/** An endpoint's deliveries, the newest events' first. */
export function deliveriesOf(
  { db }: WebhookHouse,
  tenant: TenantRef,
  endpointId: string,
): Promise<Delivery[]> {
  return db.inTenant(tenant, (tx) => selectDeliveries(tx, { endpointId, limit: 100 }));
}

/** The bodies that a receiver got, in order. */
export function bodiesOf({ received }: Receiver) {
  return received.map(({ body }) => JSON.parse(body));
}

/** The numbers of the orders that a receiver was told of, in order. */
export function numbersOf(receiver: Receiver): number[] {
  return bodiesOf(receiver).map(({ data }) => data.n);
}
