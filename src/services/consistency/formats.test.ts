import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "./fixtures/simulation.ts";
import { createHistoryReader, detectFormat, type ReaderOptions } from "./formats/read.ts";
import { createHistoryBuilder, historyOf } from "./rules/builder.ts";
import { checkHistory } from "./rules/check.ts";
import { type History, HistoryError, opNames, outcomeNames } from "./rules/history.ts";

function readHistory(text: string, options: ReaderOptions = {}, piece = text.length): History {
  const reader = createHistoryReader(options);
  for (let from = 0; from < text.length; from += piece) reader.push(text.slice(from, from + piece));
  return reader.end().history;
}

function row(id: string, process: string, key: string, ...rest: readonly unknown[]): object {
  const [kind, value, call, end, outcome] = rest;
  return { id, process, key, op: kind, value, call, return: end, outcome };
}

/** A history in short: "w1 x write 1 0-10 ok". */
function short(history: History): string[] {
  return history.ids.map((id, at) => {
    const isCas = history.expected[at]! >= 0;
    const value = JSON.stringify(history.values[history.value[at]!]);
    const from = isCas ? `${JSON.stringify(history.values[history.expected[at]!])}→` : "";
    const until = Number.isFinite(history.end[at]) ? history.end[at] : "";
    const ended = history.isMismatch[at] ? "mismatch" : outcomeNames[history.outcome[at]!];
    const op = opNames[history.op[at]!];
    const who = history.processes[history.process[at]!];
    const key = history.keys[history.key[at]!];
    return `${id} ${who} ${key} ${op} ${from}${value} ${history.call[at]}-${until} ${ended}`;
  });
}

const records: readonly object[] = [
  { history: 1, name: "two", maxStalenessMs: 5 },
  row("w1", "a", "x", "write", 1, 0, 10, "ok"),
  { fault: "partition", call: 3, return: 8, isolated: ["n1"] },
  row("r1", "b", "x", "read", "é\n", 2.5, 11, "ok"),
  { ...row("c1", "b", "x", "cas", [1, 2], 12, 13, "fail"), mismatch: true },
  row("w2", "c", "y", "write", null, 13, null, "info"),
];
const ndjson = records.map((one) => JSON.stringify(one)).join("\n");
const ndjsonShort = [
  "w1 a x write 1 0-10 ok",
  'r1 b x read "é\\n" 2.5-11 ok',
  "c1 b x cas 1→2 12-13 mismatch",
  "w2 c y delete null 13- info",
];

const edn = `; a comment
{:process 0, :type :invoke, :f :write, :value 3, :time 1000000, :index 0}
#jepsen.history.Op{:process 1 :type :invoke :f :read :value nil :time 2000000}
{:process :nemesis, :type :info, :f :start, :value "cut \\"off\\""}
{:process 0, :type :ok, :f :write, :value 3, :time 3500000}
#_ {:process 9}
{:process 1, :type :ok, :f :read, :value 3, :time 4000000}
{:process 0, :type :invoke, :f :cas, :value [3 4], :time 5000000}
{:process 0, :type :info, :f :cas, :value [3 4], :error :timeout, :time 6000000}`;
const ednShort = ["0 0 x write 3 1-3.5 ok", "1 1 x read 3 2-4 ok", "2 0 x cas 3→4 5- info"];

const keyedEdn = `[{:process 0 :type :invoke :f :cas :value [7 [1 2]]}
 {:process 0 :type :fail :f :cas :value [7 [1 2]]}
 {:process 1 :type :invoke :f :read :value [8 nil]} {:process 1 :type :ok :f :read :value [8 nil]}]`;

const log = `INFO  jepsen.core - nothing to see
INFO  jepsen.util - 0	:invoke	:write	4
INFO  jepsen.util - 1	:invoke	:cas	[4 2]
INFO  jepsen.util - :nemesis	:info	:start	nil
INFO  jepsen.util - 1	:fail	:cas	[4 2]
INFO  jepsen.util - 0	:info	:write	:timed-out
INFO  jepsen.util - 2	:invoke	:read	nil
INFO  jepsen.util - 2	:ok	:read	nil
INFO  jepsen.util - 3	:invoke	:read	nil
`;

const porcupine = `{:process 0, :type :invoke, :f :put, :key "k", :value "x"}
{:process 0, :type :ok, :f :put, :key "k", :value "x"}
{:process 0, :type :invoke, :f :append, :key "k", :value "y"}
{:process 0, :type :ok, :f :append, :key "k", :value "y"}
{:process 1, :type :invoke, :f :get, :key "l", :value nil}
{:process 1, :type :ok, :f :get, :key "l", :value ""}`;

const samples: readonly { name: string; text: string; format: string; expected: string[] }[] = [
  { name: "NDJSON", text: ndjson, format: "ndjson", expected: ndjsonShort },
  {
    name: "JSON",
    text: `{ "maxStalenessMs": 5,\n "operations": ${JSON.stringify(records.slice(1), null, 1)} }`,
    format: "json",
    expected: ndjsonShort,
  },
  {
    name: "a JSON list",
    text: JSON.stringify(records.slice(1)),
    format: "json",
    expected: ndjsonShort,
  },
  { name: "Jepsen's EDN", text: edn, format: "edn", expected: ednShort },
  {
    name: "EDN in a vector, with keys",
    text: keyedEdn,
    format: "edn",
    expected: ["0 0 7 cas 1→2 1-2 fail", "1 1 8 read null 3-4 ok"],
  },
  {
    name: "Jepsen's log",
    text: log,
    format: "jepsen-log",
    expected: [
      "0 1 x cas 4→2 2-3 mismatch",
      "1 0 x write 4 1- info",
      "2 2 x read null 5-6 ok",
      "3 3 x read null 7- info",
    ],
  },
  {
    name: "Porcupine's key-value text",
    text: porcupine,
    format: "porcupine",
    expected: ['0 0 k write "x" 1-2 ok', '1 0 k append "y" 3-4 ok', "2 1 l read null 5-6 ok"],
  },
];

// Guards against a format that is read as another, or differently when its text comes in pieces.
for (const { name, text, format, expected } of samples) {
  test(`${name} is recognised and read, however it is cut`, () => {
    assert.equal(detectFormat(`${text}\n`), format);
    assert.deepEqual(short(readHistory(text)), expected);
    for (const piece of [1, 7, 100]) {
      const cut = readHistory(text, { format: format as "edn" }, piece);
      assert.deepEqual(short(cut), expected, `pieces of ${piece}`);
    }
    assert.deepEqual(short(readHistory(`\uFEFF${text.replaceAll("\n", "\r\n")}\r\n`)), expected);
  });
}

test("what stands beside operations is kept", () => {
  const { meta, faults } = readHistory(ndjson);
  assert.deepEqual([meta.name, meta.maxStalenessMs, meta.clock], ["two", 5, "ms"]);
  assert.deepEqual(faults, [{ fault: "partition", call: 3, return: 8, isolated: ["n1"] }]);
  assert.equal(readHistory(log).meta.clock, "order");
});

const good = '{"process":"a","key":"x","op":"write","value":1,"call":0,"return":1,"outcome":"ok"}';
const without = (part: string, by = "") => good.replace(part, by);

const faulty: readonly [name: string, text: string, line: number, reason: RegExp][] = [
  ["broken JSON", `${good}\n{"op":`, 2, /no JSON/],
  ["a number", `${good}\n17`, 2, /each record must be an object/],
  ["no operation", `${good}\n{"a":1}`, 2, /has a member "op"/],
  [
    "an unknown operation",
    without('"write"', '"incr"'),
    1,
    /"op" is "incr"; it must be one of read/,
  ],
  ["no outcome", without(',"outcome":"ok"'), 1, /"outcome" is missing; it must be one of ok/],
  ["no key", without('"key":"x",'), 1, /"key" is missing/],
  ["no process", without('"process":"a",'), 1, /"process" is missing/],
  ["no value", without('"value":1,'), 1, /"value" is missing; it must be what was written/],
  ["no call", without('"call":0,'), 1, /"call" is missing; it must be a number/],
  ["an ok without return", without('"return":1,'), 1, /since the operation was ok/],
  ["a return before the call", without('"return":1', '"return":-1'), 1, /at or after the call, 0/],
  ["a time that is none", without('"call":0', '"call":1e300'), 1, /within ±2\^53/],
  ["a cas of one value", without('"write"', '"cas"'), 1, /\[expected, new\] of a cas/],
  ["an append of a number", without('"write"', '"append"'), 1, /the text that was added/],
  ["an unknown level", without('"op"', '"level":"best","op"'), 1, /"level" is "best"/],
  [
    "a version without seq",
    without('"op"', '"version":{"term":1},"op"'),
    1,
    /whole numbers from 0/,
  ],
  ["a negative seq", without('"op"', '"version":{"term":1,"seq":-1},"op"'), 1, /from 0/],
  [
    "one id twice",
    `${without('"op"', '"id":"a","op"')}\n${without('"op"', '"id":"a","op"')}`,
    2,
    /"a", which an earlier/,
  ],
  ["an unknown history", '{"history":2}', 1, /1, the version of the format/],
  ["a fault that ends before", `{"fault":"x","call":2,"return":1}`, 1, /at or after the call, 2/],
  [
    "a breaker's odd event",
    `${good}\n{"breaker":"n","at":1,"event":"melts","epoch":0}`,
    2,
    /transition/,
  ],
  ["nothing at all", "", 1, /no known format/],
  ["no format", "hello\nworld", 1, /no known format begins like this/],
  ["only a header", '{"history":1}\n', 0, /no operation in it/],
  ["broken JSON on a later line", '{\n "operations": [\n  {"op" "x"}\n]}', 3, /no JSON/],
  ["a faulty record of a document", `[${good},{"op":"write"}]`, 2, /missing/],
  ["a form without end", `${edn}\n{:process 3`, 10, /in the middle of a form/],
  ["a form of no map", `{:process 0 :type :invoke :f :read}\n[[7]]`, 2, /each form must be a map/],
  ["a map of three", "{:process 0 :type}", 1, /a key without a value/],
  ["an unknown type", "{:process 0 :type :maybe :f :read}", 1, /":type" is ":maybe"/],
  [
    "an end without a call",
    "{:process 0 :type :ok :f :read :value 1}",
    1,
    /ends what it never called/,
  ],
  [
    "two calls at once",
    `${log}INFO  jepsen.util - 3\t:invoke\t:read\tnil`,
    10,
    /process 3 calls while its call of line 9/,
  ],
  ["an odd value", log.replace("[4 2]", "[4 x]"), 3, /it must be nil, a number or/],
  [
    "a transaction",
    "{:process 0 :type :invoke :f :txn :value []}\n{:process 0 :type :ok :f :txn :value []}",
    1,
    /known are read/,
  ],
  [
    "an endless line",
    `${good}\n${" ".repeat(2 ** 20 + 2)}${good}`,
    2,
    /more than 1048576 characters/,
  ],
];

// Guards against a fault without its place, and against a crash in its stead.
for (const [name, text, line, reason] of faulty) {
  test(`refused with its line: ${name}`, () => {
    assert.throws(
      () => readHistory(text),
      (error) => {
        assert.ok(error instanceof HistoryError, String(error));
        assert.match(error.reason, reason);
        assert.equal(error.line, line, error.message);
        return true;
      },
    );
  });
}

// Guards against reading what the chosen model does not have, and more than there is room for.
test("a model and a limit refuse what is beyond them", () => {
  const cas =
    '{"process":"a","key":"x","op":"cas","value":[1,2],"call":0,"return":1,"outcome":"ok"}';
  assert.throws(
    () => readHistory(`${good}\n${cas}`, { model: "register" }),
    /line 2: "op" is "cas"/,
  );
  assert.equal(readHistory(`${good}\n${cas}`, { model: "cas-register" }).count, 2);
  assert.throws(
    () => readHistory(`${good}\n${good}`, { operationsAtMost: 1 }),
    /line 2: there are more than 1 operations/,
  );
});

// Guards against a reader that hostile bytes crash or hang: it reads, or refuses with a line.
test("garbage is refused, never crashed on", () => {
  const random = seeded(11);
  const texts = samples.map(({ text }) => text);
  const marks = '{}[]()":;,#_\\ntruefalsenil0123\n\t\u0000é';
  for (let round = 0; round < 3_000; round += 1) {
    const text = [...texts[Math.floor(random() * texts.length)]!];
    for (let edits = 0; edits < 4; edits += 1) {
      const at = Math.floor(random() * text.length);
      const mark = marks[Math.floor(random() * marks.length)]!;
      text.splice(at, Math.floor(random() * 3), mark);
    }
    try {
      checkHistory(readHistory(text.join("")));
    } catch (error) {
      assert.ok(error instanceof HistoryError, `${String(error)} of ${text.join("")}`);
    }
  }
});

// Guards against numbers that sort as text, ties that change places, and terms that are forgotten.
test("versions are ranked by term, then by number, at any size", async () => {
  const { rankVersions, rankAtMost } = await import("./rules/versions.ts");
  const random = seeded(3);
  for (const most of [5, 2 ** 30, 2 ** 52]) {
    const versions = Array.from({ length: 3_000 }, () => ({
      term: Math.floor(random() * Math.min(most, 2 ** 40)),
      seq: Math.floor(random() * most),
    }));
    const term = Float64Array.from(versions, (one) => one.term);
    const seq = Float64Array.from(versions, (one) => one.seq);
    const ranks = rankVersions({ count: versions.length, term, seq });
    const sorted = versions.toSorted((a, b) => a.term - b.term || a.seq - b.seq);
    const distinct = [...new Set(sorted.map((one) => `${one.term}.${one.seq}`))];
    versions.forEach((one, at) => {
      assert.equal(distinct[ranks.rank[at]! - 1], `${one.term}.${one.seq}`);
      assert.equal(rankAtMost(ranks, one), ranks.rank[at]);
    });
    assert.equal(rankAtMost(ranks, { term: -1, seq: 0 }), 0);
  }
});

// Guards against a radix sort that is wrong about signs, zeros or infinities.
test("numbers are ordered like a comparator orders them, and stably", async () => {
  const { orderOf } = await import("./rules/sorting.ts");
  const random = seeded(8);
  for (const count of [10, 5_000]) {
    const values = Float64Array.from({ length: count }, () => {
      const special = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1, 1];
      const at = Math.floor(random() * 12);
      return special[at] ?? (random() - 0.5) * 10 ** Math.floor(random() * 12);
    });
    const expected = [...values.keys()].sort((a, b) => {
      const [left, right] = [values[a]!, values[b]!];
      return left < right ? -1 : left > right ? 1 : a - b;
    });
    assert.deepEqual([...orderOf(values, count)], expected);
  }
});

/** Eight pairs of which any choice, one after the other, has the same hash (FNV-1a). */
function collidingPairs(random: () => number): [string, string][] {
  let state = 0x811c9dc5;
  const after = (text: string) =>
    [...text].reduce((hash, char) => Math.imul(hash ^ char.charCodeAt(0), 0x01000193), state);
  return Array.from({ length: 8 }, () => {
    const seen = new Map<number, string>();
    for (;;) {
      const text = Math.floor(random() * 36 ** 8).toString(36);
      const other = seen.get(after(text));
      if (other !== undefined && other !== text) {
        state = after(text);
        return [text, other] as [string, string];
      }
      seen.set(after(text), text);
    }
  });
}

// Guards against texts that are taken for each other, and against those chosen to collide.
test("texts are numbered as by a Map, also when their hashes collide", async () => {
  const { createTexts } = await import("./rules/intern.ts");
  const random = seeded(4);
  const pairs = collidingPairs(random);
  const hostile = () => pairs.map((pair) => pair[random() < 0.5 ? 0 : 1]).join("");
  for (const make of [() => String(Math.floor(random() * 5_000)), hostile]) {
    const texts = createTexts();
    const map = new Map<string, number>();
    for (let round = 0; round < 20_000; round += 1) {
      const text = make();
      if (!map.has(text)) map.set(text, map.size);
      assert.equal(texts.numberOf(text), map.get(text));
    }
    assert.deepEqual(texts.list, [...map.keys()]);
  }
});

test("an empty history is built and checked", () => {
  const history = createHistoryBuilder().finish();
  assert.equal(checkHistory(history).status, "ok");
  assert.equal(historyOf([]).count, 0);
});
