import type { Metrics } from "../measure/types.ts";
import type { Finding, Score, Scores, Term } from "./result.ts";
import type { Category, Severity } from "./rule.ts";

/** What one finding takes from a score; each further one of its rule half of the one before. */
const weights: Readonly<Record<Severity, number>> = {
  critical: 25,
  high: 10,
  medium: 4,
  low: 1,
  info: 0,
};

const clamp = (value: number): number => Math.max(0, Math.min(100, Math.round(value)));
const tenth = (value: number): number => Math.round(value * 10) / 10;

/**
 * Scores are 100 less what their terms take, between 0 and 100. A rule takes the weight of its
 * severity for its first finding and half as much for each further one, so that no rule takes more
 * than twice its weight. A project without code has no scores. What a model says changes none.
 */
export function scoresOf(metrics: Metrics, findings: readonly Finding[]): Scores {
  const ruled = findings.filter(({ origin }) => origin === "rule");
  const of = (...categories: Category[]) =>
    termsOf(ruled.filter(({ category }) => categories.includes(category)));
  const readiness = ruled.filter(({ ruleId }) => /^[A-Z]{2}-\d{2}-/.test(ruleId));
  const hasCode = metrics.functions > 0 || metrics.languages.some(({ lines }) => lines.code > 0);
  const made = {
    maintainability: score("100 − complexity − duplication − findings of maintainability", [
      ...complexityTerms(metrics),
      ...of("maintainability"),
    ]),
    reliability: score("100 − findings of reliability and testing", [
      ...of("reliability", "testing"),
    ]),
    security: score("100 − findings of security", of("security")),
    scalability: score("100 − findings of operations − hotspots", [
      ...of("operations"),
      ...hotspotTerms(metrics),
    ]),
    readiness: score("100 − findings that readiness checks share", termsOf(readiness)),
  };
  const none: Score = { value: null, formula: "there is no code to judge", terms: [] };
  if (!hasCode) {
    return {
      maintainability: none,
      reliability: none,
      security: none,
      scalability: none,
      readiness: none,
      overall: none,
    };
  }
  return { ...made, overall: overall(made) };
}

function score(formula: string, terms: readonly Term[]): Score {
  const lost = terms.reduce((sum, { points }) => sum + points, 0);
  return { value: clamp(100 + lost), formula, terms };
}

function overall(parts: Readonly<Record<string, Score>>): Score {
  const named = Object.entries(parts);
  const terms = named.map(([what, { value }]) => ({
    what,
    points: tenth((value ?? 0) / named.length),
  }));
  const mean = named.reduce((sum, [, { value }]) => sum + (value ?? 0), 0) / named.length;
  return { value: clamp(mean), formula: "mean of the five scores", terms };
}

function termsOf(findings: readonly Finding[]): Term[] {
  const terms: Term[] = [];
  for (const [ruleId, members] of Map.groupBy(findings, (finding) => finding.ruleId)) {
    const weight = weights[(members[0] as Finding).severity];
    const points = 2 * weight * (1 - 0.5 ** members.length);
    if (points === 0) continue;
    terms.push({ what: `${ruleId} × ${members.length}`, points: -tenth(points) });
  }
  return terms.sort((a, b) => a.points - b.points);
}

/** Mean cognitive complexity above 5 takes 3 each, up to 20; duplication takes its share. */
function complexityTerms({ cognitive, duplication }: Metrics): Term[] {
  const terms: Term[] = [];
  const above = Math.min(20, Math.max(0, cognitive.mean - 5) * 3);
  if (above > 0) {
    terms.push({ what: `mean cognitive complexity ${cognitive.mean}`, points: -tenth(above) });
  }
  const copied = Math.min(20, duplication.share * 100);
  if (tenth(copied) > 0) {
    terms.push({ what: `duplicated ${tenth(duplication.share * 100)} %`, points: -tenth(copied) });
  }
  return terms;
}

function hotspotTerms({ hotspots }: Metrics): Term[] {
  const hot = hotspots.filter(({ commits, complexity }) => commits >= 10 && complexity >= 100);
  if (hot.length === 0) return [];
  return [{ what: `hotspots × ${hot.length}`, points: -Math.min(15, 3 * hot.length) }];
}
