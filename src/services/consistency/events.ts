import { defineEvents } from "#kernel/events/catalogue.ts";
import { CheckSummary } from "./schemas/checks.ts";
import { FaultEvent } from "./schemas/faults.ts";
import { Run } from "./schemas/runs.ts";
import { Store } from "./schemas/stores.ts";

/** Everything that `emit` may tell here. */
export const consistencyEvents = defineEvents({
  "store.created": { title: "A store was made", data: Store },
  "store.updated": { title: "A store was changed", data: Store },
  "store.deleted": { title: "A store was deleted", data: Store },
  "store.fault_injected": { title: "A fault was injected into a store", data: FaultEvent },
  "store.healed": { title: "A store's faults were ended", data: FaultEvent },
  "check.finished": { title: "A history was checked", data: CheckSummary },
  "run.started": { title: "A workload or an experiment has begun", data: Run },
  "run.finished": { title: "A workload or an experiment is over", data: Run },
});
