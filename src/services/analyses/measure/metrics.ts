import type { Duplication } from "./duplication.ts";
import type { Churn } from "./history.ts";
import { isProse } from "./languages.ts";
import type { FileFacts, LineCounts, Metrics, ProjectFacts } from "./types.ts";

interface Further {
  edges: number;
  churn: Churn | null;
  isComplete: boolean;
}

const high = 15;

/** The figures of a project, from the facts of its files. */
export function metricsOf(
  project: ProjectFacts,
  duplication: Duplication,
  { edges, churn, isComplete }: Further,
): Metrics {
  const { files, hotspots, manifests, evidence, leftOut, cycles } = project;
  const texts = files.filter(({ kind }) => kind === "text");
  const trees = texts.flatMap(({ tree }) => (tree ? [tree] : []));
  const functions = trees.flatMap((tree) => tree.functions);
  const ownCode = files.filter(({ language, isTest }) => !isProse(language) && !isTest);
  const codeLines = ownCode.reduce((sum, { lines }) => sum + lines.code, 0);
  return {
    files: files.length,
    textFiles: texts.length,
    binaryFiles: files.filter(({ kind }) => kind === "binary").length,
    largeFiles: files.filter(({ kind }) => kind === "large").length,
    testFiles: files.filter(({ isTest, language }) => isTest && !isProse(language)).length,
    bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    lines: sumLines(texts),
    languages: languagesOf(texts),
    functions: functions.length,
    classes: trees.reduce((sum, { classes }) => sum + classes, 0),
    cyclomatic: spread(functions.map(({ cyclomatic }) => cyclomatic)),
    cognitive: spread(functions.map(({ cognitive }) => cognitive)),
    parsedFiles: trees.length,
    unparsedFiles: texts.filter(({ language, tree }) => !tree && !isProse(language)).length,
    duplication: {
      clones: duplication.clones.length,
      lines: duplication.lines,
      share: codeLines === 0 ? 0 : round(Math.min(1, duplication.lines / codeLines)),
      isComplete: duplication.isComplete,
    },
    imports: { edges, cycles: cycles.length },
    hotspots,
    historyCommits: churn?.commits ?? null,
    manifests,
    evidence,
    leftOut,
    isComplete,
  };
}

function sumLines(files: readonly FileFacts[]): LineCounts {
  const sum = { code: 0, comment: 0, blank: 0 };
  for (const { lines } of files) {
    sum.code += lines.code;
    sum.comment += lines.comment;
    sum.blank += lines.blank;
  }
  return sum;
}

function languagesOf(files: readonly FileFacts[]): Metrics["languages"] {
  const groups = Map.groupBy(files, ({ language }) => language ?? "Other text");
  return [...groups]
    .map(([language, members]) => ({
      language,
      files: members.length,
      lines: sumLines(members),
    }))
    .sort((a, b) => b.lines.code - a.lines.code || (a.language < b.language ? -1 : 1));
}

function spread(values: readonly number[]): Metrics["cyclomatic"] {
  const total = values.reduce((sum, value) => sum + value, 0);
  return {
    total,
    mean: values.length === 0 ? 0 : round(total / values.length),
    highest: values.reduce((most, value) => Math.max(most, value), 0),
    over15: values.filter((value) => value > high).length,
  };
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;
