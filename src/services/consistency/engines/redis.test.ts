import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { systemRandom } from "#kernel/random.ts";
import { breakerOf } from "../engine/breaker.ts";
import { checkBreakers } from "../rules/breaker.ts";
import { createHistorian } from "../fixtures/real-history.ts";
import { missing, type RealServer, redisSays, startRedis, until } from "../fixtures/real.ts";
import { type Link, openLink } from "./proxy.ts";
import { createRedisEngine } from "./redis.ts";
import type { StoreSpec } from "./types.ts";

const clock = systemClock;
const random = systemRandom(clock);
const why = missing("redis-server");
const mustRun = process.env.PLIMSOLL_REQUIRE_ALL === "1";
const skip = why !== null && !mustRun ? why : false;

let servers: readonly RealServer[] = [];
/** Between the primary and each replica. */
const replication: Link[] = [];
const ends: (() => Promise<void>)[] = [];
let stores = 0;
const timeoutMs = 1_500;
/** How late this process's timers may be on a busy machine. */
const lateMs = 250;

before(async () => {
  if (skip) return;
  servers = await startRedis({ after: (end) => void ends.push(end) }, 2, async (_at, primary) => {
    const link = await openLink({ host: "127.0.0.1", port: primary.port }, { clock });
    replication.push(link);
    ends.push(() => link.close());
    return link;
  });
});

after(async () => {
  for (const end of ends.toReversed()) await end();
});

async function open(t: TestContext, changes: Partial<StoreSpec> = {}, storeId?: string) {
  stores += 1;
  const spec: StoreSpec = {
    mode: "CP",
    replicas: 3,
    maxStalenessMs: null,
    maxStalenessVersions: null,
    operationTimeoutMs: timeoutMs,
    breaker: { failures: 3, openMs: 300 },
    topology: {
      kind: "redis",
      primary: servers[0]!.address,
      replicas: servers.slice(1).map(({ address }) => address),
      password: null,
    },
    ...changes,
  };
  const peers = replication.map((link, at) => ({ from: `n${at + 2}`, to: "n1", link }));
  const around = { clock, random, storeId: storeId ?? `s${stores}`, peers };
  const engine = await createRedisEngine(spec, around);
  t.after(async () => {
    await engine.heal();
    await engine.close();
  });
  return { engine, spec, ...createHistorian(engine) };
}

/** Whether both replicas have the key as the primary has it. */
async function isEven({ engine }: Awaited<ReturnType<typeof open>>, key: string) {
  const cells = await Promise.all(engine.replicas.map((name) => engine.peek(name, key)));
  const texts = cells.map((cell) => cell && JSON.stringify([cell.value, cell.version]));
  return texts.every((text) => text !== null && text === texts[0]);
}

// Guards against writes, comparisons and deletions that lose their version or their value.
test("it writes, compares, deletes and reads at every level", { skip }, async (t) => {
  const store = await open(t, { maxStalenessMs: 5_000, maxStalenessVersions: 100 });
  const { ask, write, read } = store;
  const first = await write("a", { n: 1 });
  assert.equal(first.status, "ok");
  assert.equal(first.achieved, "strong");
  assert.ok(first.acknowledgements >= 2, "a strong write is on a majority");
  assert.equal((await read("a")).replica, "n1");
  const swap = { op: "cas", key: "a", value: "two" } as const;
  const wrong = await ask({ ...swap, expected: { term: 9, seq: 9 } });
  assert.equal(wrong.status, "mismatch");
  assert.deepEqual([wrong.value, wrong.version], [{ n: 1 }, first.version]);
  const right = await ask({ ...swap, expected: first.version });
  assert.equal(right.status, "ok");
  assert.equal((await ask({ op: "delete", key: "a" })).status, "ok");
  assert.equal((await read("a")).value, null);
  assert.equal((await ask({ ...swap, value: "new" })).status, "ok", "nothing is there");
  assert.equal((await ask({ ...swap, value: "newer" })).status, "mismatch");
  await until("the replicas", () => isEven(store, "a"));
  for (const level of ["bounded", "session", "eventual"] as const) {
    const answer = await read("a", level);
    assert.equal(answer.value, "new", answer.reason ?? level);
    assert.equal(answer.achieved, level);
    assert.notEqual(answer.replica, "n1", "weaker reads spare the primary");
  }
  await store.readFinals(["a"]);
  const { claims, status } = store.check();
  assert.equal(status, "ok", JSON.stringify(claims));
});

// Guards against a store that sees, or touches, the keys of another or of the servers' owner.
test("stores on the same servers don't meet", { skip }, async (t) => {
  const [one, other] = [await open(t), await open(t, {}, "s1} evil")];
  await one.write("k", 1);
  assert.equal((await other.read("k")).value, null);
  await other.write("k", 2);
  assert.equal((await one.read("k")).value, 1);
  const keys = await redisSays(servers[0]!.port, "KEYS *");
  for (const key of keys.split("\r\n").filter((line) => !/^[*$]/.test(line) && line)) {
    assert.match(key, /^plimsoll:/);
  }
});

// Guards against writes at once that get each other's acknowledgements or wait for each other.
test("clients at once leave a linearizable history", { skip }, async (t) => {
  const store = await open(t, { operationTimeoutMs: 2_000 });
  const client = async (name: string) => {
    for (let n = 0; n < 15; n += 1) {
      const key = `k${n % 2}`;
      const seen = await store.ask({ op: "read", key, client: name });
      const value = `${name}-${n}`;
      const swap = { op: "cas", key, value, expected: seen.version, client: name } as const;
      await store.ask(n % 3 === 2 ? swap : { ...swap, op: "write", expected: null });
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, at) => client(`c${at}`)));
  assert.ok(store.operations.filter(({ outcome }) => outcome === "ok").length > 450);
  const { checks } = store.check({ operationTimeoutMs: 2_000 + lateMs, mode: "CP" });
  for (const name of ["integrity", "receipts", "strong", "availability"] as const) {
    assert.equal(checks[name].status, "ok", `${name} ${JSON.stringify(checks[name])}`);
  }
});

// Guards against a store that can't be opened or closed, or waits for ever, without its nodes.
test("without its nodes a store opens, refuses in words and closes", { skip }, async (t) => {
  const nowhere = { kind: "redis", primary: "127.0.0.1:1", replicas: [], password: null } as const;
  const { engine, write, read } = await open(t, { topology: nowhere });
  assert.match((await write("x", 1)).reason!, /no connection at the moment/);
  assert.equal((await write("x", 1)).status, "refused");
  assert.equal((await read("x", "eventual")).status, "refused");
  assert.equal((await engine.status())[0]!.isReachable, false);
  assert.equal(await engine.peek("n1", "x"), null);
  await engine.close();
  assert.equal((await write("x", 1)).status, "refused");
  for (const primary of ["rediss://host:1", "redis://user:secret@host", "host:99999", ""]) {
    const opening = open(t, { topology: { ...nowhere, primary } });
    await assert.rejects(opening, (error: Error) => !error.message.includes("secret"));
  }
});

// Guards against a session that reads, on another replica, less than it has seen.
test("a token is a barrier on every replica; who can't reach it refuses", { skip }, async (t) => {
  const { engine, ask, write, check } = await open(t);
  for (let n = 0; n < 20; n += 1) {
    const { token, status, reason } = await write("t", n, "session");
    assert.equal(status, "ok", reason ?? "");
    const replica = n % 2 ? "n2" : "n3";
    const read = { op: "read", key: "t", level: "session", token, replica } as const;
    const answer = await ask(read);
    assert.equal(answer.value, n, answer.reason ?? "");
  }
  await engine.inject({ kind: "cut", from: "n1", to: "n2" });
  const { token } = await write("t", "cut", "session");
  const behind = await ask({ op: "read", key: "t", level: "session", token, replica: "n2" });
  assert.equal(behind.status, "refused");
  assert.match(behind.reason!, /n2 is at .* and the session has seen/);
  const routed = await ask({ op: "read", key: "t", level: "session", token });
  assert.equal(routed.value, "cut", "another replica can");
  const { claims } = check();
  assert.equal(claims.find(({ name }) => name === "session")!.verdict.status, "ok");
});

// Guards against staleness that is told too small, and a bounded read beyond its bound.
test("a replica that is cut off tells its staleness, and refuses beyond it", {
  skip,
}, async (t) => {
  const store = await open(t, { mode: "AP", maxStalenessMs: 300, maxStalenessVersions: 1_000 });
  const { engine, write, read, check } = store;
  await write("b", 0, "eventual");
  await until("the replicas", () => isEven(store, "b"));
  assert.equal((await read("b", "bounded", "n2")).status, "ok");
  await engine.inject({ kind: "partition", groups: [["n2"], ["client", "n1", "n3"]] });
  await engine.heal();
  await engine.inject({ kind: "cut", from: "n1", to: "n2" });
  await clock.sleep(50);
  for (let n = 1; n <= 5; n += 1) await write("b", n, "eventual");
  const lostMs = engine.nowMs();
  await clock.sleep(400);
  const stale = await read("b", "eventual", "n2");
  assert.equal(stale.status, "ok");
  assert.equal(stale.value, 0);
  assert.ok(stale.stalenessMs! >= engine.nowMs() - lostMs - 20, `${stale.stalenessMs} ms`);
  assert.equal(stale.stalenessVersions, 5);
  const refused = await read("b", "bounded", "n2");
  assert.equal(refused.status, "refused");
  assert.match(refused.reason!, /n2 may lag, up to \d+ ms; the store allows 300 ms/);
  assert.equal((await read("b", "bounded")).value, 5, "another replica is fresh enough");
  const { claims } = check({ maxStalenessMs: 300, maxStalenessVersions: 1_000 });
  assert.equal(claims.find(({ name }) => name === "bounded")!.verdict.status, "ok");
});

// Guards against a write on too few nodes that is told as done, or as never made.
test("a strong write that WAIT finds on too few nodes is unknown", { skip }, async (t) => {
  const { engine, write, read } = await open(t);
  for (const to of ["n2", "n3"]) await engine.inject({ kind: "cut", from: "n1", to });
  const startedMs = engine.nowMs();
  const short = await write("w", "maybe");
  assert.equal(short.status, "unknown");
  assert.equal(short.acknowledgements, 1);
  assert.equal(short.achieved, null);
  assert.match(short.reason!, /1 of the 2 nodes needed/);
  assert.ok(engine.nowMs() - startedMs <= timeoutMs + lateMs, "within its deadline");
  assert.equal((await read("w")).value, "maybe", "and yet it stands on the primary");
});

// Guards against answers after the deadline, breakers that keep everybody waiting or break rules.
test("a cut from the primary is refused in time, then by the breaker at once", {
  skip,
}, async (t) => {
  const { engine, spec, write, read, operations } = await open(t);
  await write("d", 1);
  await engine.inject({ kind: "partition", groups: [["n1"]] });
  const outcomes: string[] = [];
  for (let n = 0; n < 8; n += 1) outcomes.push((await write("d", `w${n}`)).status);
  assert.equal(outcomes[0], "unknown", "it was sent and never answered");
  assert.equal(outcomes.at(-1), "refused");
  for (const { call, return: end } of operations) assert.ok(end! - call <= timeoutMs + lateMs);
  const last = operations.at(-1)!;
  assert.ok(last.return! - last.call < timeoutMs / 10, "an open breaker answers at once");
  assert.equal((await read("d", "eventual")).value, 1, "replicas still answer");
  const [status] = await engine.status();
  assert.equal(status!.isReachable, false);
  assert.equal(status!.breaker.state, "open");
  assert.ok(engine.connectionFailures().n1! > 0);
  await engine.heal();
  await until("the primary", async () => (await write("d", "healed")).status === "ok", 10_000);
  assert.deepEqual(checkBreakers(engine.breakerEvents(), breakerOf(spec)), []);
});

// Guards against refusals without a reason: what a proxy can't do has to be said.
test("faults that need the machine are refused in words", { skip }, async (t) => {
  const { engine } = await open(t);
  const faults = [
    { kind: "crash", replicas: ["n1"] },
    { kind: "cut", from: "n2", to: "n3" },
    { kind: "partition", groups: [["n9"]] },
  ] as const;
  for (const fault of faults) await assert.rejects(engine.inject(fault), /only links|not ours|n9/);
  assert.deepEqual(engine.faults(), []);
});

// Guards against a checker that misses what a failover of Redis loses. From here on they fail over.
test("a failover loses acknowledged writes, and the checker names them", { skip }, async (t) => {
  const store = await open(t);
  const { engine, ask, write, read, operations } = store;
  assert.equal((await write("f", "kept")).status, "ok");
  await until("the replicas", () => isEven(store, "f"));
  // One replica is enough for a majority; the other one lags, and becomes the primary.
  await engine.inject({ kind: "cut", from: "n1", to: "n3" });
  const lost = await write("f", "lost");
  assert.equal(lost.status, "ok");
  assert.equal(lost.acknowledgements, 2);
  await engine.inject({ kind: "partition", groups: [["n1"], ["n2", "n3", "client"]] });
  await engine.promote("n3");
  assert.equal(engine.primary(), "n3");
  assert.equal((await read("f")).value, "kept");
  await until("a follower", async () => (await write("f", "after")).status === "ok", 10_000);
  const later = await read("f");
  assert.ok(later.version!.term > lost.version!.term, "another primary begins another term");
  const session = await ask({ op: "read", key: "f", level: "session", token: lost.token });
  assert.equal(session.status, "refused");
  assert.match(session.reason!, /was lost in a failover/);
  await engine.heal();
  await until("all follow", () => isEven(store, "f"), 15_000);
  await store.readFinals(["f"]);
  const forks = await engine.forks();
  assert.equal(forks.at(0)?.term, later.version!.term);
  const report = store.check({ forks: [...forks] });
  const id = operations.find(({ value }) => value === "lost")!.id;
  assert.deepEqual(report.lost.operations, [id]);
  assert.equal(report.checks.durability.status, "violation");
  assert.equal(report.checks.strong.status, "violation");
  assert.equal(report.checks.agreement.status, "ok");
});

// Guards against a store that goes on asking a primary which somebody else has replaced, and
// against a lost write that only shows where the link between the nodes is ours.
test("it follows a failover of others; two primaries at once lose a write", { skip }, async (t) => {
  const store = await open(t);
  const { engine, write, read, operations } = store;
  assert.notEqual((await write("s", "too early")).status, "ok", "n1 is a replica by now");
  await until("the primary", async () => (await write("s", "kept")).status === "ok", 10_000);
  assert.equal(engine.primary(), "n3");
  await until("the replicas", () => isEven(store, "s"), 10_000);
  await engine.promote("n2", async () => {
    const lost = await write("s", "lost");
    assert.equal(lost.status, "ok", lost.reason ?? "");
    assert.equal(lost.acknowledgements, 2);
  });
  assert.equal((await read("s")).value, "kept");
  await until("a follower", async () => (await write("s", "later")).status === "ok", 10_000);
  await engine.heal();
  await until("all follow", () => isEven(store, "s"), 15_000);
  await store.readFinals(["s"]);
  const report = store.check({ forks: [...(await engine.forks())] });
  const id = operations.find(({ value }) => value === "lost")!.id;
  assert.deepEqual(report.lost.operations, [id]);
  assert.equal(report.checks.durability.status, "violation");
});
