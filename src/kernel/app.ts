import { hostname } from "node:os";
import { mergePermissions } from "./access/permissions.ts";
import { createRoles } from "./access/roles.ts";
import { openDatabase, type OpenedDatabase } from "./app-database.ts";
import { type Background, startBackground } from "./app-background.ts";
import { openFaults } from "./app-faults.ts";
import { createIdentity, type Identity } from "./app-identity.ts";
import { openPolicies, otlpPolicy } from "./app-policies.ts";
import type { BreakerBoard } from "./breaker-board.ts";
import { createCache } from "./cache.ts";
import { type Clock, isoNow, systemClock } from "./clock.ts";
import { type Config, ConfigError } from "./config.ts";
import { assertTlsFiles } from "./config/tls.ts";
import { createDatabase } from "./db/pool.ts";
import type { Database } from "./db/types.ts";
import { type EventCatalogue, mergeEvents } from "./events/catalogue.ts";
import { refuseUndeclaredEvents } from "./events/emit.ts";
import { measureOutbox } from "./events/outbox.ts";
import { createEventFeed } from "./events/stream.ts";
import type { FaultBoard } from "./fault-board.ts";
import { createFlags } from "./flags.ts";
import { createMutate } from "./http/mutation.ts";
import { createHttp, type Http, type HttpOptions } from "./http/server.ts";
import { startMetricsServer } from "./http/health-routes.ts";
import { createJobAdmin, measureJobs } from "./jobs/admin.ts";
import { attemptLimits } from "./jobs/catalogue.ts";
import { kernelErrors } from "./kernel-errors.ts";
import type { PlatformDeps } from "./platform-parts.ts";
import { type Random, systemRandom } from "./random.ts";
import { createOutgoing } from "./resilience/outgoing.ts";
import { createSealer, type Sealer } from "./secrets/seal.ts";
import { createSecrets } from "./secrets/secrets.ts";
import { createSettings, mergeSettings } from "./settings.ts";
import type { AnyService, KernelDeps, Started } from "./service.ts";
import { createHealth, type Health } from "./telemetry/health.ts";
import { createLogger, type Logger } from "./telemetry/logger.ts";
import { startTracing, type Tracing } from "./telemetry/tracing.ts";
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
  readonly appUrl: string;
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
type CommonDeps = Omit<KernelDeps, "db" | "mutate" | "streams">;

/**
 * Turns a configuration and a list of services into a server: database, kernel, routes, and, where
 * the role asks for it, the worker. Throws, naming what is wrong, with nothing left running.
 */
export async function startApp(options: AppOptions): Promise<RunningApp> {
  const { config, clock = systemClock } = options;
  if (config.tls) assertTlsFiles(config.tls);
  const random = options.random ?? systemRandom(clock);
  const closing = new AsyncDisposableStack();
  // Before anything that is to be traced: Fastify is watched from its making.
  const tracing = await startTracing({
    endpoint: config.otlpEndpoint,
    serviceVersion: options.version,
  });
  closing.defer(() => tracing.stop());
  const log = options.log ?? createLogger({ level: config.logLevel, trace: tracing.current });
  try {
    const services = chosenServices(options.services, config.services);
    const events = mergeEvents(options.services);
    if (config.env !== "production") refuseUndeclaredEvents(events);
    const opened = await openDatabase(config, services, { log, clock });
    closing.defer(() => opened.close());
    const given = { ...options, services, allServices: options.services, clock, random, log };
    return await assemble({ ...given, events, tracing, opened, closing });
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

interface Assembly extends Required<AppOptions> {
  /** Also those that this process does not run. */
  allServices: readonly AnyService[];
  /** Of all services: somebody else's process tells of the rest. */
  events: EventCatalogue;
  tracing: Tracing;
  opened: OpenedDatabase;
  closing: AsyncDisposableStack;
}

async function assemble(assembly: Assembly): Promise<RunningApp> {
  const { config, services, clock, random, log, opened, closing } = assembly;
  const { ownerUrl } = opened;
  const surroundings = { config, clock, random, log };
  const sealer = createSealer(config.masterKey, config.masterKeyPrevious, random);
  const metrics = createMetrics();
  const database = openPool(assembly, metrics);
  const { faultBoard, breakerBoard, ...common } = await createCommon(assembly, {
    metrics,
    sealer,
    database,
  });
  const permissions = mergePermissions(services.map((service) => service.permissions));
  const identity = await createIdentity({
    ...surroundings,
    database,
    ownerUrl,
    services,
    sealer,
    roles: createRoles(permissions),
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
  const sharedBuckets = await sharedBucketsOf(config, common);
  const http = createHttp({
    ...(sharedBuckets && { sharedBuckets }),
    ...surroundings,
    metrics,
    health,
    permissions,
    authenticate: identity.authenticator.authenticate,
    tickets: identity.tickets,
    errors: [...kernelErrors, ...services.map((service) => service.errors)],
    events: assembly.events,
    version: assembly.version,
    tenantLimit: (tenant) => common.settings.peek<number>(tenant, "platform.requests_per_minute"),
  });
  const depsOf = depsFor(assembly, {
    common,
    faultBoard,
    breakerBoard,
    database,
    identity,
    http,
    sealer,
  });
  const parts = { common, services, database, opened, identity, health };
  return runningApp({ ...assembly, ...parts, http, depsOf });
}

/** The client of Redis takes 14 MiB and a tenth of a second to load: only who has one does. */
async function sharedBucketsOf(
  { redisUrl }: Config,
  { policies, faults }: Pick<CommonDeps, "policies" | "faults">,
): Promise<HttpOptions["sharedBuckets"]> {
  if (redisUrl === undefined) return undefined;
  const { redisBuckets } = await import("./http/ratelimit-redis.ts");
  return (around) => redisBuckets(redisUrl, { ...around, policies, faults });
}

interface Running extends Assembly {
  common: CommonDeps;
  database: Database;
  identity: Identity;
  health: Health;
  http: Http;
  depsOf: (service: string) => KernelDeps;
}

function runningApp(running: Running): RunningApp {
  const { config, services, database, opened, identity, http, log, closing, depsOf } = running;
  let url = "";
  let background: Background | null = null;
  let mounted: Promise<void> | null = null;
  const mount = () => {
    mounted ??= (async () => {
      const started = await startServices(services, depsOf, closing);
      const given = (name: string) => started.get(name)?.deps;
      for (const service of services) http.mount(service, given(service.name) as KernelDeps);
      await http.app.ready();
      if (config.metricsPort !== undefined) await listenForMetrics(running);
      if (config.role === "api") return;
      for (const { begin } of started.values()) begin?.();
      background = await startBackground({ ...running, depsOf: given });
    })();
    return mounted;
  };
  return {
    config,
    services,
    database,
    ownerUrl: opened.ownerUrl,
    appUrl: opened.appUrl,
    http,
    identity,
    log,
    depsOf,
    url: () => url,
    mount,
    async listen() {
      await mount();
      if (config.env === "production" && !config.tls) {
        log.warn("TLS is off: set TLS_CERT_FILE and TLS_KEY_FILE, or keep a TLS proxy in front");
      }
      url = await http.app.listen({ host: config.host, port: config.port });
      return url;
    },
    failed: opened.exited,
    async stop() {
      // A worker stops taking jobs at once, while requests are still being answered.
      const graceMs = config.limits.shutdownDeadlineMs / 2;
      const [clean] = await Promise.all([http.drain(), background?.stop(graceMs)]);
      await closing.disposeAsync();
      return clean;
    },
  };
}

async function listenForMetrics(running: Running): Promise<void> {
  const { config, common, health, closing, log } = running;
  const { metricsToken } = config;
  const server = await startMetricsServer(
    { metrics: common.metrics, health },
    {
      host: config.host,
      port: config.metricsPort as number,
      ...(metricsToken !== undefined && { metricsToken }),
    },
  );
  closing.defer(() => server.stop());
  log.info({ port: server.port }, "metrics and health have a port of their own");
}

async function createCommon(
  assembly: Assembly,
  { metrics, sealer, database }: { metrics: Metrics; sealer: Sealer; database: Database },
): Promise<CommonDeps & { faultBoard: FaultBoard; breakerBoard: BreakerBoard }> {
  const { config, services, allServices, opened, clock, random, log, closing, tracing } = assembly;
  const db = database.forService("platform");
  const { allowPrivateHosts } = config;
  const flags = createFlags({ environment: config.flags, db, clock, log });
  await flags.load();
  flags.start();
  closing.defer(() => flags.stop());
  const { appUrl } = opened;
  const around = { config, services: allServices, appUrl, db, clock, random, log, metrics };
  const injected = await openFaults({ ...around, closing });
  const { policies, breakerBoard } = await openPolicies({ ...around, closing });
  if (config.otlpEndpoint) tracing.protect(policies.for("otlp", otlpPolicy));
  const { faults } = injected;
  const outgoing = createOutgoing({ allowPrivateHosts, clock, log, metrics, policies, faults });
  closing.defer(() => outgoing.close());
  const secrets = createSecrets(sealer);
  return {
    clock,
    random,
    config,
    log,
    metrics,
    outgoing,
    flags,
    secrets,
    settings: createSettings({ catalogue: mergeSettings(services), secrets, db, clock, log }),
    ...injected,
    policies,
    breakerBoard,
    cache: createCache({
      clock,
      metrics,
      maxEntries: config.limits.cacheEntries,
      maxBytes: config.limits.cacheBytes,
    }),
  };
}

function openPool(assembly: Assembly, metrics: Metrics) {
  const { config, opened, clock, log, tracing, closing } = assembly;
  const flights = metrics.histogram("db_flight_seconds", "Network flights to PostgreSQL", [
    "result",
  ]);
  const database = createDatabase({
    ...config.db,
    appUrl: opened.appUrl,
    clock,
    log,
    onFlight: (durationMs, failed) => {
      flights.observe({ result: failed ? "error" : "ok" }, durationMs / 1_000);
      tracing.record("postgresql flight", durationMs, { failed });
    },
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
  faultBoard: FaultBoard;
  breakerBoard: BreakerBoard;
  database: Database;
  identity: Identity;
  http: Http;
  sealer: Sealer;
}

/** Each service sees its own schema; the platform's own service sees the kernel's parts as well. */
function depsFor(
  { opened, allServices, events, clock, random, log, config, closing }: Assembly,
  { common, faultBoard, breakerBoard, database, identity, http, sealer }: DepsParts,
): (service: string) => KernelDeps {
  const { metrics, faults } = common;
  const instance = {
    id: random.id(),
    host: hostname(),
    pid: process.pid,
    role: config.role,
    startedAt: isoNow(clock),
  };
  const made = new Map<string, KernelDeps>();
  const make = (service: string): KernelDeps | PlatformDeps => {
    const db = database.forService(service);
    const mutate = createMutate({ db, sealer, clock, faults, duplicateWaitMs: 10_000 });
    const deps: KernelDeps = { ...common, db, mutate, streams: http.streams };
    if (service !== "platform") return deps;
    const attemptsOf = attemptLimits(allServices);
    const jobs = createJobAdmin({ ownerUrl: opened.ownerUrl, attemptsOf, log });
    closing.defer(() => jobs.close());
    const feed = createEventFeed({ db, appUrl: opened.appUrl, clock, log, metrics });
    closing.defer(() => feed.stop());
    measureJobs(jobs, metrics);
    measureOutbox({ db, metrics });
    const boards = { faultBoard, breakerBoard };
    return { ...identity, ...boards, jobs, feed, events, instance, ...deps };
  };
  return (service) => {
    const deps = made.get(service) ?? make(service);
    made.set(service, deps);
    return deps;
  };
}

/** What each service works with: what it was given, or what its own `start` made of that. */
async function startServices(
  services: readonly AnyService[],
  depsOf: (service: string) => KernelDeps,
  closing: AsyncDisposableStack,
): Promise<Map<string, Started<KernelDeps>>> {
  const all = new Map<string, Started<KernelDeps>>();
  for (const { name, start } of services) {
    const started = start ? await start(depsOf(name)) : { deps: depsOf(name) };
    all.set(name, started);
    if (started.stop) closing.defer(started.stop);
  }
  return all;
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
    const problem = `names ${unknown.join(", ")}, which is no service; there are ${known}`;
    throw new ConfigError([{ name: "--services", problem }]);
  }
  return all.filter(({ name }) => name === "platform" || names.includes(name));
}
