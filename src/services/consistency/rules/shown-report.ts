import type { ShownReport, ShownVerdict } from "../schemas/checks.ts";
import { checkNames, type Report } from "./check.ts";
import type { Verdict } from "./verdict.ts";

const operationsMost = 50;
const wordsMost = 4_000;

/** A report as answers and rows have it: in words, operations by their ids. */
export function shownReport(report: Report): ShownReport {
  const { operations, keys, sessions, strongest, claims, checks, staleness, lost } = report;
  return {
    operations,
    keys,
    sessions,
    strongest: { level: strongest.level, words: strongest.sentence },
    claims: claims.map(({ name, verdict }) => shownVerdict(name, verdict)),
    checks: checkNames.map((name) => shownVerdict(name, checks[name])),
    staleReads: staleness.staleReads,
    mostVersionsStale: staleness.mostVersions,
    mostMsStale: Number.isFinite(staleness.mostMs) ? staleness.mostMs : null,
    lostWrites: lost.count,
  };
}

function shownVerdict(name: string, verdict: Verdict): ShownVerdict {
  const { status, checked } = verdict;
  const witness = verdict.status === "violation" ? verdict.witness : null;
  return {
    name,
    status,
    checked,
    words: wordsOf(verdict).slice(0, wordsMost),
    operations: witness?.operations.slice(0, operationsMost) ?? [],
    key: witness?.key ?? null,
  };
}

function wordsOf(verdict: Verdict): string {
  if (verdict.status === "violation") return verdict.witness.sentence;
  if (verdict.status === "unknown") return `Not decided: ${verdict.reason}.`;
  const { checked } = verdict;
  if (checked === 0) return "Nothing to check.";
  return `Kept by ${checked} operation${checked === 1 ? "" : "s"}.`;
}

/** A check of which a part was left out proves no more than a violation. */
export const statusOfPart = (
  status: ShownVerdict["status"],
  isWhole: boolean,
): ShownVerdict["status"] => (status === "ok" && !isWhole ? "unknown" : status);
