import assert from "node:assert/strict";
import { test } from "node:test";
import { createChance } from "../engine/chance.ts";
import {
  leaderOf,
  openStore,
  readFinals,
  type Store,
  usualSpec,
  workload,
} from "../fixtures/live-store.ts";
import { checkBreakers } from "../rules/breaker.ts";
import { levelNames } from "../rules/history.ts";
import { embeddedKeysAtMost, refusalOfSpec } from "./embedded.ts";
import type { FaultSpec } from "./types.ts";

// Guards against a minority that answers, one that never comes back, and a majority that stops.
test("in a CP partition the minority refuses in time; the history is linearizable", async (t) => {
  const store = openStore(t);
  const { engine, until, pass, say, report, operations } = store;
  await pass(600);
  const before = await say({ value: "before" });
  assert.equal(before.status, "ok");
  assert.equal(before.achieved, "strong");
  assert.ok(before.acknowledgements >= 2);
  const old = await leaderOf(store);
  const run = Promise.all(
    [0, 1, 2, 3].map((client) =>
      workload(store, client, {
        times: 25,
        level: "strong",
        replicas: client < 2 ? [null] : ["n1", "n2", "n3"],
      }),
    ),
  );
  await pass(200);
  await engine.inject({ kind: "partition", groups: [[old]] });
  const since = engine.nowMs();
  for (const change of [{ value: "lost" }, {}]) {
    const answer = await say({ replica: old, key: "alone", ...change });
    assert.equal(answer.status, "value" in change ? "unknown" : "refused");
    assert.equal(answer.achieved, null);
    assert.ok(answer.reason);
  }
  await pass(1_000);
  const away = await say({ key: "k0", value: "while away" });
  assert.equal(away.status, "ok", "the majority goes on under a new leader");
  assert.notEqual(await leaderOf(store), old);
  await engine.heal();
  await until(run);
  const { status, claims, checks } = report();
  assert.equal(status, "ok", JSON.stringify(claims));
  assert.equal(checks.strong.status, "ok");
  assert.ok(operations.filter(({ outcome }) => outcome === "ok").length > 60);
  const isolation = engine.faults().find(({ isolated }) => isolated.includes(old));
  assert.ok(isolation && isolation.call <= since && isolation.return !== null);
});

// Guards against an AP store that stops in a partition, or says that it is fresher than it is.
test("in an AP partition all answer, and their staleness is at least what they miss", async (t) => {
  const store = openStore(t, { mode: "AP" });
  const { engine, pass, say } = store;
  await pass(200);
  await engine.inject({ kind: "partition", groups: [["n1"], ["n2", "n3"]] });
  const cutMs = engine.nowMs();
  await pass(500);
  const written = await say({ level: "eventual", replica: "n2", value: "unseen" });
  assert.equal(written.status, "ok");
  assert.equal(written.acknowledgements, 1);
  const sinceMs = engine.nowMs();
  await pass(150);
  const read = await say({ level: "eventual", replica: "n1" });
  assert.equal(read.value, null);
  assert.ok(read.stalenessMs! >= engine.nowMs() - sinceMs, "older than the write that it misses");
  assert.ok(read.stalenessMs! >= engine.nowMs() - cutMs - 1);
  const bounded = await say({ level: "bounded", replica: "n1" });
  assert.equal(bounded.status, "refused");
  for (const change of [{}, { op: "cas", value: 1 } as const]) {
    const strong = await say({ level: "strong", replica: "n1", ...change });
    assert.equal(strong.status, "refused", "an AP store has no majority to ask");
    assert.equal(strong.achieved, null);
  }
  await engine.heal();
  await pass(200);
  assert.equal((await engine.peek("n1", "k"))?.value, "unseen");
  assert.match(
    refusalOfSpec({ ...usualSpec, mode: "AP", maxStalenessVersions: 3 }) ?? "",
    /versions/,
  );
  assert.equal(refusalOfSpec({ ...usualSpec, mode: "AP" }), null);
});

// Guards against a bounded read that is older than its bound, in either mode and whoever answers.
test("bounded reads never exceed their bound, whatever is cut", async (t) => {
  for (const mode of ["CP", "AP"] as const) {
    const store = openStore(t, { mode, maxStalenessMs: 120 });
    const { engine, pass, until, report } = store;
    await pass(500);
    const names = ["n1", "n2", "n3", null];
    const clients = [0, 1, 2].map((client) =>
      workload(store, client, { times: 40, level: "bounded", replicas: names }),
    );
    const run = Promise.all(clients);
    for (const name of ["n1", "n2", "n3"]) {
      await pass(200);
      await engine.inject({ kind: "partition", groups: [[name]] });
      await pass(700);
      await engine.heal();
      await engine.inject({ kind: "delay", replicas: [name], delayMs: 100 });
      await pass(200);
      await engine.heal();
    }
    const answers = (await until(run)).flat();
    const { claims } = report();
    const bounded = claims.find(({ name }) => name === "bounded");
    assert.equal(bounded?.verdict.status, "ok", JSON.stringify(claims));
    const reads = answers.filter(
      ({ status, acknowledgements }) => status === "ok" && !acknowledgements,
    );
    assert.ok(reads.length > 20);
    assert.ok(reads.every(({ stalenessMs }) => stalenessMs! <= 120));
    assert.ok(
      answers.some(({ status }) => status === "refused"),
      "something had to be refused",
    );
  }
});

// Guards against a session that misses its own writes because another replica answers.
test("sessions read their writes through their tokens, from replica to replica", async (t) => {
  for (const mode of ["CP", "AP"] as const) {
    const store = openStore(t, { mode });
    const { engine, pass, until, say, report } = store;
    await pass(500);
    await engine.inject({ kind: "loss", replicas: ["n2"], ratio: 0.3 });
    await engine.inject({ kind: "delay", replicas: ["n3"], delayMs: 60 });
    const names = ["n1", "n2", "n3", null];
    const clients = [0, 1, 2].map((client) =>
      workload(store, client, { times: 40, level: "session", replicas: names }),
    );
    const answers = (await until(Promise.all(clients))).flat();
    const { claims } = report();
    const session = claims.find(({ name }) => name === "session");
    assert.equal(session?.verdict.status, "ok", JSON.stringify(claims));
    assert.ok(answers.filter(({ status }) => status === "ok").length > 80);
    await engine.inject({ kind: "partition", groups: [["n1"]] });
    const { token } = await say({ level: "session", replica: "n2", value: "mine" });
    const other = await say({ level: "session", replica: "n1", token });
    assert.equal(other.status, "refused", "n1 can't have the write, and must not hide that");
    const routed = await say({ level: "session", token });
    assert.equal(routed.status, "ok");
    assert.equal(routed.value, "mine");
    const strange = await say({
      level: "session",
      token: { version: { term: 9e12, seq: 9 }, vector: mode === "AP" ? [9, 999, 9] : null },
    });
    assert.equal(strange.status, "refused");
  }
});

// Guards against callers that wait for a replica which is known not to answer.
test("a breaker opens, refuses at once, lets probes through and closes", async (t) => {
  const store = openStore(t, { breaker: { failures: 3, openMs: 1_000 } });
  const { engine, pass, say, spec } = store;
  await pass(600);
  const old = await leaderOf(store);
  const breakerOf = async () => (await engine.status()).find(({ name }) => name === old)!.breaker;
  await engine.inject({ kind: "crash", replicas: [old] });
  for (let at = 0; at < 3; at += 1) await say({ replica: old });
  assert.equal((await breakerOf()).state, "open");
  const refused = await say({ replica: old });
  assert.equal(refused.status, "refused");
  assert.ok(refused.tookMs < spec.operationTimeoutMs / 10);
  assert.match(refused.reason ?? "", /breaker/);
  await pass(600);
  assert.equal((await say({ value: "others" })).status, "ok", "who names no replica is served");
  await engine.heal();
  assert.equal((await say({ replica: old, level: "eventual" })).status, "refused");
  await pass(1_000);
  assert.equal((await say({ replica: old, level: "eventual" })).status, "ok");
  assert.equal((await breakerOf()).state, "half-open");
  assert.equal((await say({ replica: old, level: "eventual" })).status, "ok");
  const { state, rejected } = await breakerOf();
  assert.deepEqual({ state, rejected }, { state: "closed", rejected: 2 });
  const settings = { ...spec.breaker, probes: 2 };
  assert.deepEqual(checkBreakers(engine.breakerEvents(), settings), []);
});

// Guards against requests that wait in line for a store which can't answer anybody.
test("where the breakers of all replicas are open, a request is refused at once", async (t) => {
  const store = openStore(t, { breaker: { failures: 2, openMs: 60_000 } });
  const { engine, pass, say, spec } = store;
  await pass(600);
  await engine.inject({ kind: "partition", groups: [["n1"], ["n2"], ["n3"]] });
  for (let at = 0; at < 8; at += 1) assert.equal((await say({})).status, "refused");
  assert.ok((await engine.status()).every(({ breaker }) => breaker.state === "open"));
  const all = await say({});
  assert.ok(all.tookMs < spec.operationTimeoutMs / 10, `it took ${all.tookMs} ms`);
  assert.equal(all.replica, null);
});

// Guards against acknowledged writes that die with their leader, and a failover that nobody sees.
test("a crash of the leader loses no acknowledged write", async (t) => {
  const store = openStore(t);
  const { engine, pass, until, report, operations } = store;
  await pass(600);
  const clients = [0, 1, 2].map((client) =>
    workload(store, client, { times: 60, level: "strong" }),
  );
  const run = Promise.all(clients);
  for (let times = 0; times < 3; times += 1) {
    await pass(300);
    await engine.inject({ kind: "crash", replicas: [await leaderOf(store)] });
    await pass(400);
    await engine.heal();
  }
  await until(run);
  await readFinals(store);
  const { status, claims, lost } = report();
  assert.equal(status, "ok", JSON.stringify(claims));
  assert.equal(lost.count, 0);
  assert.ok(operations.filter(({ outcome }) => outcome === "ok").length > 150);
});

// Guards against requests that stay with a leader which was cut off until their time is over.
test("a request finds the new leader while it waits for the old one", async (t) => {
  const store = openStore(t, { operationTimeoutMs: 2_000 });
  const { engine, pass, until, ask } = store;
  await pass(600);
  const old = await leaderOf(store);
  await engine.inject({ kind: "partition", groups: [[old]] });
  const [write, read] = await until(Promise.all([ask("a", { value: 1 }), ask("b", { key: "x" })]));
  for (const { status, replica, tookMs } of [write, read]) {
    assert.equal(status, "ok");
    assert.notEqual(replica, old);
    assert.ok(tookMs < 1_500);
  }
});

// Guards against a write that two replicas of an AP store accept, each as its own.
test("a write whose AP replica crashed is unknown, and not given to another", async (t) => {
  const { engine, pass, until, ask } = openStore(t, { mode: "AP" });
  await pass(200);
  await engine.inject({ kind: "slow_disk", replicas: ["n1", "n2", "n3"], delayMs: 100 });
  const asks = ["a", "b", "c"].map((key) => ask(key, { key, value: key, level: "eventual" }));
  await pass(20);
  await engine.inject({ kind: "crash", replicas: ["n1"] });
  const answers = await until(Promise.all(asks));
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), ["ok", "ok", "unknown"]);
  const again = await until(ask("d", { value: 1, level: "eventual", replica: "n1" }));
  assert.equal(again.status, "refused", "a replica that is down has surely not taken it");
});

/** Injects and heals by chance until the clients are done. */
async function troubleWhile(store: Store, seed: number, clients: Promise<unknown>): Promise<void> {
  const { engine, pass } = store;
  const chance = createChance(seed);
  const any = () => engine.replicas[chance.below(engine.replicas.length)]!;
  const faults: (() => FaultSpec)[] = [
    () => ({ kind: "partition", groups: [[any()]] }),
    () => ({ kind: "crash", replicas: [any()] }),
    () => ({ kind: "delay", replicas: [any()], delayMs: chance.below(400) }),
    () => ({ kind: "loss", replicas: [any()], ratio: 0.5 }),
    () => ({ kind: "slow_disk", replicas: [any()], delayMs: 50 }),
    () => ({ kind: "clock_jump", replicas: [any()], jumpMs: chance.between(-500, 500) }),
    () => ({ kind: "cut", from: "n1", to: chance.isHit(0.5) ? "n2" : "n3" }),
  ];
  let isOver = false;
  void clients.finally(() => (isOver = true));
  while (!isOver) {
    await pass(20 + chance.below(200));
    if (chance.isHit(0.3)) await engine.heal();
    else await engine.inject(faults[chance.below(faults.length)]!());
  }
}

// Guards against routing, retries and breakers that break what the replicas keep.
test("of 40 seeds with faults by chance, no history violates what was asked for", async (t) => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const mode = seed % 3 === 0 ? "AP" : "CP";
    const store = openStore(t, {
      mode,
      replicas: seed % 4 === 0 ? 5 : 3,
      topology: { kind: "embedded", seed },
      breaker: { failures: seed % 2 === 0 ? 3 : 1_000, openMs: 200 },
    });
    const levels = mode === "CP" ? levelNames : levelNames.slice(1);
    const run = Promise.all(
      [0, 1, 2, 3].map((client) => {
        const level = levels[(client + seed) % levels.length]!;
        return workload(store, client, { times: 30, level, replicas: [null, "n1", "n2"] });
      }),
    );
    await troubleWhile(store, seed, run);
    await store.until(run);
    await readFinals(store);
    for (const { name, verdict } of store.report().claims) {
      // In AP a session or a bound is refused rather than broken.
      if (mode === "CP" || name !== "availability") {
        assert.equal(verdict.status, "ok", `seed ${seed}, ${name}: ${JSON.stringify(verdict)}`);
      }
    }
  }
});

// Guards against a compare-and-set that overwrites what it did not expect, and a store without end.
test("a cas tells what it found; a full store takes no key and trips no breaker", async (t) => {
  const { engine, pass, until, ask, say } = openStore(t, { breaker: { failures: 2, openMs: 100 } });
  await pass(600);
  const absent = await say({ op: "cas", value: "a", expected: null });
  assert.equal(absent.status, "ok");
  const late = await say({ op: "cas", value: "b", expected: null });
  const { status, value, version, achieved } = late;
  assert.deepEqual(
    { status, value, version, achieved },
    {
      status: "mismatch",
      value: "a",
      version: absent.version,
      achieved: "strong",
    },
  );
  assert.equal((await say({ key: "never" })).version, null);
  assert.equal((await say({ op: "delete", value: null })).status, "ok");
  assert.ok((await say({})).version, "a deletion has a version");
  const keys = Array.from({ length: embeddedKeysAtMost + 20 }, (_, at) => at);
  for (let from = 0; from < keys.length; from += 100) {
    const some = keys.slice(from, from + 100);
    await until(Promise.all(some.map((key) => ask("many", { key: `key${key}`, value: 1 }))));
  }
  const full = await say({ key: "one more", value: 1 });
  assert.equal(full.status, "refused");
  assert.match(full.reason ?? "", /takes no more/);
  assert.equal((await say({ value: "still" })).status, "ok");
  assert.ok((await engine.status()).every(({ breaker }) => breaker.state === "closed"));
});

// Guards against a run that nobody can repeat.
test("the same seed, asks and times give the same answers", async (t) => {
  const run = async (seed: number) => {
    const store = openStore(t, { topology: { kind: "embedded", seed } });
    const { engine, until, pass, operations } = store;
    const clients = [0, 1, 2].map((client) =>
      workload(store, client, { times: 15, level: "strong" }),
    );
    await pass(300);
    await engine.inject({ kind: "slow_disk", replicas: ["n1"], delayMs: 20 });
    await engine.inject({ kind: "cut", from: "n2", to: "n3" });
    await until(Promise.all(clients));
    return JSON.stringify([
      operations,
      engine.breakerEvents(),
      engine.faults(),
      await engine.status(),
    ]);
  };
  const first = await run(7);
  assert.equal(await run(7), first);
  assert.notEqual(await run(8), first);
});
