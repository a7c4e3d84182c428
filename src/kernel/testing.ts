import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { type RunningApp, startApp } from "./app.ts";
import { manualClock, type ManualClock } from "./clock.ts";
import { type Config, loadConfig } from "./config.ts";
import { systemRandom } from "./random.ts";
import type { AnyService } from "./service.ts";
import { createLogger } from "./telemetry/logger.ts";
import type { TenantRow } from "./tenancy/store.ts";
import { type Client, createClient } from "./testing/client.ts";
import { testDatabase } from "./testing/database.ts";
import { type Emitted, emittedEvents } from "./testing/events.ts";
import { type Person, seedPerson, seedTenant } from "./testing/people.ts";

/** What a test context has to offer; node:test's own does. */
interface Cleanup {
  after(clean: () => Promise<void>): void;
}

export interface TestAppOptions {
  services: readonly AnyService[];
  /** Environment variables over the test's own. */
  env?: Record<string, string>;
  /** Changes to the configuration that no variable makes. */
  config?: Partial<Config>;
}

export type TestRole = "admin" | "tenant_admin" | "user" | (string & {});

export interface TestApp {
  readonly app: RunningApp;
  readonly clock: ManualClock;
  /** What the server has logged, parsed; at level "warn" and above. */
  readonly logs: Record<string, unknown>[];
  /**
   * A caller with a real access token: of the tenant with this slug (made at first use; "dedicated"
   * in it makes one with schemas of its own), as somebody of `role`. Without arguments: nobody.
   */
  as(tenant?: string, role?: TestRole): Client;
  /** A caller with these headers, such as an API key. */
  with(headers: Record<string, string>): Client;
  tenant(slug: string): Promise<TenantRow>;
  person(tenant: string, role?: TestRole): Promise<Person>;
  /** What services have emitted in the tenant with this slug, in order. */
  events(tenant: string): Promise<Emitted[]>;
}

const stepMs = 100;

/** The real server on a database of its own, with a clock that stands still until it is told. */
export async function startTestApp(t: Cleanup, options: TestAppOptions): Promise<TestApp> {
  const dropDatabase: (() => Promise<void>)[] = [];
  const kept = { after: (clean: () => Promise<void>) => void dropDatabase.push(clean) };
  const { ownerUrl, appUrl } = await testDatabase(kept, { services: options.services });
  const clock = manualClock();
  const logs: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void logs.push(JSON.parse(line)) };
  let app: RunningApp | null = null;
  t.after(async () => {
    if (app) await stopWhileTimePasses(app, clock);
    for (const drop of dropDatabase) await drop();
  });
  app = await startApp({
    config: testConfig(options, ownerUrl, appUrl),
    services: options.services,
    version: "0.0.0-test",
    clock,
    random: systemRandom(clock),
    log: createLogger({ level: "warn", stream }),
  });
  await app.mount();
  return { app, clock, logs, ...callers(app) };
}

/** A clock that stands still would keep the server waiting for its grace periods to pass. */
async function stopWhileTimePasses(app: RunningApp, clock: ManualClock): Promise<void> {
  let stopped = false;
  const stopping = app.stop().finally(() => {
    stopped = true;
  });
  while (!stopped) {
    clock.advance(stepMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await stopping;
}

function testConfig(options: TestAppOptions, ownerUrl: string, appUrl: string): Config {
  const env = {
    NODE_ENV: "test",
    PORT: "0",
    DATABASE_URL: ownerUrl,
    DATABASE_APP_URL: appUrl,
    PLIMSOLL_MASTER_KEY: randomBytes(32).toString("base64"),
    PLIMSOLL_DATA_DIR: tmpdir(),
    PLIMSOLL_SHUTDOWN_DELAY_MS: "0",
    PLIMSOLL_RATE_TENANT_PER_MINUTE: "1000000",
    PLIMSOLL_RATE_ANONYMOUS_PER_MINUTE: "1000000",
    PLIMSOLL_RATE_ANONYMOUS_BURST: "100000",
    PLIMSOLL_DB_POOL_MAX: "8",
    ...options.env,
  };
  const serviceVariables = options.services.flatMap((service) => service.variables ?? []);
  // Most tests need no worker; one that does says so.
  const config = loadConfig(env, { serviceVariables, role: "api" });
  return { ...config, ...options.config };
}

function callers(app: RunningApp): Pick<TestApp, "as" | "with" | "tenant" | "person" | "events"> {
  const tenants = new Map<string, Promise<TenantRow>>();
  const people = new Map<string, Promise<Person>>();
  const tenant = (slug: string) => once(tenants, slug, () => seedTenant(app, slug));
  const person = (slug: string, role: TestRole = "tenant_admin") =>
    once(people, `${slug} ${role}`, async () => seedPerson(app, await tenant(slug), role));
  return {
    tenant,
    person,
    events: async (slug) => emittedEvents(app.database.forService("platform"), await tenant(slug)),
    with: (headers) => createClient(app.http.app, async () => headers),
    as: (slug, role) =>
      createClient(app.http.app, async (): Promise<Record<string, string>> => {
        if (slug === undefined) return {};
        const { signedIn } = await person(slug, role);
        return { authorization: `Bearer ${signedIn.accessToken}` };
      }),
  };
}

function once<V>(known: Map<string, Promise<V>>, key: string, make: () => Promise<V>): Promise<V> {
  const made = known.get(key) ?? make();
  known.set(key, made);
  return made;
}
