import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Problem } from "#kernel/errors.ts";
import { assertAsk } from "./changes/asked.ts";
import { leaseIn, minute, second, startMs } from "./fixtures/leases.ts";
import { deadlinesOf, endsAtMs, overdue, warnAtMs } from "./rules/deadlines.ts";
import { decide } from "./rules/decide.ts";
import type { Lease } from "./rules/lease.ts";
import {
  type Ask,
  asks,
  canMove,
  type LeaseState,
  leaseStates,
  type MoveName,
  moves,
} from "./rules/lifecycle.ts";
import * as rule from "./rules/moves.ts";

const container = {
  id: "c2",
  name: "plm-x",
  identity: { installId: "x", tenantId: "t", leaseId: "l", generation: 1 },
  state: "running",
  createdAt: new Date(startMs).toISOString(),
  startedAt: null,
  exitedAt: null,
  exitCode: null,
  outOfMemory: false,
  isolation: {} as never,
} as const;

const later = startMs + 10 * second;

const perform: Readonly<Record<MoveName, (lease: Lease) => rule.Moved>> = {
  provision: (lease) => rule.provision(lease, later),
  run: (lease) => rule.run(lease, container, later),
  pause: (lease) => rule.pause(lease, later),
  resume: (lease) => rule.resume(lease, later),
  restart: (lease) =>
    rule.restart(lease, { isAutomatic: true, atMs: later, exitCode: 1, message: null }, later),
  stop: (lease) => rule.stop(lease, { reason: "released", atMs: later }, later),
  end: (lease) => rule.finish({ ...lease, reason: "released" }, later),
  fail: (lease) => rule.finish({ ...lease, reason: "failed" }, later),
};

// Guards against a move that the table does not have, and against one that it has and nobody makes.
test("every move is made from the states of the table, and from no other", () => {
  let made = 0;
  for (const move of Object.keys(moves) as MoveName[]) {
    for (const state of leaseStates) {
      const lease = leaseIn(state);
      if (!canMove(move, state)) {
        assert.throws(() => perform[move](lease), /can't/, `${move} from ${state}`);
        continue;
      }
      const { lease: after } = perform[move](lease);
      assert.equal(after.state, moves[move].to, `${move} from ${state}`);
      assert.equal(after.version, lease.version + 1);
      made += 1;
    }
  }
  assert.equal(made, 12);
});

// Guards against a database that allows other moves than the engine makes.
test("the trigger of the database has the same moves", () => {
  const file = new URL("./migrations/0001_leases.sql", import.meta.url);
  const sql = readFileSync(file, "utf8");
  const trigger = /create trigger lease_moves[\s\S]*?execute function/.exec(sql)?.[0] ?? "";
  const inDatabase = [...trigger.matchAll(/\('(\w+)', '(\w+)'\)/g)].map(([, from, to]) => [
    from,
    to,
  ]);
  const inRules = Object.values(moves).flatMap(({ from, to }) => from.map((one) => [one, to]));
  assert.deepEqual(inDatabase.map(String).sort(), inRules.map(String).sort());
});

const isAsked = (lease: Lease, ask: Ask, nowMs: number): string => {
  try {
    assertAsk(lease, ask, nowMs);
    return "yes";
  } catch (error) {
    return (error as Problem).code;
  }
};

const answers: Readonly<Record<LeaseState, Partial<Record<Ask, string>>>> = {
  pending: {},
  starting: { renew: "yes", keepalive: "yes", logs: "yes" },
  running: {
    renew: "yes",
    keepalive: "yes",
    pause: "yes",
    restart: "yes",
    snapshot: "yes",
    use: "yes",
    logs: "yes",
    stats: "yes",
  },
  paused: { resume: "yes", snapshot: "yes", logs: "yes", stats: "yes" },
  stopping: {},
  ended: {},
  failed: {},
};

// Guards against something that a state must not allow, such as renewing what is being ended.
test("of every state and everything that can be asked, the answer is known", () => {
  for (const state of leaseStates) {
    const isEnding = ["stopping", "ended", "failed"].includes(state);
    for (const ask of Object.keys(asks) as Ask[]) {
      const refused = isEnding ? "ERR_LEASES_OVER" : "ERR_LEASES_WRONG_STATE";
      const wanted = answers[state][ask] ?? refused;
      assert.equal(isAsked(leaseIn(state), ask, later), wanted, `${ask} while ${state}`);
    }
  }
});

// Guards against renewing a lease in the moment between its deadline and somebody noticing.
test("from its deadline on a lease is over, whatever its state says", () => {
  for (const state of ["pending", "starting", "running", "paused"] as const) {
    const lease = leaseIn(state);
    const first = Math.min(...deadlinesOf(lease).map(({ atMs }) => atMs));
    assert.equal(overdue(lease, first - 1), null, state);
    assert.notEqual(overdue(lease, first), null, state);
    for (const ask of Object.keys(asks) as Ask[]) {
      assert.equal(isAsked(lease, ask, first), "ERR_LEASES_OVER", `${ask} while ${state}`);
    }
    assert.equal(decide(lease, first).kind, "expire", state);
  }
});

// Guards against a state that nothing ever takes a lease out of.
test("every state that must not last has a deadline, and is looked at again", () => {
  for (const state of leaseStates) {
    const lease = leaseIn(state);
    const decision = decide(lease, later);
    if (state === "ended" || state === "failed") {
      assert.deepEqual(decision, { kind: "rest", dueAtMs: null });
      continue;
    }
    if (decision.kind !== "rest") continue;
    assert.notEqual(decision.dueAtMs, null, state);
    assert.ok((decision.dueAtMs as number) > later, state);
  }
  for (const state of ["pending", "starting", "stopping"] as const) {
    const lease = leaseIn(state, { stepToken: "t", stepUntilMs: later + minute });
    assert.notEqual(lease.deadlineMs, null);
    const rest = decide(lease, later);
    assert.equal(rest.kind, "rest", "somebody works on it");
    const late = lease.deadlineMs as number;
    assert.match(decide(lease, late).kind, /^(expire|abandon)$/, state);
  }
});

// Guards against two who work on one lease, and against one that nobody ever takes over.
test("a step that somebody holds is left to them until its time is over", () => {
  const held = leaseIn("starting", { stepToken: "a", stepUntilMs: later });
  assert.deepEqual(decide(held, later - 1), { kind: "rest", dueAtMs: later });
  assert.deepEqual(decide(held, later), { kind: "step", step: "provision" });
  const waiting = leaseIn("starting", { retryAtMs: later });
  assert.deepEqual(decide(waiting, later - 1), { kind: "rest", dueAtMs: later });
  assert.equal(decide(waiting, later).kind, "step");
  const ending = leaseIn("stopping");
  assert.deepEqual(decide(ending, later, later + second), {
    kind: "rest",
    dueAtMs: later + second,
  });
});

// Guards against clocks that run while a lease is paused, and a pause that outlives its hard cap.
test("pausing stops the clocks of TTL and idleness, and the hard cap goes on", () => {
  const running = leaseIn("running", { idleTtlSeconds: 60 });
  const paused = rule.pause(running, startMs + 40 * second).lease;
  assert.deepEqual(
    deadlinesOf(paused).map(({ reason, atMs }) => [reason, atMs - startMs]),
    [
      ["hard_cap", 24 * 60 * minute],
      ["expired", 40 * second + paused.pauseSeconds * second],
    ],
  );
  const resumed = rule.resume(paused, startMs + 600 * second).lease;
  assert.equal(resumed.expiresAtMs - running.expiresAtMs, 560 * second);
  const idle = deadlinesOf(resumed).find(({ reason }) => reason === "idle");
  assert.equal(idle?.atMs, startMs + (600 + 20) * second);
  assert.equal(resumed.hardExpiresAtMs, running.hardExpiresAtMs);
  const long = rule.resume(paused, running.hardExpiresAtMs - second).lease;
  assert.equal(long.expiresAtMs, running.hardExpiresAtMs);
});

// Guards against a renewal that goes past the hard cap, or that counts as use.
test("renewing moves the end to now and the TTL, never past the hard cap", () => {
  const lease = leaseIn("running", { idleTtlSeconds: 60 });
  const renewed = rule.renew(lease, 120, later).lease;
  assert.equal(renewed.expiresAtMs, later + 120 * second);
  assert.equal(renewed.lastActivityAtMs, lease.lastActivityAtMs);
  const capped = rule.renew(lease, 7 * 86_400, later).lease;
  assert.equal(capped.expiresAtMs, lease.hardExpiresAtMs);
  assert.equal(overdue(capped, lease.hardExpiresAtMs)?.reason, "idle");
  const unused = { ...capped, idleTtlSeconds: null };
  assert.equal(overdue(unused, lease.hardExpiresAtMs)?.reason, "hard_cap");
});

// Guards against a time to live that is spent before the container runs.
test("the clock of a lease starts when it first runs, and not anew when it is restarted", () => {
  const pending = leaseIn("pending");
  assert.equal(endsAtMs(pending), startMs + pending.ttlSeconds * second);
  assert.equal(overdue(pending, pending.expiresAtMs)?.reason ?? null, null);
  const starting = rule.provision(pending, startMs + 100 * second).lease;
  const running = rule.run(starting, container, startMs + 200 * second).lease;
  assert.equal(running.expiresAtMs, startMs + 200 * second + running.ttlSeconds * second);
  const why = { isAutomatic: true, atMs: later, exitCode: 1, message: null };
  const again = rule.restart(running, why, startMs + 250 * second).lease;
  assert.equal(overdue(again, running.expiresAtMs)?.reason, "expired");
  const anew = rule.run(again, container, startMs + 260 * second).lease;
  assert.equal(anew.expiresAtMs, running.expiresAtMs);
  assert.equal(anew.startedAtMs, running.startedAtMs);
});

// Guards against a lease whose owner hears of its end too late, twice, or for nothing.
test("a warning comes once before each end, and not while the clocks stand still", () => {
  const lease = leaseIn("running");
  const warnMs = warnAtMs(lease) as number;
  assert.equal(lease.expiresAtMs - warnMs, 60 * second);
  assert.deepEqual(decide(lease, warnMs), { kind: "warn", endMs: lease.expiresAtMs });
  const told = rule.warned(lease, lease.expiresAtMs, warnMs).lease;
  assert.equal(warnAtMs(told), null);
  assert.deepEqual(decide(told, warnMs), { kind: "rest", dueAtMs: lease.expiresAtMs });
  const renewed = rule.renew(told, 600, warnMs).lease;
  assert.equal(warnAtMs(renewed), renewed.expiresAtMs - 60 * second);
  assert.equal(warnAtMs(leaseIn("paused")), null);
  assert.equal(warnAtMs(leaseIn("pending")), null);
  const idle = leaseIn("running", { idleTtlSeconds: 10 });
  assert.equal(warnAtMs(idle), startMs + 8 * second);
});

// Guards against restarts without a pause between them, or without an end.
test("a crash is a restart that waits longer each time, until there have been enough", () => {
  const delays = [1, 2, 3, 4, 5, 6, 7].map(rule.restartDelayMs);
  assert.deepEqual(delays, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  const exited = { ...container, state: "exited", exitCode: 1 } as const;
  const seen = rule.observe(leaseIn("running"), exited, later);
  assert.equal(seen.kind, "died");
  const tired = rule.observe(leaseIn("running", { restarts: 3 }), exited, later);
  assert.equal(tired.kind === "over" && tired.ending.reason, "crashed");
  const drowned = { ...exited, exitCode: 137, outOfMemory: true };
  const oom = rule.observe(leaseIn("running", { restarts: 3 }), drowned, later);
  assert.equal(oom.kind === "over" && oom.ending.reason, "oom");
  const done = rule.observe(leaseIn("running"), { ...exited, exitCode: 0 }, later);
  assert.equal(done.kind === "over" && done.ending.reason, "released");
});

// Guards against money for time in which nobody knows that the container lived.
test("what a container is found like says what follows, and until when it is paid for", () => {
  const running = leaseIn("running", { seenAtMs: startMs + 4 * second });
  const gone = rule.observe(running, null, later);
  assert.equal(gone.kind === "died" && gone.restart.atMs, startMs + 4 * second);
  const exitedAt = new Date(startMs + 7 * second).toISOString();
  const dead = { ...container, state: "exited", exitCode: 2, exitedAt } as const;
  const died = rule.observe(running, dead, later);
  assert.equal(died.kind === "died" && died.restart.atMs, startMs + 7 * second);
  const kinds = (state: LeaseState, is: "running" | "paused") =>
    rule.observe(leaseIn(state), { ...container, state: is }, later).kind;
  assert.equal(kinds("running", "running"), "as_expected");
  assert.equal(kinds("running", "paused"), "should_run");
  assert.equal(kinds("paused", "paused"), "as_expected");
  assert.equal(kinds("paused", "running"), "should_be_paused");
});

// Guards against a restart after the end, and money for time that nobody was to be given.
test("a container that outlived its lease unseen is neither restarted nor paid for", () => {
  const end = startMs + 300 * second;
  const long = end + 3_600 * second;
  const running = leaseIn("running", { seenAtMs: end + 60 * second });
  const gone = rule.observe(running, null, long);
  assert.deepEqual(gone.kind === "over" && [gone.ending.reason, gone.ending.atMs], [
    "expired",
    end,
  ]);
  const exitedAt = new Date(end - second).toISOString();
  const dead = { ...container, state: "exited", exitCode: 2, exitedAt } as const;
  const died = rule.observe(running, dead, long);
  assert.deepEqual(died.kind === "over" && [died.ending.reason, died.ending.atMs], [
    "crashed",
    end - second,
  ]);
  const { lease } = rule.stop(running, { reason: "expired", atMs: end }, long);
  assert.equal(lease.endsAtMs, end);
});
