import type { Clock } from "../clock.ts";
import type { Db } from "../db/types.ts";
import type { Random } from "../random.ts";
import type { Outgoing } from "../resilience/outgoing.ts";
import type { Policies } from "../resilience/policies.ts";
import type { Secrets } from "../secrets/secrets.ts";
import type { Health } from "../telemetry/health.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createPublisher } from "./publisher.ts";
import { startRelay } from "./relay.ts";
import { outboxLag } from "./store.ts";
import { startSender } from "./webhook-sender.ts";

export interface OutboxOptions {
  /** The platform's database. */
  db: Db;
  /** The app role's URL. */
  appUrl: string;
  /** Events go to RabbitMQ too where it is given. */
  amqpUrl?: string | undefined;
  outgoing: Pick<Outgoing, "fetch">;
  secrets: Pick<Secrets, "get">;
  policies: Pick<Policies, "for">;
  health: Pick<Health, "register">;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
}

/** What carries events out of the outbox. */
export interface Outbox {
  /** What is under way and can't be ended in time is done again by another process. */
  stop(): Promise<void>;
}

/**
 * Starts what a worker process does with events: the relay, the webhook sender and, where there is
 * a broker, the publisher.
 */
export async function startOutbox(options: OutboxOptions): Promise<Outbox> {
  const { amqpUrl, health } = options;
  const broker = amqpUrl ? await connect(amqpUrl, options) : null;
  if (broker) {
    health.register("rabbitmq", {
      required: false,
      timeoutMs: 2_000,
      check: async () => broker.assertReady(),
    });
  }
  const sender = startSender(options);
  const relay = startRelay({
    ...options,
    toBroker: broker !== null,
    onRelayed: () => sender.wake(),
    ...(broker && { publish: createPublisher({ ...options, broker }) }),
  });
  return {
    async stop() {
      await Promise.all([relay.stop(), sender.stop()]);
      await broker?.close();
    },
  };
}

async function connect(url: string, options: OutboxOptions) {
  // The library is only loaded where it is needed.
  const { connectBroker } = await import("./broker.ts");
  return connectBroker({ ...options, url });
}

/** Gauges of what waits in the outbox, for every process: the lag must show when no worker runs. */
export function measureOutbox({ db, metrics }: Pick<OutboxOptions, "db" | "metrics">): void {
  const lag = () => db.inPlatform((tx) => outboxLag(tx));
  metrics.gauge("outbox_events", "Events that wait, up to 10000", ["sink"], async (gauge) => {
    const { toRelay, toPublish } = await lag();
    gauge.set({ sink: "relay" }, toRelay);
    gauge.set({ sink: "broker" }, toPublish);
  });
  metrics.gauge(
    "outbox_oldest_seconds",
    "Age of the oldest event that waits",
    ["sink"],
    async (gauge) => {
      const { toRelayAgeSeconds, toPublishAgeSeconds } = await lag();
      gauge.set({ sink: "relay" }, toRelayAgeSeconds);
      gauge.set({ sink: "broker" }, toPublishAgeSeconds);
    },
  );
}
