import type { OpenedDatabase } from "./app-database.ts";
import type { Identity } from "./app-identity.ts";
import type { Database } from "./db/types.ts";
import { connectBroker } from "./events/broker.ts";
import { createPublisher } from "./events/publisher.ts";
import { startRelay } from "./events/relay.ts";
import { startSender } from "./events/webhook-sender.ts";
import { startWorker } from "./jobs/worker.ts";
import type { AnyService, KernelDeps } from "./service.ts";
import type { Health } from "./telemetry/health.ts";

export interface BackgroundOptions {
  common: Omit<KernelDeps, "db" | "mutate" | "streams">;
  services: readonly AnyService[];
  database: Database;
  opened: Pick<OpenedDatabase, "ownerUrl" | "appUrl">;
  identity: Identity;
  health: Health;
  /** What each service was given, with what its `start` made. */
  depsOf(service: string): unknown;
}

export interface Background {
  /** Hands jobs back after `graceMs`; resolves soon after that. */
  stop(graceMs: number): Promise<void>;
}

/**
 * What a process with the worker role does besides answering: jobs and cron, the relay of events,
 * webhooks and, where there is a broker, publishing. Any number of processes may do it at once.
 */
export async function startBackground(options: BackgroundOptions): Promise<Background> {
  const { common, services, opened, identity, health, database } = options;
  const { config, clock, log, metrics, faults, policies, outgoing, secrets, random } = common;
  const db = database.forService("platform");
  const worker = await startWorker({
    ownerUrl: opened.ownerUrl,
    services: services.map(({ name, jobs }) => ({ name, jobs, deps: options.depsOf(name) })),
    tenants: { ref: identity.tenants.known },
    clock,
    log,
    metrics,
    faults,
  });
  const sender = startSender({ db, outgoing, secrets, clock, random, log, metrics, faults });
  const broker = config.amqpUrl ? connectBroker({ url: config.amqpUrl, policies, log }) : null;
  if (broker) {
    health.register("rabbitmq", {
      required: false,
      timeoutMs: 2_000,
      check: async () => broker.assertReady(),
    });
  }
  const relay = startRelay({
    appUrl: opened.appUrl,
    clock,
    log,
    metrics,
    faults,
    toBroker: broker !== null,
    onRelayed: () => sender.wake(),
    ...(broker && { publish: createPublisher({ db, broker, metrics, faults }) }),
  });
  return {
    async stop(graceMs) {
      await Promise.all([worker.stop(graceMs), relay.stop(), sender.stop()]);
      await broker?.close();
    },
  };
}
