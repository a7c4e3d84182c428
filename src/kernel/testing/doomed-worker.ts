import { systemClock } from "../clock.ts";
import { createDatabase } from "../db/pool.ts";
import { createProgress } from "../jobs/progress.ts";
import { startWorker } from "../jobs/worker.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";

/*
 * A worker process that a test kills in the middle of its job: each job has its effect, says so on
 * standard output, and never ends.
 */

const [ownerUrl = "", appUrl = ""] = process.argv.slice(2);
const log = createLogger({ level: "silent" });
const clock = systemClock;
const db = createDatabase({ appUrl, log }).forService("platform");

await startWorker({
  ownerUrl,
  services: [
    {
      name: "test",
      deps: {},
      jobs: {
        tasks: {
          "test.work": {
            title: "Work",
            timeoutMs: 600_000,
            async run({ id }, { tenant, jobId }) {
              const resource = { type: "thing", id: String(id) };
              await createProgress({ db, tenant, resource, clock }).report(1, 1);
              process.stdout.write(`${jobId}\n`);
              await new Promise(() => {});
            },
          },
        },
      },
    },
  ],
  tenants: { ref: async (id) => ({ id, isolation: "shared" }) },
  clock,
  log,
  metrics: createMetrics({ processMetrics: false }),
  heartbeatMs: 100,
  deadAfterMs: 1_000,
  lookMs: 10,
});
