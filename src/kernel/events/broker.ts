import { Connection } from "rabbitmq-client";
import type { Policies } from "../resilience/policies.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Broker } from "./types.ts";

/** Durable topic exchange; routing keys are `<tenant id>.<event type>`. */
export const eventExchange = "plimsoll.events";

const publishTimeoutMs = 10_000;
const publishesAtOnce = 500;

/**
 * Publishes events to RabbitMQ, each confirmed by the broker before `publish` resolves; the message
 * id is the event's. It reconnects by itself; meanwhile `publish` rejects.
 */
export function connectBroker({
  url,
  policies,
  log,
}: {
  url: string;
  policies: Pick<Policies, "for">;
  log: Logger;
}): Broker {
  const connection = new Connection({
    url,
    connectionName: "plimsoll",
    acquireTimeout: 5_000,
    connectionTimeout: 5_000,
    retryLow: 500,
    retryHigh: 5_000,
    heartbeat: 20,
  });
  let reported = false;
  connection.on("error", (error) => {
    if (!reported) log.warn({ err: error }, "no connection to RabbitMQ; events wait");
    reported = true;
  });
  connection.on("connection", () => {
    reported = false;
    log.info("connected to RabbitMQ");
  });
  const publisher = connection.createPublisher({
    confirm: true,
    exchanges: [{ exchange: eventExchange, type: "topic", durable: true }],
  });
  const policy = policies.for("rabbitmq", {
    timeoutMs: publishTimeoutMs,
    breaker: { consecutiveFailures: 5, halfOpenAfterMs: 5_000 },
    bulkhead: { concurrent: publishesAtOnce, queued: 0 },
  });

  return {
    publish(event) {
      const envelope = {
        exchange: eventExchange,
        routingKey: `${event.tenantId}.${event.type}`,
        messageId: event.id,
        type: event.type,
        contentType: "application/json",
        durable: true,
      };
      const body = Buffer.from(JSON.stringify(event));
      return policy.execute(() => publisher.send(envelope, body));
    },
    assertReady() {
      if (!connection.ready) throw new Error("There is no connection to RabbitMQ");
    },
    async close() {
      // A channel that is gone already needs no closing.
      await publisher.close().catch(() => {});
      await connection.close();
    },
  };
}
