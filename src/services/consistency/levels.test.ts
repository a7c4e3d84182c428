import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { mutants, simulate } from "./fixtures/simulation.ts";
import { createHistoryReader } from "./formats/read.ts";
import { historyOf } from "./rules/builder.ts";
import { type CheckName, checkHistory, checkNames } from "./rules/check.ts";
import type { HistoryMeta, Operation } from "./rules/history.ts";

const labelled = new URL("./fixtures/labelled/", import.meta.url);
const names = readdirSync(labelled)
  .filter((name) => name.endsWith(".ndjson"))
  .sort();

interface Label {
  readonly name: string;
  readonly about: string;
  readonly expect: Partial<Record<CheckName | "claims", string>>;
}

function read(name: string) {
  const text = readFileSync(new URL(name, labelled), "utf8");
  const reader = createHistoryReader();
  reader.push(text);
  const label: Label = JSON.parse(text.slice(0, text.indexOf("\n")));
  return { label, report: checkHistory(reader.end().history) };
}

// Guards against definitions that drift: each history is as small as it can be, and says what it
// is.
for (const name of names) {
  test(`${name} is judged as labelled`, () => {
    const { label, report } = read(name);
    assert.equal(`${label.name}.ndjson`, name);
    assert.match(label.about, /\.$/);
    for (const [check, expected] of Object.entries(label.expect)) {
      if (check === "claims") {
        assert.equal(report.status, expected);
        continue;
      }
      const verdict = report.checks[check as CheckName];
      assert.equal(verdict.status, expected, `${check}: ${JSON.stringify(verdict)}`);
      if (verdict.status !== "violation" || check === "breakers") continue;
      const { sentence, operations } = verdict.witness;
      assert.ok(operations.length >= 1 && operations.length <= 5, sentence);
      assert.match(sentence, /^\S.*\.$/);
      assert.doesNotMatch(sentence, /undefined|NaN|null|\n/);
    }
  });
}

// Guards against a check that no labelled history tells good and bad apart for.
test("every check has a good and a bad history", () => {
  const labels = names.map((name) => read(name).label.expect);
  for (const check of checkNames) {
    for (const status of ["ok", "violation"]) {
      assert.ok(
        labels.some((expected) => expected[check] === status),
        `${check}: ${status}`,
      );
    }
  }
});

const meta: Partial<HistoryMeta> = { maxStalenessMs: 50, maxStalenessVersions: 1_000 };
const levels = ["strong", "bounded", "session", "eventual"] as const;
const plan = { operations: 1_500, clients: 8, keys: 4, levels, hasFinals: true, infoRatio: 0.03 };

// Guards against a checker that blames a store which keeps what it promised.
test("a sound store's histories keep every level that was asked for", () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const report = checkHistory(historyOf(simulate({ ...plan, seed }), meta));
    const broken = report.claims.filter(({ verdict }) => verdict.status !== "ok");
    assert.deepEqual(broken, [], `seed ${seed}`);
    assert.equal(report.status, "ok");
  }
});

const catches: Record<(typeof mutants)[number], readonly CheckName[]> = {
  "stale-strong": ["strong"],
  "ignored-token": ["readYourWrites", "monotonicReads"],
  unbounded: ["bounded"],
  "failed-applied": ["integrity"],
  "lost-write": ["strong"],
  "reordered-writes": ["receipts", "monotonicWrites"],
  "reused-version": ["receipts"],
  "shortfall-ok": ["strong"],
};

// Guards against a fault of a store that passes: each must be caught, by the check that names it.
for (const mutant of mutants) {
  test(`the mutant ${mutant} is caught`, () => {
    for (let seed = 1; seed <= 4; seed += 1) {
      const often = { mutant, mutantRatio: 0.4, seed };
      const report = checkHistory(historyOf(simulate({ ...plan, ...often }), meta));
      assert.equal(report.status, "violation", `seed ${seed}`);
      const found = catches[mutant].filter((check) => report.checks[check].status === "violation");
      assert.notDeepEqual(found, [], `seed ${seed}: ${JSON.stringify(report.claims)}`);
    }
  });
}

/** A history in which nothing overlaps: any answer that is changed is wrong. */
function sequential(): Operation[] {
  return Array.from({ length: 60 }, (_, at): Operation => {
    const isRead = at % 3 === 2;
    const last = Math.floor(at / 3) * 2;
    const number = Math.floor(at / 3) * 2 + (at % 3);
    return {
      id: `o${at}`,
      process: `c${at % 4}`,
      key: "x",
      op: isRead ? "read" : "write",
      value: isRead ? last + 1 : number,
      call: at * 10,
      return: at * 10 + 5,
      outcome: "ok",
      version: { term: 1, seq: (isRead ? last + 1 : number) + 1 },
    };
  });
}

// Guards against checks that look only where faults are expected.
test("of a sequential history every changed answer is caught", () => {
  const whole = sequential();
  assert.equal(checkHistory(historyOf(whole)).status, "ok");
  const reads = whole.filter(({ op }) => op === "read");
  for (const changing of reads) {
    for (const other of reads) {
      if (other === changing) continue;
      const changed = whole.map((one) => {
        return one === changing
          ? { ...one, value: other.value, version: other.version ?? null }
          : one;
      });
      const { checks } = checkHistory(historyOf(changed));
      assert.equal(checks.strong.status, "violation", `${changing.id} as ${other.id}`);
    }
    const failed = whole.map((one) => {
      return one.value === changing.value && one.op === "write"
        ? { ...one, outcome: "fail" as const }
        : one;
    });
    assert.equal(checkHistory(historyOf(failed)).checks.integrity.status, "violation", changing.id);
  }
});

// Guards against a higher level that is claimed although a lower one is broken, and the reverse.
test("the strongest level is the highest rung that holds", () => {
  const strongest = (operations: readonly Operation[], maxStalenessMs = 50) =>
    checkHistory(historyOf(operations, { ...meta, maxStalenessMs })).strongest.level;
  const usual = { ...plan, operations: 400 };
  assert.equal(strongest(simulate({ ...usual, seed: 1, levels: ["strong"] })), "strong");
  assert.equal(strongest(simulate({ ...usual, seed: 1, levels: ["bounded"] })), "bounded");
  const lagging = { ...usual, lagMs: 300, levels: ["session"] } as const;
  assert.equal(strongest(simulate({ ...lagging, seed: 1 }), 5), "session");
  assert.equal(
    strongest(simulate({ ...usual, seed: 1, levels: ["eventual"], lagMs: 300 })),
    "eventual",
  );
  const lost = { ...usual, seed: 1, mutant: "failed-applied", mutantRatio: 1 } as const;
  assert.equal(strongest(simulate(lost)), null);
});

// Guards against levels that hold their operations to each other's promises.
test("each operation is held to the level that it asked for, or all to one that is named", () => {
  const history = historyOf(simulate({ ...plan, seed: 3 }), meta);
  const asked = checkHistory(history);
  const claimed = asked.claims.map(({ name }) => name);
  assert.deepEqual(claimed, ["integrity", "receipts", ...levels]);
  assert.equal(asked.status, "ok");
  const forced = checkHistory(history, { level: "strong" });
  assert.equal(forced.status, "violation");
  assert.deepEqual(
    forced.claims.map(({ name }) => name),
    ["integrity", "receipts", "strong", "eventual"],
  );
  const bounds = { maxStalenessMs: 1, maxStalenessVersions: null };
  assert.equal(checkHistory(history, { level: "bounded", bounds }).status, "violation");
});

// Guards against an unknown that passes for good.
test("what can't be known is unknown, and says why", () => {
  const isVersioned = false;
  const operations = simulate({ ...plan, seed: 5, levels: ["session"], isVersioned });
  const report = checkHistory(historyOf(operations.filter(({ final }) => !final)));
  assert.equal(report.status, "unknown");
  const session = report.claims.find(({ name }) => name === "session")?.verdict;
  assert.match(session?.status === "unknown" ? session.reason : "", /versions are missing/);
  const strong = simulate({ ...plan, seed: 5, levels: ["strong"], isVersioned, hasFinals: false });
  const implied = checkHistory(historyOf(strong)).checks.monotonicReads;
  assert.deepEqual(implied.status === "ok" && implied.note, "follows from strong");
});
