import type { PermissionCatalogue } from "./access/permissions.ts";
import type { Cache } from "./cache.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Db, Tx } from "./db/types.ts";
import type { ErrorCatalogue } from "./errors.ts";
import type { EventCatalogue } from "./events/catalogue.ts";
import type { Flags } from "./flags.ts";
import type { EventStreams } from "./http/sse.ts";
import type { App, Mutate } from "./http/types.ts";
import type { JobCatalogue } from "./jobs/types.ts";
import type { Random } from "./random.ts";
import type { FaultPoints } from "./resilience/fault-points.ts";
import type { Faults } from "./resilience/faults.ts";
import type { Outgoing } from "./resilience/outgoing.ts";
import type { Policies } from "./resilience/policies.ts";
import type { Secrets } from "./secrets/secrets.ts";
import type { SettingCatalogue, Settings } from "./settings.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** What the kernel gives every service; a function takes the few of these that it uses. */
export interface KernelDeps {
  /** The service's own PostgreSQL schema, one tenant at a time. */
  readonly db: Db;
  readonly mutate: Mutate;
  /** Answers that last. */
  readonly streams: EventStreams;
  readonly clock: Clock;
  readonly random: Random;
  readonly config: Config;
  readonly log: Logger;
  readonly flags: Flags;
  readonly faults: Faults;
  readonly policies: Policies;
  readonly outgoing: Outgoing;
  readonly secrets: Secrets;
  readonly settings: Settings;
  readonly cache: Cache;
  readonly metrics: Metrics;
}

/** A service's routes, registered below /api/v1 in a scope of their own. */
export type Routes<Deps = KernelDeps> = (app: App, deps: Deps) => void;

export interface Service<Deps = KernelDeps> {
  /** Also the PostgreSQL schema and the prefix of every error code. */
  readonly name: string;
  readonly permissions: PermissionCatalogue;
  readonly errors: ErrorCatalogue;
  readonly routes: Routes<Deps>;
  /** The tags of its routes, each with a line that the reference shows above them. */
  readonly areas?: Readonly<Record<string, string>>;
  /** Those whose whole address a standard fixes, such as `/.well-known/…`: without the prefix. */
  readonly rootRoutes?: Routes<Deps>;
  readonly jobs?: JobCatalogue<Deps>;
  /** What it tells the world; only declared types can be subscribed to. */
  readonly events?: EventCatalogue;
  /** Where `faults.at` stands in its code; each begins with the service's name. */
  readonly faultPoints?: FaultPoints;
  /** Folder of forward-only SQL files, each with a `-- scope:` line. */
  readonly migrations?: URL;
  /** Environment variables that it reads from `config.service`: names or beginnings (`LEASES_`). */
  readonly variables?: readonly string[];
  /** What a tenant, or a platform admin for it, may choose; its own secrets among them. */
  readonly settings?: SettingCatalogue;
  /** Makes what the service needs beyond the kernel's deps, once per process. */
  readonly start?: (deps: KernelDeps) => Promise<Started<Deps>>;
  /** Fills an empty demo tenant, in one transaction. */
  readonly demo?: (tx: Tx, deps: KernelDeps) => Promise<void>;
}

/** What a service's `start` has made. */
export interface Started<Deps> {
  readonly deps: Deps;
  /** Begins its own work in a process that runs jobs; by then every service is there. */
  readonly begin?: () => void;
  readonly stop?: () => Promise<void>;
}

/** A service of any dependencies, as lists of services hold them. */
// biome-ignore lint/suspicious/noExplicitAny: existential type
export type AnyService = Service<any>;

/** Declares a service: the one shape that every service has. */
export function defineService<Deps = KernelDeps>(service: Service<Deps>): Service<Deps> {
  if (!/^[a-z][a-z]{1,27}$/.test(service.name)) {
    throw new Error(`Service name "${service.name}" must be 2 to 28 lower-case letters`);
  }
  return service;
}
