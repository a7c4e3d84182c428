import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { simulate } from "../src/services/consistency/fixtures/simulation.ts";
import { createHistoryReader } from "../src/services/consistency/formats/read.ts";
import { checkHistory } from "../src/services/consistency/rules/check.ts";
import type { History } from "../src/services/consistency/rules/history.ts";
import { isCertified } from "../src/services/consistency/rules/certificate.ts";
import { type Prepared, prepare } from "../src/services/consistency/rules/prepared.ts";
import { checkStrong, searchKeys, usualLimits } from "../src/services/consistency/rules/strong.ts";
import { findZoneConflicts, markReads } from "../src/services/consistency/rules/zones.ts";
import { line } from "./load.ts";

/**
 * What checking a history costs: NDJSON read and held to every level, and the ways to
 * linearizability beside each other. Histories are of a simulated store that keeps its promises, 50
 * clients asking for all levels in turn. The best of the rounds counts; the processor's time is
 * that of the whole process, the garbage collector's threads included.
 *
 *   npm run bench -- consistency [--rounds 3] [--no-million]
 */
const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    million: { type: "boolean", default: true },
  },
  allowNegative: true,
});
const rounds = Number(args.rounds);
const chunkChars = 2 ** 20;
const levels = ["strong", "bounded", "session", "eventual"] as const;

interface Cost {
  wallMs: number;
  cpuMs: number;
}

/** The least that it cost in any round. */
function best(work: () => void): Cost {
  const least: Cost = { wallMs: Number.POSITIVE_INFINITY, cpuMs: Number.POSITIVE_INFINITY };
  for (let round = 0; round < rounds; round += 1) {
    const startMs = performance.now();
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    least.wallMs = Math.min(least.wallMs, performance.now() - startMs);
    least.cpuMs = Math.min(least.cpuMs, (user + system) / 1_000);
  }
  return least;
}

function ndjsonOf(operations: number, keys: number): string[] {
  const head = { history: 1, maxStalenessMs: 50, maxStalenessVersions: 1_000 };
  const plan = { seed: 1, operations, clients: 50, keys, levels, hasFinals: true };
  const chunks: string[] = [];
  let chunk = `${JSON.stringify(head)}\n`;
  for (const operation of simulate(plan)) {
    chunk += `${JSON.stringify(operation)}\n`;
    if (chunk.length < chunkChars) continue;
    chunks.push(chunk);
    chunk = "";
  }
  return [...chunks, chunk];
}

function read(chunks: readonly string[]): History {
  const reader = createHistoryReader();
  for (const chunk of chunks) reader.push(chunk);
  return reader.end().history;
}

const ms = (amount: number) => `${Math.round(amount)} ms`;

function tell(name: string, { wallMs, cpuMs }: Cost, target = ""): void {
  line(name, ms(wallMs), `${target}${target ? "; " : ""}processor ${ms(cpuMs)}`);
}

function wholeChecks(operations: number, keys: number, targetMs: number): void {
  const chunks = ndjsonOf(operations, keys);
  const what = `${operations.toLocaleString("en")} operations`;
  const check = () => {
    const report = checkHistory(read(chunks));
    if (report.status !== "ok") throw new Error(`${what}: ${JSON.stringify(report.claims)}`);
  };
  const isKept = best(check);
  tell(`${what}, ${keys} keys, parsed and held to all levels`, isKept, `< ${ms(targetMs)}`);
  tell(
    `${what}, of it reading NDJSON`,
    best(() => void read(chunks)),
  );
}

/** The search alone, which is what other models than registers need. */
function search(prepared: Prepared, keys: readonly number[]): string {
  const { isRead } = markReads(prepared);
  return searchKeys(prepared, keys, isRead, { checked: 0, limits: usualLimits }).status;
}

function linearizability(operations: number, keys: number): void {
  const plan = { seed: 2, operations, clients: 50, keys, levels: ["strong"] as const };
  const history = read([
    simulate(plan)
      .map((one) => JSON.stringify(one))
      .join("\n"),
  ]);
  const prepared = prepare(history);
  const all = history.keys.map((_, key) => key);
  const every = new Uint8Array(all.length).fill(1);
  const ofKeys = keys === 1 ? "1 key" : `${keys} keys`;
  const what = `${operations.toLocaleString("en")} operations, ${ofKeys}`;
  const { isRead } = markReads(prepared);
  tell(
    `${what}: sorted and linked`,
    best(() => void prepare(history)),
  );
  tell(
    `${what}: zones`,
    best(() => void findZoneConflicts(prepared, isRead, every)),
  );
  tell(
    `${what}: versions as certificate`,
    best(() => {
      if (!all.every((key) => isCertified(prepared, key, isRead))) throw new Error("not certified");
    }),
  );
  let status = "";
  const cost = best(() => {
    status = search(prepared, all);
  });
  tell(`${what}: search (${status})`, cost);
}

function corpus(): void {
  const folder = new URL("../src/services/consistency/fixtures/porcupine/", import.meta.url);
  const labels = JSON.parse(readFileSync(new URL("labels.json", folder), "utf8"));
  const text = gunzipSync(readFileSync(new URL("histories.txt.gz", folder))).toString("utf8");
  const parts = text.split(/^=== /m).slice(1);
  let right = 0;
  const cost = best(() => {
    right = 0;
    for (const part of parts) {
      const name = part.slice(0, part.indexOf("\n"));
      if (labels[name] === undefined) continue;
      const { status } = checkStrong(prepare(read([part.slice(name.length + 1)])));
      if ((status === "ok") === labels[name]) right += 1;
    }
  });
  const all = Object.keys(labels).length;
  tell(`Porcupine's histories, ${right} of ${all} judged right`, cost, "< 3000 ms");
}

wholeChecks(100_000, 100, 1_000);
if (args.million) wholeChecks(1_000_000, 1_000, 8_000);
linearizability(100_000, 100);
linearizability(100_000, 1);
corpus();
