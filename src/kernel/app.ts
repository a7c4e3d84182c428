import { mergePermissions } from "./access/permissions.ts";
import { createRoles } from "./access/roles.ts";
import { openDatabase, type OpenedDatabase } from "./app-database.ts";
import { createIdentity, type Identity } from "./app-identity.ts";
import { createCache } from "./cache.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { createDatabase } from "./db/pool.ts";
import type { Database } from "./db/types.ts";
import { createFlags, type Flags } from "./flags.ts";
import { createMutate } from "./http/mutation.ts";
import { createHttp, type Http } from "./http/server.ts";
import { startMetricsServer } from "./http/health-routes.ts";
import { createJobAdmin, type JobAdmin } from "./jobs/admin.ts";
import { kernelErrors } from "./kernel-errors.ts";
import type { PlatformDeps } from "./platform-parts.ts";
import { type Random, systemRandom } from "./random.ts";
import { createFaults } from "./resilience/faults.ts";
import { createOutgoing } from "./resilience/outgoing.ts";
import { createPolicies } from "./resilience/policies.ts";
import { createSealer, type Sealer } from "./secrets/seal.ts";
import { createSecrets } from "./secrets/secrets.ts";
import { createSettings, mergeSettings } from "./settings.ts";
import type { AnyService, KernelDeps } from "./service.ts";
import { createHealth } from "./telemetry/health.ts";
import { createLogger, type Logger } from "./telemetry/logger.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";

export interface AppOptions {
  config: Config;
  services: readonly AnyService[];
  /** The release, for documentation. */
  version: string;
  clock?: Clock;
  random?: Random;
  log?: Logger;
}

export interface RunningApp {
  readonly config: Config;
  readonly services: readonly AnyService[];
  readonly database: Database;
  readonly ownerUrl: string;
  readonly http: Http;
  readonly identity: Identity;
  readonly log: Logger;
  /** What a service was given; for tests and for the demo. */
  depsOf(service: string): KernelDeps;
  /** Where it listens; empty before `listen`, and in a process without the api role. */
  url(): string;
  listen(): Promise<string>;
  /** Registers every service's routes; `listen` does it by itself. */
  mount(): Promise<void>;
  /** Resolves with the reason when something that can't be done without is gone for good. */
  readonly failed: Promise<string>;
  /** Stops without losing a request; false when some had to be cut at the deadline. */
  stop(): Promise<boolean>;
}

/** Deps that are the same for every service; the rest depend on the service's name. */
type CommonDeps = Omit<KernelDeps, "db" | "mutate">;

/**
 * Turns a configuration and a list of services into a server: database, kernel, routes, and, where
 * the role asks for it, the worker. Throws, naming what is wrong, with nothing left running.
 */
export async function startApp(options: AppOptions): Promise<RunningApp> {
  const { config, clock = systemClock } = options;
  const random = options.random ?? systemRandom(clock);
  const log = options.log ?? createLogger({ level: config.logLevel });
  const closing = new AsyncDisposableStack();
  try {
    const services = chosenServices(options.services, config.services);
    const opened = await openDatabase(config, services, { log, clock });
    closing.defer(() => opened.close());
    return await assemble({ ...options, services, clock, random, log, opened, closing });
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

interface Assembly extends Required<AppOptions> {
  opened: OpenedDatabase;
  closing: AsyncDisposableStack;
}

async function assemble(assembly: Assembly): Promise<RunningApp> {
  const { config, services, clock, random, log, opened, closing } = assembly;
  const sealer = createSealer(config.masterKey, config.masterKeyPrevious, random);
  const metrics = createMetrics();
  const database = openPool(assembly, metrics);
  const flags = createFlags({
    environment: config.flags,
    db: database.forService("platform"),
    clock,
    log,
  });
  await flags.load();
  flags.start();
  closing.defer(() => flags.stop());
  const secrets = createSecrets(sealer);
  const settings = createSettings({
    catalogue: mergeSettings(services),
    secrets,
    db: database.forService("platform"),
    clock,
    log,
  });
  const common = createCommon(assembly, { metrics, secrets, settings, flags });
  const permissions = mergePermissions(services.map((service) => service.permissions));
  const { ownerUrl } = opened;
  const roles = createRoles(permissions);
  const identity = await createIdentity({
    config,
    database,
    ownerUrl,
    services,
    roles,
    sealer,
    clock,
    random,
    log,
  });
  closing.defer(async () => {
    identity.authenticator.stop();
    await identity.keys.stop();
  });
  const health = createHealth({ clock, log });
  health.register("postgresql", {
    required: true,
    timeoutMs: 2_000,
    check: () => database.ping(2_000),
  });
  const http = createHttp({
    config,
    clock,
    random,
    log,
    metrics,
    health,
    permissions,
    authenticate: identity.authenticator.authenticate,
    errors: [...kernelErrors, ...services.map((service) => service.errors)],
    version: assembly.version,
    tenantLimit: (tenant) => settings.peek<number>(tenant, "platform.requests_per_minute"),
  });
  const jobs = createJobAdmin(ownerUrl, log);
  closing.defer(() => jobs.close());
  const depsOf = depsFor({ common, database, identity, http, jobs, clock, sealer });
  const listening = { url: "" };
  let mounted: Promise<void> | null = null;
  const mount = () => {
    mounted ??= mountServices(services, http, depsOf, closing).then(async () => void (await http.app.ready()));
    return mounted;
  };
  return {
    config,
    services,
    database,
    ownerUrl,
    http,
    identity,
    log,
    depsOf,
    url: () => listening.url,
    mount,
    async listen() {
      await mount();
      listening.url = await http.app.listen({ host: config.host, port: config.port });
      return listening.url;
    },
    failed: opened.exited,
    async stop() {
      const clean = await http.drain();
      await closing.disposeAsync();
      return clean;
    },
  };
}

function createCommon(
  { config, clock, random, log, closing }: Assembly,
  { metrics, flags, secrets, settings }: Pick<CommonDeps, "metrics" | "flags" | "secrets" | "settings">,
): CommonDeps {
  const outgoing = createOutgoing({
    allowPrivateHosts: config.allowPrivateHosts,
    clock,
    log,
    metrics,
  });
  closing.defer(() => outgoing.close());
  const faultsAllowed = config.env !== "production" || config.flags.faults === true;
  return {
    clock,
    random,
    config,
    log,
    metrics,
    outgoing,
    faults: createFaults({ allowed: faultsAllowed, clock, random, log, metrics }),
    policies: createPolicies({ clock, random, log, metrics }),
    cache: createCache({
      clock,
      metrics,
      maxEntries: config.limits.cacheEntries,
      maxBytes: config.limits.cacheBytes,
    }),
    flags,
    secrets,
    settings,
  };
}

function openPool({ config, opened, clock, log, closing }: Assembly, metrics: Metrics) {
  const flights = metrics.histogram("db_flight_seconds", "Network flights to PostgreSQL", ["result"]);
  const database = createDatabase({
    ...config.db,
    appUrl: opened.appUrl,
    clock,
    log,
    onFlight: (durationMs, failed) =>
      flights.observe({ result: failed ? "error" : "ok" }, durationMs / 1_000),
  });
  closing.defer(() => database.close());
  metrics.gauge("db_connections", "Connections of the pool", ["state"], (gauge) => {
    const { total, idle, waiting, max } = database.stats();
    for (const [state, count] of Object.entries({ total, idle, waiting, max })) {
      gauge.set({ state }, count);
    }
  });
  return database;
}

interface DepsParts {
  common: CommonDeps;
  database: Database;
  identity: Identity;
  http: Http;
  jobs: JobAdmin;
  clock: Clock;
  sealer: Sealer;
}

/** Each service sees its own schema; the platform's own service sees the kernel's parts as well. */
function depsFor(parts: DepsParts): (service: string) => KernelDeps {
  const { common, database, identity, http, jobs, clock, sealer } = parts;
  const made = new Map<string, KernelDeps>();
  return (service) => {
    const known = made.get(service);
    if (known) return known;
    const db = database.forService(service);
    const mutate = createMutate({ db, sealer, clock, duplicateWaitMs: 10_000 });
    const deps: KernelDeps = { ...common, db, mutate };
    const given: KernelDeps | PlatformDeps =
      service === "platform" ? { ...identity, jobs, streams: http.streams, ...deps } : deps;
    made.set(service, given);
    return given;
  };
}

async function mountServices(
  services: readonly AnyService[],
  http: Http,
  depsOf: (service: string) => KernelDeps,
  closing: AsyncDisposableStack,
): Promise<void> {
  for (const service of services) {
    let deps = depsOf(service.name);
    if (service.start) {
      const started = await service.start(deps);
      deps = started.deps;
      if (started.stop) closing.defer(started.stop);
    }
    http.mount(service, deps);
  }
}

/** The services named by --services, with the platform's own always among them. */
function chosenServices(
  all: readonly AnyService[],
  names: readonly string[] | undefined,
): readonly AnyService[] {
  if (!names) return all;
  const unknown = names.filter((name) => !all.some((service) => service.name === name));
  if (unknown.length > 0) {
    const known = all.map((service) => service.name).join(", ");
    throw new Error(`There is no service ${unknown.join(", ")}; there are ${known}`);
  }
  return all.filter(({ name }) => name === "platform" || names.includes(name));
}
