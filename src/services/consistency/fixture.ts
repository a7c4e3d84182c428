import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import type { FieldError } from "#kernel/errors.ts";
import type { KernelDeps, Service } from "#kernel/service.ts";
import type { Isolation } from "#kernel/tenancy/types.ts";
import type { Client, TestResponse } from "#kernel/testing/client.ts";
import { startTestApp } from "#kernel/testing.ts";
import { consistencyService, type Overrides } from "./service.ts";
import type { ConsistencyDeps } from "./types.ts";

export interface FixtureOptions extends Overrides {
  readonly isolation?: Isolation;
  readonly env?: Record<string, string>;
}

/**
 * A real server over a real database, whose embedded stores live by the real clock: an admin and a
 * user of one tenant, the admin of another, and nobody.
 */
export async function startConsistency(t: TestContext, options: FixtureOptions = {}) {
  const { isolation = "shared", env = {}, ...overrides } = options;
  const service = watched(consistencyService({ engineClock: systemClock, ...overrides }));
  const server = await startTestApp(t, { services: [service], env });
  const mine = `${isolation}-mine`;
  return {
    server,
    service,
    admin: server.as(mine, "tenant_admin"),
    user: server.as(mine, "user"),
    stranger: server.as(`${isolation}-other`, "tenant_admin"),
    nobody: server.as(),
    tenant: await server.tenant(mine),
    events: () => server.events(mine),
    db: server.app.database.forService("consistency"),
  };
}

/** The service, and what it has made of its deps. */
function watched(service: Service<ConsistencyDeps>) {
  const start = service.start as NonNullable<typeof service.start>;
  let started: ConsistencyDeps | null = null;
  return {
    ...service,
    start: async (given: KernelDeps) => {
      const made = await start(given);
      started = made.deps;
      return made;
    },
    deps: () => started as ConsistencyDeps,
  };
}

/** The problem's status, its code and the places that it complains about. */
export const refusal = ({ status, body }: TestResponse) =>
  [status, body?.code, ...(body?.errors ?? []).map((error: FieldError) => error.path)].join(" ");

/** Makes a store and answers with it. */
export async function makeStore(admin: Client, body: object = {}): Promise<TestResponse["body"]> {
  const made = await admin.post("/stores", { name: "Cart", topology: { seed: 7 }, ...body });
  assert.equal(made.status, 201, made.text);
  return made.body;
}

const patienceMs = 30_000;
const lookEveryMs = 50;

/** Looks until `isDone`, and answers with what it saw then. */
export async function until(
  look: () => Promise<TestResponse>,
  isDone: (body: TestResponse["body"]) => boolean,
): Promise<TestResponse["body"]> {
  const endMs = systemClock.monotonicMs() + patienceMs;
  for (;;) {
    const seen = await look();
    assert.ok(seen.status < 400, seen.text);
    if (isDone(seen.body)) return seen.body;
    assert.ok(systemClock.monotonicMs() < endMs, `It is still ${seen.text}`);
    await systemClock.sleep(lookEveryMs);
  }
}

/** What has been asked for, once it is over. */
export const over = (client: Client, path: string) =>
  until(
    () => client.get(path),
    ({ state }) => state !== "running",
  );
