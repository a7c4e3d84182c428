import {
  type Answer,
  type Engine,
  type LeasesHouse,
  openLeasesHouse,
  type Slot,
} from "../tests/support/leases-house.ts";
import { type Load, startLoad } from "./leases-load.ts";
import { type Counted, countAll, findWrong, type Wrong } from "./leases-truth.ts";

export interface LeasesDrillOptions {
  engine: Engine;
  /** How often a server is killed. */
  cycles: number;
  /** Where, in turn; by default wherever leases and changes are half done. */
  points?: readonly string[];
  clients: number;
  leasesMost: number;
  /** Chooses what is asked for; the same one does much the same again. */
  seed: number;
  dataDir?: string;
  /** Told of each cycle. */
  tell?: (words: string) => void;
}

export interface LeasesDrill {
  cycles: number;
  /** Where servers were killed, and how often. */
  hits: Map<string, number>;
  /** Points that nobody came by in time: the server was killed all the same. */
  missed: string[];
  answered: Map<string, number>;
  unanswered: number;
  counted: Counted;
  wrong: Wrong[];
  drainMs: number;
}

/** Kills at no point in particular. */
const anywhere = "(at any moment)";
const strikeWithinMs = 15_000;
const pollMs = 25;
/** A stray is left alone for a minute, and looked for once a minute. */
const drainMsMax = 180_000;
const repairEveryMs = 5_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Numbers between 0 and 1 that follow from the seed (mulberry32). */
function chanceOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What clients do more of, so that a server comes by the point. */
function focusOf(point: string): string | null {
  const [, what = "", where = ""] = point.split(".");
  if (what === "snapshot") return where === "delete" ? "drop" : "snapshot";
  if (what === "expire") return "create";
  if (what === "warm") return where === "claim" ? "warm" : "pool";
  return what;
}

async function pointsOf({ ask, servers }: LeasesHouse): Promise<string[]> {
  const { body } = await ask(servers[0] as Slot, "GET", "/admin/faults?limit=100");
  const names: string[] = body.items.map(({ point }: { point: string }) => point);
  return [...names.filter((name) => /^(leases|mutate)\./.test(name)), anywhere];
}

/** Null where no answer comes, because the server that was asked dies of it. */
const answerOf = (asked: Promise<Answer>): Promise<Answer | null> =>
  asked.then(
    (answer) => answer,
    () => null,
  );

/** Arms a crash; a server that dies of its very arming has been armed. */
async function arm({ ask }: LeasesHouse, victim: Slot, point: string): Promise<void> {
  const path = `/admin/faults/${point}`;
  const { headers } = await ask(victim, "GET", path);
  const told = { body: { kind: "crash" }, headers: { "if-match": headers.get("etag") ?? "" } };
  const answer = await answerOf(ask(victim, "PUT", path, told));
  if (answer === null || answer.status === 200) return;
  throw new Error(`PUT ${path} answered ${answer.status} ${JSON.stringify(answer.body)}`);
}

const isAlive = ({ server }: Slot): boolean => server?.isAlive() === true;

/** Until one of them is dead; null when none died in time. */
async function firstDead(servers: readonly Slot[], withinMs: number): Promise<Slot | null> {
  const endMs = performance.now() + withinMs;
  while (performance.now() < endMs) {
    const dead = servers.find((slot) => !isAlive(slot));
    if (dead) return dead;
    await pause(pollMs);
  }
  return null;
}

interface Cycle {
  house: LeasesHouse;
  load: Load;
  point: string;
  victim: Slot;
  random: () => number;
}

/** Kills one server at the point, and starts it again; whether it came by there. */
async function runCycle({ house, load, point, victim, random }: Cycle): Promise<boolean> {
  load.focus = focusOf(point);
  let dead: Slot | null = null;
  if (point === anywhere) await pause(200 + random() * 1_500);
  else {
    await arm(house, victim, point);
    dead = await firstDead(house.servers, strikeWithinMs);
    if (dead === null) {
      const other = house.servers.find((slot) => slot !== victim) ?? victim;
      await answerOf(house.ask(other, "DELETE", `/admin/faults/${point}`));
      dead = house.servers.find((slot) => !isAlive(slot)) ?? null;
    }
  }
  const isStruck = dead !== null || point === anywhere;
  if (dead === null) await victim.server?.stop("SIGKILL");
  load.isCalm = true;
  for (const slot of house.servers) if (!isAlive(slot)) await slot.start();
  load.isCalm = false;
  return isStruck;
}

/** Ends all that lives, and waits until nothing of it is left; for how long that took. */
async function drain(house: LeasesHouse, isClean: () => Promise<boolean>): Promise<number> {
  const [first] = house.servers as [Slot];
  const startMs = performance.now();
  let repairedMs = startMs;
  for (;;) {
    const { body: leases } = await house.ask(first, "GET", "/leases?live=true&limit=100");
    for (const { id } of leases.items) await house.ask(first, "DELETE", `/leases/${id}`);
    const { body: kept } = await house.ask(first, "GET", "/snapshots?limit=100");
    for (const { id } of kept.items) await house.ask(first, "DELETE", `/snapshots/${id}`);
    if (await isClean()) return performance.now() - startMs;
    if (performance.now() - startMs > drainMsMax) return performance.now() - startMs;
    if (performance.now() - repairedMs > repairEveryMs) {
      repairedMs = performance.now();
      await house.ask(first, "POST", "/admin/leases/drift/repair", { body: {} });
    }
    await pause(250);
  }
}

/**
 * Kills servers at every place where leases are half done, in turn, while clients ask for leases
 * and all that one can ask of them; then ends everything and looks for what is wrong. Leaves
 * nothing behind, whatever fails.
 */
export async function runLeasesDrill(options: LeasesDrillOptions): Promise<LeasesDrill> {
  const { engine, cycles, clients, leasesMost, seed, dataDir, tell = () => {} } = options;
  await using left = new AsyncDisposableStack();
  const random = chanceOf(seed);
  const house = await openLeasesHouse(left, 2, {
    engine,
    dataDir,
    settings: { fsync: "off" },
    env: {
      LEASES_MIN_TTL_SECONDS: "1",
      LEASES_PRICES: "*=36000:3600:7",
      LEASES_QUOTA_SNAPSHOTS: "1000",
    },
  });
  const [first] = house.servers as [Slot];
  const small = { image: engine.image, cpuMillis: 100, memoryMb: 32 };
  const box = { name: "box", ...small, writable: true };
  const ready = { name: "ready", ...small, command: ["sleep", "600"], warmSize: 1 };
  const make = async (body: object): Promise<string> => {
    const made = await house.ask(first, "POST", "/leases/templates", { body });
    if (made.status !== 201) throw new Error(`POST /leases/templates: ${made.status}`);
    return made.body.id;
  };
  await make(box);
  const poolId = await make(ready);
  const points = options.points ?? (await pointsOf(house));
  const load = startLoad({ house, clients, leasesMost, poolId, random });
  left.defer(async () => void (await load.stop()));
  const hits = new Map(points.map((point) => [point, 0]));
  const missed: string[] = [];
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    const point = points[cycle % points.length] as string;
    const victim = house.servers[cycle % house.servers.length] as Slot;
    const startMs = performance.now();
    const isStruck = await runCycle({ house, load, point, victim, random });
    if (isStruck) hits.set(point, (hits.get(point) ?? 0) + 1);
    else missed.push(point);
    const took = `${((performance.now() - startMs) / 1_000).toFixed(1)} s`;
    tell(`${cycle + 1}/${cycles} ${point} ${isStruck ? "" : "not reached, "}${took}`);
  }
  const ledger = await load.stop();
  await house.ask(first, "DELETE", `/leases/templates/${poolId}`);
  const isClean = async () => (await findWrong(house, ledger)).every(({ count }) => count === 0);
  const drainMs = await drain(house, isClean);
  const wrong = await findWrong(house, ledger);
  const counted = await countAll(house);
  const { answered, unanswered } = ledger;
  return { cycles, hits, missed, answered, unanswered, counted, wrong, drainMs };
}

/** What a drill must not show, in words; empty when all is well. */
export function faultsOf({ wrong, counted }: LeasesDrill): string[] {
  const found = wrong
    .filter(({ count }) => count > 0)
    .map(({ what, count, examples }) => `${count} ${what}: ${examples.join(", ")}`);
  if (counted.leases === 0) found.push("no lease was ever made");
  return found;
}
