import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "./fixtures/simulation.ts";
import { historyOf } from "./rules/builder.ts";
import { checkCausal } from "./rules/causal.ts";
import type { Operation, Version } from "./rules/history.ts";
import { prepare } from "./rules/prepared.ts";
import { checkPrefix } from "./rules/prefix.ts";
import { checkSession } from "./rules/session.ts";
import { checkStaleness } from "./rules/staleness.ts";
import { orderVersions } from "./rules/version-order.ts";

type Versions = "global" | "key";

/** A small history with versions and hardly any sense; sessions do one thing after the other. */
function randomVersioned(random: () => number, versions: Versions): Operation[] {
  const below = (most: number) => Math.floor(random() * most);
  const clocks = [0, 0, 0];
  const writes: Operation[] = [];
  const all: Operation[] = [];
  const free = Array.from({ length: 12 }, (_, seq) => seq + 1).sort(() => random() - 0.8);
  const seqs = { x: 1, y: 1 };
  for (let at = 0; at < 9; at += 1) {
    const session = below(3);
    const key = random() < 0.5 ? "x" : "y";
    const call = clocks[session]! + below(3);
    clocks[session] = call + below(5);
    const base = { id: `o${at}`, session: `s${session}`, process: `s${session}`, key, call };
    const times = { return: clocks[session], outcome: "ok" } as const;
    const seen = writes.filter((one) => one.key === key && one.call <= clocks[session]!);
    if (random() < 0.45) {
      const seq = versions === "global" ? free.shift()! : seqs[key]++;
      const version = { term: seq > 6 ? 2 : 1, seq };
      writes.push({ ...base, ...times, op: "write", value: at, version });
      all.push(writes.at(-1)!);
    } else {
      const read = seen[below(seen.length + 1)];
      const token = random() < 0.3 ? { term: 1 + below(2), seq: below(12) } : null;
      const snapshot = random() < 0.3 ? `snapshot ${below(2)}` : null;
      const what = { value: read?.value ?? null, version: read?.version ?? null };
      all.push({ ...base, ...times, op: "read", ...what, token, snapshot });
    }
  }
  return all;
}

const isAfter = (a: Version | null | undefined, b: Version | null | undefined): boolean => {
  if (!a) return false;
  return !b || a.term > b.term || (a.term === b.term && a.seq > b.seq);
};

/** What came before in the session: a session's operations are in the order of their calls. */
const inSession = (all: readonly Operation[], one: Operation) =>
  all.filter(
    (other) =>
      other !== one &&
      other.session === one.session &&
      other.return! <= one.call &&
      (other.call < one.call || all.indexOf(other) < all.indexOf(one)),
  );

/** Each definition word by word, by comparing everything with everything. */
const definitions: Record<string, (all: readonly Operation[], versions: Versions) => boolean> = {
  readYourWrites: (all) =>
    all.every(
      (one) =>
        one.op !== "read" ||
        inSession(all, one).every(
          (before) =>
            before.op !== "write" ||
            before.key !== one.key ||
            !isAfter(before.version, one.version),
        ),
    ),
  monotonicReads: (all) =>
    all.every(
      (one) =>
        one.op !== "read" ||
        inSession(all, one).every(
          (before) =>
            before.op !== "read" || before.key !== one.key || !isAfter(before.version, one.version),
        ),
    ),
  monotonicWrites: (all, versions) => writesAreAfter(all, versions, "write"),
  writesFollowReads: (all, versions) => writesAreAfter(all, versions, "read"),
  token: (all) =>
    all.every(
      ({ op, token, key, version }) =>
        op !== "read" ||
        !token ||
        all.every(
          (write) =>
            write.op !== "write" ||
            write.key !== key ||
            isAfter(write.version, token) ||
            !isAfter(write.version, version),
        ),
    ),
};

function writesAreAfter(all: readonly Operation[], versions: Versions, op: string): boolean {
  return all.every(
    (one) =>
      one.op !== "write" ||
      inSession(all, one).every(
        (before) =>
          before.op !== op ||
          (versions === "key" && before.key !== one.key) ||
          !isAfter(before.version, one.version),
      ),
  );
}

/** All that an operation depends on: its session's past, the writes it read, and theirs. */
function pastOf(all: readonly Operation[], one: Operation): Set<Operation> {
  const past = new Set<Operation>();
  const add = (other: Operation) => {
    if (past.has(other)) return;
    past.add(other);
    const write = all.find((each) => each.op === "write" && each.value === other.value);
    if (other.op === "read" && write) add(write);
    for (const before of inSession(all, other)) add(before);
  };
  for (const before of inSession(all, one)) add(before);
  return past;
}

const isCausal = (all: readonly Operation[]): boolean =>
  all.every(
    (one) =>
      one.op !== "read" ||
      [...pastOf(all, one)].every(
        (other) =>
          other.op !== "write" || other.key !== one.key || !isAfter(other.version, one.version),
      ),
  );

const missedBy = (all: readonly Operation[], read: Operation): Operation[] =>
  all.filter(
    ({ op, key, version, return: end }) =>
      op === "write" && key === read.key && isAfter(version, read.version) && end! < read.call,
  );

function isPrefix(all: readonly Operation[]): boolean {
  const writes = all.filter(({ op }) => op === "write");
  const names = new Set(all.flatMap(({ snapshot }) => (snapshot ? [snapshot] : [])));
  return [...names].every((name) => {
    const reads = all.filter(({ snapshot }) => snapshot === name);
    return [null, ...writes.map(({ version }) => version)].some((moment) =>
      reads.every(({ key, version }) => {
        const then = writes.filter((one) => one.key === key && !isAfter(one.version, moment));
        const newest = then.reduce<Version | null>(
          (best, one) => (isAfter(one.version, best) ? one.version! : best),
          null,
        );
        return newest?.term === version?.term && newest?.seq === version?.seq;
      }),
    );
  });
}

// Guards against fast checks that differ from their definitions in cases nobody thought of.
for (const versions of ["global", "key"] as const) {
  test(`the guarantees agree with their definitions, versions per ${versions}`, () => {
    const random = seeded(versions === "global" ? 21 : 22);
    const seen = new Map<string, number>();
    for (let round = 0; round < 4_000; round += 1) {
      const all = randomVersioned(random, versions);
      const prepared = prepare(historyOf(all, { versions }));
      const order = orderVersions(prepared);
      const session = checkSession(prepared, order);
      const expect = (name: string, status: string, isGood: boolean) => {
        assert.equal(status, isGood ? "ok" : "violation", `${name}: ${JSON.stringify(all)}`);
        seen.set(`${name} ${status}`, (seen.get(`${name} ${status}`) ?? 0) + 1);
      };
      for (const [name, holds] of Object.entries(definitions)) {
        if (name === "token" && versions === "key") continue;
        expect(name, session[name as "token"].status, holds(all, versions));
      }
      expect("causal", checkCausal(prepared, order).status, isCausal(all));
      if (versions === "global") {
        expect("prefix", checkPrefix(prepared, order).status, isPrefix(all));
      }
      const [maxStalenessVersions, maxStalenessMs] = [round % 3, (round * 7) % 9];
      const staleness = checkStaleness(prepared, order, { maxStalenessVersions, maxStalenessMs });
      const missed = all
        .filter(({ op }) => op === "read")
        .map((one) => {
          const writes = missedBy(all, one);
          return {
            count: writes.length,
            ms: Math.max(0, ...writes.map((w) => one.call - w.return!)),
          };
        });
      const isFresh = missed.every(
        ({ count, ms }) => count <= maxStalenessVersions && ms <= maxStalenessMs,
      );
      expect("bounded", staleness.verdict.status, isFresh);
      assert.equal(staleness.mostVersions, Math.max(0, ...missed.map(({ count }) => count)));
      assert.equal(staleness.mostMs, Math.max(0, ...missed.map(({ ms }) => ms)));
    }
    const few = [...seen].filter(([, count]) => count < 40);
    assert.deepEqual(few, [], "each side of each check is met often");
  });
}

// Guards against a chain that is told wrongly: it leads from the missed write to the read.
test("a causal counterexample is a chain of causes", () => {
  const random = seeded(31);
  let found = 0;
  for (let round = 0; round < 3_000; round += 1) {
    const all = randomVersioned(random, "key");
    const prepared = prepare(historyOf(all, { versions: "key" }));
    const verdict = checkCausal(prepared, orderVersions(prepared));
    if (verdict.status !== "violation") continue;
    found += 1;
    const chain = verdict.witness.at.map((at) => all[at]!);
    const read = all.find(({ id }) => verdict.witness.sentence.startsWith(`${id} `))!;
    const missed = chain.find(
      (one) => one.op === "write" && one.key === read.key && isAfter(one.version, read.version),
    );
    assert.ok(missed && pastOf(all, read).has(missed), JSON.stringify({ all, verdict }));
    assert.ok(chain.every((one) => one === read || pastOf(all, read).has(one)));
  }
  assert.ok(found > 100, `${found} were found`);
});
