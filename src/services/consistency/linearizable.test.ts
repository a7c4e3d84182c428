import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { isLinearizableByForce, randomHistory } from "./fixtures/force.ts";
import { seeded, simulate } from "./fixtures/simulation.ts";
import { createHistoryReader } from "./formats/read.ts";
import { historyOf } from "./rules/builder.ts";
import { isCertified } from "./rules/certificate.ts";
import { checkChain } from "./rules/chain.ts";
import { type Operation, opNames } from "./rules/history.ts";
import { prepare } from "./rules/prepared.ts";
import { checkStrong, searchKeys, usualLimits } from "./rules/strong.ts";
import type { Verdict } from "./rules/verdict.ts";
import { findZoneConflicts, markReads } from "./rules/zones.ts";

const fixture = (path: string) => new URL(`./fixtures/porcupine/${path}`, import.meta.url);

function readText(text: string) {
  const reader = createHistoryReader();
  reader.push(text);
  return reader.end();
}

/** What the search alone says, for all keys. */
function search(operations: readonly Operation[], limits = usualLimits): Verdict {
  const prepared = prepare(historyOf(operations));
  const keys = prepared.history.keys.map((_, key) => key);
  return searchKeys(prepared, keys, markReads(prepared).isRead, { checked: 0, limits });
}

/** What zones alone say. */
function zonesAreGood(operations: readonly Operation[]): boolean {
  const prepared = prepare(historyOf(operations));
  const every = new Uint8Array(prepared.history.keys.length).fill(1);
  const found = findZoneConflicts(prepared, markReads(prepared).isRead, every);
  return found.conflicts.length + found.impossible.length === 0;
}

// Guards against a checker that is wrong about histories which others have judged: 102 of etcd by
// Jepsen and 6 of a key-value store, as labelled by Porcupine.
test("Porcupine's labelled histories are all judged right", () => {
  const labels: Record<string, boolean> = JSON.parse(readFileSync(fixture("labels.json"), "utf8"));
  const archive = gunzipSync(readFileSync(fixture("histories.txt.gz"))).toString("utf8");
  const wrong: string[] = [];
  const sizes: number[] = [];
  let judged = 0;
  for (const part of archive.split(/^=== /m).slice(1)) {
    const name = part.slice(0, part.indexOf("\n"));
    if (labels[name] === undefined) continue;
    const { history, format } = readText(part.slice(name.length + 1));
    assert.equal(format, name.startsWith("kv") ? "porcupine" : "jepsen-log");
    const verdict = checkStrong(prepare(history));
    judged += 1;
    if ((verdict.status === "ok") !== labels[name]) wrong.push(`${name}: ${verdict.status}`);
    if (verdict.status === "violation") sizes.push(verdict.witness.operations.length);
  }
  assert.deepEqual(wrong, []);
  assert.equal(judged, 108);
  assert.equal(Object.values(labels).filter((isGood) => isGood).length, 26);
  const small = sizes.filter((size) => size <= 5).length;
  assert.ok(Math.max(...sizes) <= 8, `the largest counterexample takes ${Math.max(...sizes)}`);
  assert.ok(small >= sizes.length * 0.95, `${small} of ${sizes.length} take five or fewer`);
});

const judges: readonly { name: string; options: Parameters<typeof randomHistory>[1] }[] = [
  { name: "unique values", options: { operations: 7 } },
  { name: "few values", options: { operations: 7, values: 2 } },
  { name: "deletes", options: { operations: 6, values: 2, kinds: ["read", "write", "delete"] } },
  { name: "cas", options: { operations: 7, values: 3, kinds: ["read", "write", "cas"] } },
  { name: "only cas", options: { operations: 6, kinds: ["read", "cas"] } },
  { name: "appends", options: { operations: 6, kinds: ["read", "append"] } },
  { name: "texts", options: { operations: 6, kinds: ["read", "append", "write"] } },
  { name: "all", options: { operations: 6, values: 3, kinds: [...opNames] } },
];

// Guards against algorithms that agree with each other and are wrong together: trying every order
// is the judge. Includes the counterexample, which has to be one by itself.
for (const { name, options } of judges) {
  test(`small random histories are judged as by trying every order: ${name}`, () => {
    const random = seeded(options.operations * 1_000 + name.length);
    const seen = { good: 0, bad: 0 };
    for (let round = 0; round < 4_000; round += 1) {
      const operations = randomHistory(random, options);
      const isGood = isLinearizableByForce(operations);
      const told = () => JSON.stringify(operations);
      const found = search(operations);
      assert.equal(found.status, isGood ? "ok" : "violation", told());
      const strong = checkStrong(prepare(historyOf(operations)));
      assert.equal(strong.status, isGood ? "ok" : "violation", told());
      if (name === "unique values") assert.equal(zonesAreGood(operations), isGood, told());
      seen[isGood ? "good" : "bad"] += 1;
      for (const verdict of [found, strong]) {
        if (verdict.status === "violation") assertWitness(operations, verdict.witness.operations);
      }
    }
    assert.ok(seen.good > 30 && seen.bad > 200, JSON.stringify(seen));
  });
}

/** The operations named have no order, whatever the other updates did. */
function assertWitness(operations: readonly Operation[], ids: readonly string[]): void {
  assert.ok(ids.length <= operations.length && new Set(ids).size === ids.length);
  const isNamed = (one: Operation) => ids.includes(one.id);
  const rest = operations.filter(
    (one) => isNamed(one) || (one.op !== "read" && one.mismatch !== true),
  );
  const isLoose = (one: Operation) => !isNamed(one);
  assert.ok(!isLinearizableByForce(rest, isLoose), JSON.stringify({ operations, ids }));
}

// Guards against a fast algorithm that differs from the slow one only in long histories.
test("zones and the search agree on simulated histories, sound and broken", () => {
  const seen = { ok: 0, violation: 0 };
  for (let seed = 1; seed <= 60; seed += 1) {
    const mutant = ([null, "stale-strong", "lost-write", "failed-applied"] as const)[seed % 4]!;
    const often = { mutantRatio: 0.2, infoRatio: 0.05 };
    const operations = simulate({ seed, operations: 400, clients: 6, keys: 3, mutant, ...often });
    const { status } = search(operations);
    assert.equal(zonesAreGood(operations), status === "ok", `seed ${seed}`);
    if (mutant === null) assert.equal(status, "ok", `seed ${seed}`);
    if (status !== "unknown") seen[status] += 1;
  }
  assert.ok(seen.ok >= 15 && seen.violation >= 30, JSON.stringify(seen));
});

// Guards against a certificate that proves what is not so, and against one that proves nothing.
test("versions prove sound histories, and never one that zones refute", () => {
  const seen = { proven: 0, refuted: 0 };
  for (let seed = 1; seed <= 80; seed += 1) {
    const mutant = ([null, "stale-strong", "reordered-writes", "lost-write"] as const)[seed % 4]!;
    const operations = simulate({ seed, operations: 200, clients: 5, keys: 2, mutant });
    const prepared = prepare(historyOf(operations));
    const { isRead } = markReads(prepared);
    const isProven = prepared.history.keys.every((_, key) => isCertified(prepared, key, isRead));
    const isGood = zonesAreGood(operations);
    if (mutant === null) assert.ok(isProven, `seed ${seed}`);
    if (!isGood) assert.ok(!isProven, `seed ${seed}`);
    seen[isProven ? "proven" : "refuted"] += 1;
  }
  assert.ok(seen.proven >= 20 && seen.refuted >= 20, JSON.stringify(seen));
});

// Guards against a search, which may give up, for keys that were read before they were written.
test("versions prove a history whose first reads say 0.0, the version before every write", () => {
  const rest = { process: "a", key: "x", outcome: "ok" } as const;
  const write = { ...rest, op: "write", value: 1, version: { term: 1, seq: 2 } } as const;
  const certified = (value: unknown, at: number) => {
    const version = { term: 0, seq: 0 };
    const prepared = prepare(
      historyOf([
        { ...rest, id: "r", op: "read", value, version, call: at, return: at + 1 },
        { ...write, id: "w", call: 10, return: 20 },
        {
          ...rest,
          id: "d",
          op: "delete",
          value: null,
          version: { term: 1, seq: 3 },
          call: 30,
          return: 40,
        },
      ]),
    );
    return isCertified(prepared, 0, markReads(prepared).isRead);
  };
  assert.equal(certified(null, 0), true);
  assert.equal(certified(1, 12), false, "it was told another version than the one it read");
  assert.equal(certified(null, 25), false, "the write had ended before the read was called");
});

// Guards against a chain of cas that is judged unlike the search judges it.
test("a chain of cas is judged like by the search", () => {
  const random = seeded(5);
  let decided = 0;
  for (let round = 0; round < 6_000; round += 1) {
    const count = 3 + Math.floor(random() * 5);
    const operations = Array.from({ length: count }, (_, at): Operation => {
      const isRead = random() < 0.3;
      const call = at * 2 + Math.floor(random() * 6);
      const from = at === 0 ? null : Math.max(0, at - (random() < 0.8 ? 0 : 1)) || null;
      const isMiss = !isRead && random() < 0.15;
      const value = isRead ? from : [from, at + 1];
      const outcome = isMiss ? "fail" : random() < 0.1 && !isRead ? "info" : "ok";
      const end = call + Math.floor(random() * 6);
      const base = { id: `${at}`, process: `${at}`, key: "x", mismatch: isMiss };
      return { ...base, op: isRead ? "read" : "cas", value, call, return: end, outcome };
    });
    const prepared = prepare(historyOf(operations));
    const { isRead } = markReads(prepared);
    const finding = checkChain(prepared, 0, isRead);
    if (finding === null) continue;
    decided += 1;
    const isGood = search(operations).status === "ok";
    assert.equal(finding.isLinearizable, isGood, JSON.stringify(operations));
  }
  assert.ok(decided > 1_000, `${decided} were decided`);
});

/** Writes that are all under way at once, and a read of what none of them wrote: 2^30 orders. */
function hopeless(key: string): Operation[] {
  const base = { key, call: 0, return: 100, outcome: "ok" } as const;
  const writes = Array.from({ length: 30 }, (_, at): Operation => {
    return { ...base, id: `${key}${at}`, process: `p${at}`, op: "write", value: at };
  });
  const read = { ...base, id: `${key}r`, process: "r", op: "read", value: 99 } as const;
  return [...writes, { ...read, call: 101, return: 102 }];
}

// Guards against a search that takes all memory or time, and against an unknown that looks good.
test("a search that may not go on says that it does not know, and why", () => {
  const few = search(hopeless("x"), { stepsAtMost: 5_000, memoryBytesAtMost: 2 ** 26 });
  const reason = "5000 steps were not enough to find or rule out an order for 1 key";
  assert.deepEqual(few, { status: "unknown", checked: 0, reason });
  const little = search(hopeless("x"), { stepsAtMost: 5_000_000, memoryBytesAtMost: 2 ** 20 });
  assert.match(little.status === "unknown" ? little.reason : little.status, /^1 MiB of memory/);
});

// Guards against a verdict on what nobody has defined.
test("appending to what may be no text is unknown", () => {
  const base = { process: "a", key: "x", outcome: "ok" } as const;
  const verdict = checkStrong(
    prepare(
      historyOf([
        { ...base, id: "w", op: "write", value: 1, call: 0, return: 1 },
        { ...base, id: "a", op: "append", value: "2", call: 2, return: 3 },
        { ...base, id: "r", op: "read", value: "12", call: 4, return: 5 },
      ]),
    ),
  );
  assert.match(verdict.status === "unknown" ? verdict.reason : verdict.status, /what is no text/);
});

// Guards against one hard key that keeps the others from telling what they know.
test("an easy key's violation is found beside a hard key", () => {
  const base = { process: "a", key: "easy", outcome: "ok" } as const;
  const easy: Operation[] = [
    { ...base, id: "w1", op: "write", value: 1, call: 0, return: 1 },
    { ...base, id: "w2", op: "write", value: 1, call: 2, return: 3 },
    { ...base, id: "c1", op: "cas", value: [7, 8], call: 4, return: 5 },
  ];
  const limits = { stepsAtMost: 100_000, memoryBytesAtMost: 2 ** 26 };
  const verdict = search([...hopeless("hard"), ...easy], limits);
  assert.ok(verdict.status === "violation");
  assert.deepEqual(verdict.witness.operations, ["c1"]);
});

// Guards against a counterexample as long as the history.
test("a counterexample in a long history of cas takes few operations", () => {
  const operations: Operation[] = [];
  const base = { process: "a", key: "x", outcome: "ok" } as const;
  for (let at = 0; at < 3_000; at += 1) {
    const value = at % 3 === 2 ? at % 7 : [at % 3 === 0 ? (at + 6) % 7 : at % 7, at % 7];
    const op = at % 3 === 2 ? "write" : "cas";
    const from =
      at % 3 === 2 ? value : [operations.length === 0 ? null : lastOf(operations), at % 7];
    const whole = { ...base, id: `o${at}`, op, call: at * 2, return: at * 2 + 1 } as const;
    operations.push({ ...whole, value: op === "write" ? value : from });
  }
  const stale = lastOf(operations.slice(0, -4));
  operations.push({ ...base, id: "r", op: "read", value: stale, call: 7_000, return: 7_001 });
  const verdict = checkStrong(prepare(historyOf(operations)));
  assert.ok(verdict.status === "violation");
  assert.deepEqual(verdict.witness.operations, ["o2999", "r"]);
  assert.match(verdict.witness.sentence, /nothing that happened since explains it/);
});

function lastOf(operations: readonly Operation[]): unknown {
  const { op, value } = operations.at(-1)!;
  return op === "cas" ? (value as unknown[])[1] : value;
}
