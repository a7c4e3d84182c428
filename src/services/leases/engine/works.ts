import type { Clock } from "#kernel/clock.ts";
import type { Db } from "#kernel/db/types.ts";
import type { Random } from "#kernel/random.ts";
import type { Faults } from "#kernel/resilience/faults.ts";
import type { Secrets } from "#kernel/secrets/secrets.ts";
import type { Settings } from "#kernel/settings.ts";
import type { Logger } from "#kernel/telemetry/logger.ts";
import type { Tenants } from "#kernel/tenancy/tenants.ts";
import { type Actor, systemActor } from "#kernel/tenancy/types.ts";
import type { LeasesConfig } from "../rules/config.ts";
import type { Fleet } from "../types.ts";
import type { DueKind } from "../store/due.ts";
import type { Gauges } from "./metrics.ts";
import type { Slots } from "./slots.ts";

/** Something that can be worked on. */
export interface Wanted {
  readonly tenantId: string;
  readonly kind: DueKind;
  readonly id: string;
}

/** What the parts of one engine share. */
export interface Works {
  readonly db: Db;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly faults: Pick<Faults, "at">;
  readonly secrets: Pick<Secrets, "open">;
  readonly settings: Settings;
  readonly tenants: Pick<Tenants, "known" | "ref" | "each">;
  readonly leases: LeasesConfig;
  readonly publicUrl: string;
  readonly installId: string;
  readonly fleet: Fleet;
  readonly gauges: Gauges;
  /** Whoever is about to wait for an engine of containers has one. */
  readonly slots: Slots<Wanted>;
  /** Aborted when the process is to stop. */
  readonly stopping: AbortSignal;
  /** Something of this was committed here: whoever waits for it looks again. */
  changed(id: string): void;
}

export const engineActor: Actor = systemActor("leases.engine");

/** On whose behalf the engine's transactions are. */
export const onBehalf = { actor: engineActor, requestId: "leases.engine" } as const;

/** How long a step is held without a sign of life; whoever works on it says so more often. */
export const holdMs = 15_000;
export const signOfLifeMs = 5_000;
