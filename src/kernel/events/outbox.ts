import type { Db } from "../db/types.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { outboxLag } from "./store.ts";

/** Gauges of what waits in the outbox, for every process: the lag must show when no worker runs. */
export function measureOutbox({ db, metrics }: { db: Db; metrics: Metrics }): void {
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
