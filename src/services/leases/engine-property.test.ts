import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Problem } from "#kernel/errors.ts";
import { type Random, seededRandom } from "#kernel/random.ts";
import { systemActor } from "#kernel/tenancy/types.ts";
import { createLease } from "./changes/create.ts";
import { changeTemplate } from "./changes/templates.ts";
import {
  keepLeaseAlive,
  releaseLease,
  renewLease,
  restartLease,
  wishLease,
} from "./changes/leases.ts";
import { makeWritable, startLeases } from "./fixture.ts";
import { type Box, openBox } from "./fixtures/engines.ts";
import { assertTruth, type World } from "./fixtures/truth.ts";
import { systemCaller } from "./rules/callers.ts";
import type { NewLease } from "./schemas/leases.ts";

const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 125];
const actsPerSeed = 250;
const leasesMost = 40;

interface House extends World {
  readonly random: Random;
  /** Of the template whose containers are kept ready. */
  readonly templateId: string;
  /** What happens inside of processes has a chance of its own: when it does nobody knows. */
  readonly chance: Random;
  /** Processes that live, or think that they do. */
  readonly boxes: Box[];
  /** Work that is still under way, in processes that were frozen. */
  readonly pending: Set<{ box: Box; done: Promise<unknown> }>;
  /** Fault points that were struck. */
  readonly struck: Set<string>;
  opened: number;
}

const pick = <T>({ random }: House, from: readonly T[]): T =>
  from[Math.floor(random.float() * from.length)] as T;
const within = ({ random }: House, least: number, most: number): number =>
  least + Math.floor(random.float() * (most - least + 1));

function newBox(house: House): Box {
  house.opened += 1;
  return openBox(`box ${house.opened}`, house.deps, house.engine.runtime);
}

/** Refusals are answers; everything else is a fault. */
async function ask(asking: () => Promise<unknown>): Promise<void> {
  await asking().catch((error) => {
    if (!(error instanceof Problem) || error.status >= 500) throw error;
  });
}

const inTenant = <T>(house: House, change: Parameters<typeof house.deps.db.inTenant<T>>[1]) =>
  house.deps.db.inTenant(house.tenant, change, { actor: systemActor("test"), requestId: "test" });

async function create(house: House): Promise<void> {
  if (house.known.size >= leasesMost) return;
  const chance = house.random.float();
  if (chance < 0.25) {
    const { lease } = await inTenant(house, (tx) =>
      createLease(tx, house.deps, { template: "pooled" }),
    );
    house.known.set(lease.id, { promisedMs: 0, isReleased: false });
    return;
  }
  const isKept = chance < 0.6;
  const source: NewLease = isKept
    ? { template: "writable", snapshotOnEnd: house.random.float() < 0.5 }
    : { image: "alpine" };
  const wanted: NewLease = {
    ...source,
    ttlSeconds: within(house, 60, 600),
    maxRestarts: within(house, 0, 2),
    env: { TOKEN: "s3cr3t" },
    ...(house.random.float() < 0.3 && { idleTtlSeconds: within(house, 30, 200) }),
    ...(house.random.float() < 0.3 && {
      preStop: { command: ["true"], timeoutSeconds: 5 },
    }),
  };
  const { lease } = await inTenant(house, (tx) => createLease(tx, house.deps, wanted));
  house.known.set(lease.id, { promisedMs: 0, isReleased: false });
}

async function renew(house: House, id: string): Promise<void> {
  const ttlSeconds = within(house, 60, 600);
  await ask(async () => {
    const { lease } = await inTenant(house, (tx) =>
      renewLease(tx, house.deps, { id, caller: systemCaller, ttlSeconds }),
    );
    // From here on nothing may end it for its TTL before this.
    house.known.set(id, { promisedMs: lease.expiresAtMs, isReleased: false });
  });
}

async function release(house: House, id: string): Promise<void> {
  await inTenant(house, (tx) => releaseLease(tx, house.deps, { id, caller: systemCaller }));
  const known = house.known.get(id);
  if (known) known.isReleased = true;
}

/** How many are kept ready changes, and with it perhaps what they are made of. */
async function resize(house: House, warmSize = within(house, 0, 3)): Promise<void> {
  const change = { id: house.templateId, version: null, isPlatformAdmin: false };
  const memoryMb = pick(house, [64, 64, 128]);
  await inTenant(house, (tx) => changeTemplate(tx, house.deps, change, { warmSize, memoryMb }));
}

/** One thing that happens to a lease: somebody asks, or its container comes to harm. */
async function happen(house: House, id: string): Promise<void> {
  const asked = { id, caller: systemCaller };
  // What is kept ready comes to harm as well.
  const ready = [...house.engine.containers.values()];
  const container =
    house.random.float() < 0.2 && ready.length > 0 ? pick(house, ready) : house.engine.of(id);
  const what = pick(house, ["renew", "keep", "pause", "resume", "restart", "release", "die", "go"]);
  if (what === "renew") return renew(house, id);
  if (what === "release") return house.random.float() < 0.4 ? release(house, id) : undefined;
  if (what === "die" && container?.state === "running") {
    const exitCode = pick(house, [0, 1, 137]);
    house.engine.die(container.id, { exitCode, outOfMemory: exitCode === 137 });
  } else if (what === "go" && container && house.random.float() < 0.5) {
    house.engine.vanish(container.id);
  } else if (what === "keep") {
    await ask(() => inTenant(house, (tx) => keepLeaseAlive(tx, house.deps, asked)));
  } else if (what === "pause" || what === "resume") {
    await ask(() => inTenant(house, (tx) => wishLease(tx, house.deps, what, asked)));
  } else if (what === "restart") {
    await ask(() => inTenant(house, (tx) => restartLease(tx, house.deps, asked)));
  }
}

/** Something goes wrong with a process, or will at its next chance. */
function harm(house: House): void {
  const box = pick(house, house.boxes);
  const chance = house.random.float();
  if (chance < 0.5) {
    let left = within(house, 1, 8);
    box.kills = () => {
      left -= 1;
      return left === 0;
    };
  } else if (chance < 0.7) {
    box.freeze();
  } else {
    const rate = house.random.float() * 0.5;
    box.answers = () => house.chance.float() >= rate;
  }
}

/** Lets a process do its work; one that is killed in the middle of it is replaced. */
async function work(house: House, box: Box): Promise<void> {
  const signal = new AbortController().signal;
  const doing =
    house.random.float() < 0.75
      ? box.engine.sweep()
      : box.engine.reconcile(signal).catch((error) => {
          if (!(error instanceof Problem)) throw error;
        });
  const under = { box, done: doing as Promise<unknown> };
  house.pending.add(under);
  const settled = doing.finally(() => house.pending.delete(under));
  // Awaited below or, where its process is frozen, at the end.
  settled.catch(() => {});
  if (box.isFrozen) await new Promise((resolve) => setImmediate(resolve));
  else await Promise.race([settled, box.died]);
}

/** In the place of each process that was killed there comes another one. */
function replaceDead(house: House): void {
  for (const [index, box] of house.boxes.entries()) {
    if (!box.isDead) continue;
    house.struck.add(box.killedAt as string);
    house.boxes[index] = newBox(house);
  }
}

async function act(house: House): Promise<void> {
  replaceDead(house);
  const ids = [...house.known.keys()];
  const chance = house.random.float();
  if (ids.length === 0 || chance < 0.12) await create(house);
  else if (chance < 0.35) await happen(house, pick(house, ids));
  else if (chance < 0.37) await resize(house);
  else if (chance < 0.39) house.clock.advance(3_600_000);
  else if (chance < 0.5) house.clock.advance(within(house, 1, 60) * 1_000);
  else if (chance < 0.6) harm(house);
  else if (chance < 0.64) for (const box of house.boxes) box.thaw();
  else if (chance < 0.85) await work(house, pick(house, house.boxes));
  else await Promise.all([...house.boxes].map((box) => work(house, box)));
}

/** Everything goes well from now on, for as long as it takes to come to rest. */
async function comeToRest(house: House): Promise<void> {
  for (const box of house.boxes) {
    box.kills = () => false;
    box.answers = () => true;
    box.thaw();
  }
  await Promise.all([...house.pending].map(({ box, done }) => Promise.race([done, box.died])));
  replaceDead(house);
  const box = newBox(house);
  house.boxes.splice(0, house.boxes.length, box);
  for (let round = 0; round < 12; round += 1) {
    house.clock.advance(20_000);
    while ((await box.engine.sweep()) > 0) await box.engine.settled();
    await box.engine.reconcile(new AbortController().signal);
  }
}

async function openHouse(t: TestContext, seed: number): Promise<House> {
  const { test: app, engine, deps, clock, tenant, admin, db } = await startLeases(t);
  await makeWritable(admin);
  const pooled = { name: "pooled", image: "alpine", ttlSeconds: 300, warmSize: 2 };
  const { id: templateId } = (await admin.post("/leases/templates", pooled)).body;
  const quiet = { ...deps.engine, nudge: () => {} };
  const house: House = {
    random: seededRandom(clock, seed),
    templateId,
    chance: seededRandom(clock, seed + 1_000),
    deps: { ...deps, engine: quiet },
    engine,
    runtime: engine.runtime,
    clock,
    tenant,
    db,
    known: new Map(),
    boxes: [],
    pending: new Set(),
    struck: new Set(),
    opened: 0,
    logs: app.logs,
  };
  house.boxes.push(newBox(house), newBox(house));
  engine.meddle = async () => {
    // So that two processes come in each other's way.
    if (house.chance.float() < 0.5) await new Promise((resolve) => setImmediate(resolve));
  };
  return house;
}

const struckByAny = new Set<string>();

for (const seed of seeds) {
  // Guards against whatever two processes, crashes at any point and an engine that fails can do: a
  // container without a lease, a lease without its container, money or a quota that is wrong.
  test(`whatever happens, containers, money and quotas come right (seed ${seed})`, async (t) => {
    const house = await openHouse(t, seed);
    for (let count = 0; count < actsPerSeed; count += 1) {
      await act(house);
      await assertTruth(house, { isAtRest: false });
    }
    await comeToRest(house);
    await assertTruth(house, { isAtRest: true });
    await resize(house, 0);
    house.clock.advance(25 * 3_600_000);
    await comeToRest(house);
    await assertTruth(house, { isAtRest: true });
    assert.equal(house.engine.containers.size, 0, "containers that nobody has any more");
    for (const point of house.struck) struckByAny.add(point);
    t.diagnostic(`${house.known.size} leases, ${house.opened} processes`);
  });
}

// Guards against a property test whose crashes never happen.
test("processes were killed at many points", (t) => {
  t.diagnostic([...struckByAny].sort().join(", "));
  assert.ok(struckByAny.size >= 10, `only at ${[...struckByAny].join(", ")}`);
});
