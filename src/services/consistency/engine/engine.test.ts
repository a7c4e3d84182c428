import type { LevelName } from "../rules/history.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkHistory } from "../rules/check.ts";
import { type Cluster, createCluster, type Mode } from "./cluster.ts";
import { historyIn, scenarioOf } from "./judge.ts";
import { applyEntry, emptyMachine, rememberedAtMost } from "./machine.ts";
import { soundProtocol } from "./protocol.ts";
import { hashOf } from "./recorder.ts";
import { runScenario } from "./scenario.ts";
import { createScheduler } from "./scheduler.ts";
import type { Answer, Ask, Settings } from "./types.ts";

const settings = {
  replicas: 3,
  heartbeatMs: 40,
  electionMs: 120,
  operationTimeoutMs: 400,
  maxStalenessMs: 200,
  maxStalenessVersions: null,
  logEntriesAtMost: 1_000,
  keysAtMost: 2,
} as const;

function start(mode: Mode, changes: Partial<Settings> = {}) {
  const scheduler = createScheduler();
  const options = { mode, seed: 7, settings: { ...settings, ...changes }, wallMs: 1_000_000 };
  const cluster = createCluster({ ...options, scheduler });
  let [asked, now] = [0, 0];
  const pass = (ms: number) => {
    now += ms;
    scheduler.runUntil(now);
  };
  const ask = (replica: number, wanted: Partial<Ask> & { level: LevelName; set?: unknown }) => {
    asked += 1;
    const [id, key] = [`o${asked}`, wanted.key ?? "k"];
    const write = { id, key, op: "write", value: wanted.set, expected: null } as const;
    const rest = { id: wanted.write?.id ?? id, key, token: null };
    const full = { ...rest, write: "set" in wanted ? write : null, ...wanted };
    const before = now;
    let answer: Answer | null = null;
    cluster.ask(replica, full, (one) => (answer = one));
    for (let ms = 0; answer === null && ms <= 1_000; ms += 1) pass(1);
    assert.ok(answer, "the replica never answered");
    return { ...(answer as Answer), tookMs: now - before };
  };
  pass(600);
  return { cluster, ask, pass };
}

const leaderOf = (cluster: Cluster): number =>
  cluster.status().findIndex(({ role }) => role === "leader");

// Guards against a run that nobody can repeat: the seed must decide every byte.
test("a seed replays to the same bytes, and another seed to others", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const hash = hashOf(runScenario(scenarioOf(seed)));
    assert.equal(hashOf(runScenario(scenarioOf(seed))), hash);
    assert.notEqual(hashOf(runScenario(scenarioOf(seed + 100))), hash);
  }
});

// Guards against the engine breaking a level that it claims, under any mix of faults.
test("of 300 seeds, no history violates a level that was asked for", () => {
  let answered = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const recording = runScenario(scenarioOf(seed));
    const { status, claims } = checkHistory(historyIn(recording));
    assert.equal(status, "ok", `seed ${seed}: ${JSON.stringify(claims)}`);
    answered += recording.operations.filter(({ outcome }) => outcome === "ok").length;
  }
  // A cluster that refuses everything would be consistent, and of no use.
  assert.ok(answered > 20_000, `only ${answered} operations were answered`);
});

// Guards against a minority that answers, and against one that never comes back.
test("a CP leader without a majority refuses within its deadline, and the others go on", () => {
  const { cluster, ask, pass } = start("CP");
  const old = leaderOf(cluster);
  assert.equal(ask(old, { level: "strong", set: "before" }).status, "ok");
  cluster.part([old]);
  const write = ask(old, { level: "strong", set: "lost" });
  assert.equal(write.status, "unknown");
  assert.ok(write.tookMs <= settings.operationTimeoutMs);
  const read = ask(old, { level: "strong" });
  assert.equal(read.status, "refused");
  assert.ok(read.tookMs <= settings.operationTimeoutMs);
  assert.equal(ask(old, { level: "bounded" }).status, "refused");
  assert.equal(ask(old, { level: "eventual" }).value, "before");
  const other = (old + 1) % 3;
  const after = ask(other, { level: "strong", set: "after" });
  assert.equal(after.status, "ok");
  assert.ok(after.acknowledgements >= 2);
  assert.equal(ask(old, { level: "session", token: after.token }).status, "refused");
  cluster.heal();
  pass(500);
  assert.equal(ask(old, { level: "session", token: after.token }).value, "after");
  assert.equal(cluster.cellOf(old, "k")?.value, "after");
});

// Guards against an AP store that claims what it can't give.
test("an AP store answers on both sides, reports its staleness, and never says strong", () => {
  const { cluster, ask, pass } = start("AP");
  cluster.part([0]);
  const left = ask(0, { level: "eventual", set: "left" });
  assert.equal(left.status, "ok");
  assert.equal(left.acknowledgements, 1);
  pass(300);
  assert.equal(ask(1, { level: "eventual", set: "right" }).status, "ok");
  const read = ask(0, { level: "eventual" });
  assert.equal(read.value, "left");
  assert.ok((read.stalenessMs ?? 0) >= 300);
  assert.equal(ask(0, { level: "bounded" }).status, "refused");
  assert.equal(ask(0, { level: "strong" }).status, "refused");
  const cas = { id: "cas", op: "cas", key: "k", value: "x", expected: null } as const;
  assert.equal(ask(0, { level: "eventual", write: cas }).status, "refused");
  cluster.heal();
  pass(500);
  assert.deepEqual(
    [0, 1, 2].map((at) => cluster.cellOf(at, "k")?.value),
    Array(3).fill("right"),
  );
});

// Guards against a compare-and-set that overwrites what it did not expect, and a store without end.
test("a cas wants the version that is there, and a full store takes no new key", () => {
  const { ask, pass } = start("CP");
  const first = ask(0, { level: "strong", set: "a" });
  const cas = (id: string, value: string) =>
    ask(1, {
      level: "strong",
      write: { id, op: "cas", key: "k", value, expected: first.version },
    });
  assert.equal(cas("c1", "b").status, "ok");
  assert.equal(cas("c2", "c").status, "mismatch");
  assert.equal(ask(2, { level: "strong" }).value, "b");
  const gone = { id: "d1", op: "delete", key: "k", value: null, expected: null } as const;
  assert.equal(ask(0, { level: "strong", write: gone }).status, "ok");
  const read = ask(2, { level: "strong" });
  assert.equal(read.value, null);
  assert.ok(read.version, "a deletion has a version of its own");
  assert.equal(ask(0, { level: "strong", key: "k2", set: 1 }).status, "ok");
  pass(100);
  assert.equal(ask(0, { level: "strong", key: "k3", set: 1 }).status, "refused");
});

// Guards against AP logs that grow for ever, and against writes that are gone with what was folded.
test("an AP replica forgets writes that all have, and keeps them while one is away", () => {
  const { cluster, ask, pass } = start("AP", { logEntriesAtMost: 50 });
  const write = (at: number) =>
    ask(at % 2, { level: "eventual", key: `k${at % 2}`, set: `v${at}` }).status;
  const values = () => [0, 1, 2].map((replica) => cluster.cellOf(replica, "k1")?.value);
  const logged = () => cluster.status().map(({ logEntries }) => logEntries);
  for (let at = 0; at < 60; at += 1) {
    assert.equal(write(at), "ok");
    pass(20);
  }
  pass(300);
  assert.ok(Math.max(...logged()) < 10, `logs of ${logged().join()}`);
  cluster.crash(2);
  for (let at = 60; at < 160; at += 1) assert.equal(write(at), "ok");
  const away = ask(1, { level: "eventual", key: "k1", set: "too many" });
  assert.equal(away.status, "refused");
  assert.match(away.reason ?? "", /until they reach/);
  pass(200);
  cluster.crash(1);
  cluster.heal();
  assert.deepEqual(values(), ["v159", "v159", "v59"]);
  pass(600);
  assert.deepEqual(values(), Array(3).fill("v159"));
  assert.ok(Math.max(...logged()) < 10);
  assert.equal(write(161), "ok");
});

// Guards against a copy of a write that comes when the first one is forgotten, and undoes others.
test("a write that comes again too late to be recognized changes nothing", () => {
  const machine = emptyMachine();
  const first = { id: "first", op: "write", key: "k", value: "old", expected: null } as const;
  const apply = (seq: number, write: typeof first | (typeof first & { since: number })) =>
    applyEntry(machine, { term: 1, seq, write }, soundProtocol);
  assert.ok(apply(1, { ...first, since: 0 }));
  assert.deepEqual(apply(2, { ...first, since: 0 })?.version, { term: 1, seq: 1 });
  for (let seq = 3; seq <= rememberedAtMost + 2; seq += 1) {
    const write = { ...first, id: `o${seq}`, value: seq, since: seq - 1 };
    applyEntry(machine, { term: 1, seq, write }, soundProtocol);
  }
  const now = machine.cells.get("k");
  assert.equal(apply(rememberedAtMost + 3, { ...first, since: 0 }), null);
  assert.deepEqual(machine.cells.get("k"), now);
  assert.equal(machine.done.size, rememberedAtMost);
});
