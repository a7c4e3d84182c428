import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { TestContext } from "node:test";
import { Duplex, Readable } from "node:stream";
import { type Clock, isoNow, systemClock } from "#kernel/clock.ts";
import type { FieldError } from "#kernel/errors.ts";
import type { KernelDeps, Service } from "#kernel/service.ts";
import type { Client, TestResponse } from "#kernel/testing/client.ts";
import type { Isolation as TenantIsolation } from "#kernel/tenancy/types.ts";
import { startTestApp } from "#kernel/testing.ts";
import type { RunningEngine } from "./engine/engine.ts";
import { runtimeErrors } from "./runtimes/errors.ts";
import type {
  Container,
  ContainerSpec,
  ContainerState,
  Isolation,
  Runtime,
  RuntimeEvent,
  RuntimeInfo,
} from "./runtimes/types.ts";
import { leasesService } from "./service.ts";
import type { LeasesDeps } from "./types.ts";

/** A container of an engine that exists in memory only. */
export interface FakeContainer {
  id: string;
  spec: ContainerSpec;
  state: ContainerState;
  createdAt: string;
  startedAt: string | null;
  exitedAt: string | null;
  exitCode: number | null;
  outOfMemory: boolean;
}

/** What goes on in containers. */
type Reach = Pick<
  Runtime,
  "exec" | "terminal" | "logs" | "stats" | "putFile" | "getFile" | "portAddress"
>;

export type FakeCall = "create" | "start" | "pause" | "resume" | "stop" | "remove" | "snapshot";

/** An engine of another company's, in memory: it outlives the servers that use it. */
export interface FakeEngine {
  readonly containers: Map<string, FakeContainer>;
  readonly snapshots: Map<string, { tenantId: string; snapshotId: string; scrubEnv: string[] }>;
  /** Every call that changed something, in order. */
  readonly calls: string[];
  readonly execs: string[][];
  /** What it does in place of next to nothing, for tests of what reaches into containers. */
  reach: Partial<Reach>;
  /** Asked before and after each call took effect; what it throws, the call throws. */
  meddle: (call: FakeCall, when: "before" | "after", id: string) => void | Promise<void>;
  /** What the engine says of itself. */
  info: RuntimeInfo;
  /** The program of a container ends. */
  die(id: string, how: { exitCode: number; outOfMemory?: boolean }): void;
  /** Somebody removes a container behind everybody's back. */
  vanish(id: string): void;
  /** The one container of a lease. */
  of(leaseId: string): FakeContainer | undefined;
  readonly runtime: Runtime;
}

const fakeInfo: RuntimeInfo = {
  name: "docker",
  version: "fake",
  available: true,
  strength: "container",
  ociRuntimes: ["runc"],
  canSnapshot: true,
  canPause: true,
  notes: [],
};

const isolationOf = (spec: ContainerSpec): Isolation => ({
  runtime: "fake",
  strength: "container",
  user: spec.user ?? "65534:65534",
  readOnlyRoot: !spec.writable,
  capabilities: [],
  noNewPrivileges: true,
  seccomp: "default",
  userNamespace: false,
  network: "fake",
  egress: spec.egress,
  memoryMb: spec.memoryMb,
  cpuMillis: spec.cpuMillis,
  pidsMax: spec.pidsMax,
  diskMb: spec.diskMb,
  notes: [],
});

const shown = (one: FakeContainer): Container => ({
  id: one.id,
  name: one.spec.name,
  identity: one.spec.identity,
  state: one.state,
  createdAt: one.createdAt,
  startedAt: one.startedAt,
  exitedAt: one.exitedAt,
  exitCode: one.exitCode,
  outOfMemory: one.outOfMemory,
  isolation: isolationOf(one.spec),
});

/** Makes an engine whose clock is the test's. */
export function fakeEngine(clock: () => Pick<Clock, "nowMs">): FakeEngine {
  const containers = new Map<string, FakeContainer>();
  const now = () => isoNow(clock());
  const engine: Omit<FakeEngine, "runtime"> = {
    containers,
    snapshots: new Map(),
    calls: [],
    execs: [],
    reach: {},
    meddle: () => {},
    info: fakeInfo,
    die(id, { exitCode, outOfMemory = false }) {
      Object.assign(need(containers, id), {
        state: "exited",
        exitedAt: now(),
        exitCode,
        outOfMemory,
      });
    },
    vanish: (id) => void containers.delete(need(containers, id).id),
    of: (leaseId) => [...containers.values()].find(({ spec }) => spec.identity.leaseId === leaseId),
  };
  return Object.assign(engine, { runtime: fakeRuntime(engine, now) });
}

type Containers = Map<string, FakeContainer>;

const find = (containers: Containers, idOrName: string) =>
  containers.get(idOrName) ?? [...containers.values()].find(({ spec }) => spec.name === idOrName);

function need(containers: Containers, id: string): FakeContainer {
  const one = find(containers, id);
  if (!one) throw runtimeErrors.gone({ detail: `There is no container ${id}.` });
  return one;
}

function move(one: FakeContainer, from: readonly ContainerState[], change: Partial<FakeContainer>) {
  if (one.state === change.state) return one;
  if (from.includes(one.state)) return Object.assign(one, change);
  throw runtimeErrors.conflict({ detail: `The container is ${one.state}.` });
}

const created = (spec: ContainerSpec, id: string, createdAt: string): FakeContainer => ({
  id,
  spec,
  state: "created",
  createdAt,
  startedAt: null,
  exitedAt: null,
  exitCode: null,
  outOfMemory: false,
});

function fakeRuntime(engine: Omit<FakeEngine, "runtime">, now: () => string): Runtime {
  const { containers, snapshots } = engine;
  const one = (id: string) => need(containers, id);
  const does = async <T>(call: FakeCall, id: string, work: () => T): Promise<T> => {
    await engine.meddle(call, "before", id);
    const result = work();
    engine.calls.push(`${call} ${id}`);
    await engine.meddle(call, "after", id);
    return result;
  };
  let made = 0;
  const make = (spec: ContainerSpec): Container => {
    const there = find(containers, spec.name);
    if (there) return shown(there);
    made += 1;
    const container = created(spec, `c${made}`, now());
    containers.set(container.id, container);
    return shown(container);
  };
  const stop = (id: string) => {
    const found = find(containers, id);
    if (!found || found.state === "exited") return;
    Object.assign(found, { state: "exited", exitedAt: now(), exitCode: 143 });
  };
  const startOne = (id: string) =>
    shown(move(one(id), ["created", "exited"], { state: "running", startedAt: now() }));
  return {
    ...streams(engine),
    name: "docker",
    info: async () => engine.info,
    create: (spec) => does("create", spec.name, () => make(spec)),
    start: (id) => does("start", id, () => startOne(id)),
    inspect: async (id) => {
      const found = find(containers, id);
      return found ? shown(found) : null;
    },
    list: async () => [...containers.values()].map(shown),
    pause: (id) => does("pause", id, () => void move(one(id), ["running"], { state: "paused" })),
    resume: (id) => does("resume", id, () => void move(one(id), ["paused"], { state: "running" })),
    stop: (id) => does("stop", id, () => stop(id)),
    remove: (id) =>
      does("remove", id, () => void containers.delete(find(containers, id)?.id ?? "")),
    snapshot: (id, { tenantId, snapshotId, scrubEnv }) =>
      does("snapshot", one(id).id, () => {
        const image = `snapshot:${snapshotId}`;
        snapshots.set(image, { tenantId, snapshotId, scrubEnv: [...scrubEnv] });
        return { image, sizeBytes: 4_096 };
      }),
    removeSnapshot: async (image) => void snapshots.delete(image),
    keptImages: async () =>
      [...snapshots].map(([image, { tenantId, snapshotId }]) => ({
        image,
        tenantId,
        snapshotId,
        isDraft: false,
      })),
    close: async () => {},
  };
}

/** What the core has no need of: as a test says, else as plain as can be. */
function streams(engine: Pick<FakeEngine, "execs" | "containers" | "reach">) {
  const { execs, containers } = engine;
  const unused = () => {
    throw runtimeErrors.refused({ detail: "The fake engine has none." });
  };
  const plain: Reach & Pick<Runtime, "events"> = {
    exec: async (id, { command }) => {
      if (containers.get(id)?.state !== "running") throw runtimeErrors.conflict();
      execs.push([...command]);
      const empty = Buffer.alloc(0);
      return { exitCode: 0, stdout: empty, stderr: empty, truncated: false, timedOut: false };
    },
    terminal: async () => ({
      stream: Duplex.from([]),
      resize: async () => {},
      exited: Promise.resolve(0),
      kill: async () => {},
    }),
    logs: unused,
    stats: async () => unused(),
    putFile: async (_id, _path, content) => {
      const hash = createHash("sha256");
      for await (const chunk of content) hash.update(chunk as Buffer);
      return hash.digest("hex");
    },
    getFile: async () => ({ content: Readable.from([]), sizeBytes: 0 }),
    portAddress: async () => null,
    events: async function* (signal): AsyncGenerator<RuntimeEvent> {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      yield* [];
    },
  };
  const either = (name: keyof Reach) => {
    const call = (...given: unknown[]) =>
      ((engine.reach[name] ?? plain[name]) as (...given: unknown[]) => unknown)(...given);
    return [name, call];
  };
  return Object.fromEntries((Object.keys(plain) as (keyof Reach)[]).map(either)) as typeof plain;
}

/** The service over an engine in memory, for whichever server it is started in. */
export function fakeLeases(clock: () => Pick<Clock, "nowMs"> = () => systemClock) {
  const engine = fakeEngine(clock);
  return { engine, ...watched(leasesService({ open: () => engine.runtime })) };
}

/** The service, and what it has made of its deps. */
export function watched(service: Service<LeasesDeps>) {
  const start = service.start as NonNullable<typeof service.start>;
  let started: LeasesDeps | null = null;
  return {
    service: {
      ...service,
      start: async (given: KernelDeps) => {
        const made = await start(given);
        started = made.deps;
        return made;
      },
    },
    /** What the service has made of its deps, once it is started. */
    deps: () => started as LeasesDeps,
  };
}

export interface LeasesFixtureOptions {
  readonly isolation?: TenantIsolation;
  readonly env?: Record<string, string>;
}

/**
 * A real server over a real database whose containers come from an engine in memory; an admin and a
 * user of one tenant, the admin of another, a platform admin, and nobody. Its clock stands still
 * and stands for the database's.
 */
export async function startLeases(t: TestContext, options: LeasesFixtureOptions = {}) {
  const { isolation = "shared", env = {} } = options;
  const { engine, service, deps } = fakeLeases(() => test.clock);
  const test = await startTestApp(t, { services: [service], env });
  const mine = `${isolation}-mine`;
  const running = deps().engine as RunningEngine;
  return {
    test,
    engine,
    service,
    deps: deps(),
    clock: test.clock,
    admin: test.as(mine, "tenant_admin"),
    user: test.as(mine, "user"),
    userId: async () => (await test.person(mine, "user")).userId,
    root: test.as(mine, "admin"),
    stranger: test.as(`${isolation}-other`, "tenant_admin"),
    nobody: test.as(),
    tenant: await test.tenant(mine),
    events: () => test.events(mine),
    db: test.app.database.forService("leases"),
    /** Time passes, and whatever is due by then is done. */
    async pass(seconds: number): Promise<void> {
      await running.settled();
      test.clock.advance(seconds * 1_000);
      await settle(running);
    },
    /** A platform admin, or somebody else, sets these for the tenant. */
    async limit(settings: Record<string, unknown>, { platformAdmin } = { platformAdmin: true }) {
      const { db, settings: stored } = test.app.depsOf("leases");
      const tenant = await test.tenant(mine);
      await db.inTenant(tenant, async (tx) => {
        const version = (await stored.read(tx))?.version as number;
        await stored.replace(tx, { settings, version, platformAdmin });
      });
    },
    /** What is due is done. */
    settle: () => settle(running),
  };
}

async function settle(engine: RunningEngine): Promise<void> {
  await engine.settled();
  while ((await engine.sweep()) > 0) await engine.settled();
}

export type Leases = Awaited<ReturnType<typeof startLeases>>;

/** The problem's status, its code and the places that it complains about. */
export const refusal = ({ status, body }: TestResponse) =>
  [status, body.code, ...(body.errors ?? []).map((error: FieldError) => error.path)].join(" ");

/** Leases a container, waits until it runs, and answers with the lease. */
export async function makeLease(caller: Client, body: object = {}): Promise<TestResponse["body"]> {
  const made = await caller.post("/leases?wait=10", { image: "alpine", preset: "tiny", ...body });
  assert.equal(made.status, 202, made.text);
  assert.equal(made.body.state, "running", made.text);
  return made.body;
}

/** Makes a template whose containers can be kept, and answers with it. */
export async function makeWritable(admin: Client, body: object = {}) {
  const wanted = { name: "writable", image: "alpine", writable: true, ...body };
  const made = await admin.post("/leases/templates", wanted);
  assert.equal(made.status, 201, made.text);
  return made.body;
}
