import type { OnBehalf } from "#kernel/db/types.ts";
import type { KernelDeps } from "#kernel/service.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Engines } from "./engines/registry.ts";
import type { Gauges } from "./engines/registry-metrics.ts";
import type { OpenStore } from "./engines/registry-store.ts";
import type { Checker } from "./jobs/checker.ts";
import type { ExperimentName } from "./rules/experiment-names.ts";
import type { Plan } from "./rules/workload.ts";
import type { Run } from "./schemas/runs.ts";
import type { StoredStore } from "./store/stores.ts";

/** A store and its engine. */
export interface Opened {
  readonly row: StoredStore;
  readonly open: OpenStore;
}

/** A workload or an experiment that is to run. */
export interface Started {
  readonly tenant: TenantRef;
  readonly opened: Opened;
  readonly run: Run;
  readonly plan: Plan;
  readonly experiment: ExperimentName | null;
  readonly on: OnBehalf;
}

/** What runs in this process; see jobs/runs.ts. */
export interface Runs {
  /** As many run as may. */
  isFull(): boolean;
  start(started: Started): void;
  /** False where it does not run here. */
  cancel(runId: string): boolean;
  /** Resolves when nothing runs. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** What the routes of this service work with. */
export interface ConsistencyDeps extends KernelDeps {
  /** Nodes that stores may name, as host:port. */
  readonly allowedNodes: ReadonlySet<string>;
  readonly engines: Engines;
  readonly checker: Checker;
  readonly runs: Runs;
  readonly gauges: Gauges;
}
