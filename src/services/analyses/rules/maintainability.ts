import { isProse } from "../measure/languages.ts";
import type { FileFacts, FunctionFacts } from "../measure/types.ts";
import { any, type Hit, onAny, onLines, programs, type Rule } from "./rule.ts";

const complexAbove = 15;
const veryComplexAbove = 30;
const longFunctionLines = 100;
const parametersAtMost = 7;
const nestingAtMost = 5;
const longFileLines = 1_000;

/** Functions outside of tests that are too much of something. */
const functions =
  (isTooMuch: (one: FunctionFacts) => boolean, say: (one: FunctionFacts) => string) =>
  (file: FileFacts): Hit[] =>
    file.isTest
      ? []
      : (file.tree?.functions ?? []).filter(isTooMuch).map((one) => ({
          file: file.path,
          lineStart: one.line,
          lineEnd: one.endLine,
          evidence: `${one.name}: ${say(one)}`,
        }));

/** What makes the next change slow. */
export const maintainabilityRules: readonly Rule[] = [
  {
    id: "complexity-cyclomatic",
    category: "maintainability",
    severity: "medium",
    title: "A function has many paths",
    explanation: "Each path wants a test; above 15 few functions have them all.",
    suggestion: "Split it by what it decides.",
    file: functions(
      ({ cyclomatic }) => cyclomatic > complexAbove && cyclomatic <= veryComplexAbove,
      ({ cyclomatic }) => `cyclomatic complexity ${cyclomatic}`,
    ),
  },
  {
    id: "complexity-extreme",
    category: "maintainability",
    severity: "high",
    title: "A function has more paths than anybody tests",
    explanation: "Above 30 paths, changes break what nobody thought of.",
    suggestion: "Split it by what it decides, starting with the deepest branch.",
    file: functions(
      ({ cyclomatic }) => cyclomatic > veryComplexAbove,
      ({ cyclomatic }) => `cyclomatic complexity ${cyclomatic}`,
    ),
  },
  {
    id: "complexity-cognitive",
    category: "maintainability",
    severity: "medium",
    title: "A function is hard to follow",
    explanation: "Branches within branches have to be kept in mind all at once.",
    suggestion: "Return early, and name inner steps.",
    file: functions(
      ({ cognitive }) => cognitive > complexAbove,
      ({ cognitive }) => `cognitive complexity ${cognitive}`,
    ),
  },
  {
    id: "function-long",
    category: "maintainability",
    severity: "low",
    title: "A function is long",
    explanation: "What does not fit on a screen is not read as a whole.",
    suggestion: "Give its steps names and functions of their own.",
    file: functions(
      ({ line, endLine }) => endLine - line + 1 > longFunctionLines,
      ({ line, endLine }) => `${endLine - line + 1} lines`,
    ),
  },
  {
    id: "parameters-many",
    category: "maintainability",
    severity: "low",
    title: "A function takes many parameters",
    explanation: "Callers mix them up, and each new wish adds one more.",
    suggestion: "Pass one object with named members.",
    file: functions(
      ({ parameters }) => parameters > parametersAtMost,
      ({ parameters }) => `${parameters} parameters`,
    ),
  },
  {
    id: "nesting-deep",
    category: "maintainability",
    severity: "low",
    title: "Code is nested deeply",
    explanation: "The innermost line depends on every condition around it.",
    suggestion: "Turn conditions around and return early.",
    file: functions(
      ({ nesting }) => nesting > nestingAtMost,
      ({ nesting }) => `${nesting} levels deep`,
    ),
  },
  {
    id: "file-giant",
    category: "maintainability",
    severity: "medium",
    title: "A file is very long",
    explanation: "Many reasons to change meet in it, and so do the people who change it.",
    suggestion: "Split it by subject.",
    file: ({ path, language, lines }) =>
      !isProse(language) && lines.code > longFileLines
        ? [{ file: path, lineStart: 1, evidence: `${lines.code} lines of code` }]
        : [],
  },
  {
    id: "duplicated-code",
    category: "maintainability",
    severity: "low",
    title: "Code stands twice",
    explanation: "A fault mended in one place stays in the other.",
    suggestion: "Move it to one place that both use.",
    project: ({ clones }) =>
      clones.map((clone) => ({
        file: clone.file,
        lineStart: clone.line,
        lineEnd: clone.endLine,
        evidence: `${clone.tokens} tokens as in ${clone.otherFile}:${clone.otherLine}`,
      })),
  },
  {
    id: "file-unused",
    category: "maintainability",
    severity: "low",
    title: "Nothing imports a file",
    explanation: "Code that nobody runs is still read, changed and searched.",
    suggestion: "Remove it, or name it where it is started.",
    project: ({ files, unreferenced }) => {
      const byPath = new Map(files.map((file) => [file.path, file]));
      return unreferenced
        .filter((path) => {
          const file = byPath.get(path);
          return file && file.lines.code > 0 && !file.isTest && !isEntry(path);
        })
        .map((path) => ({ file: path, lineStart: 1, evidence: "no import leads to it" }));
    },
  },
  {
    id: "hotspot",
    category: "maintainability",
    severity: "medium",
    title: "A complex file changes all the time",
    explanation: "Where complexity and change meet, most faults are made.",
    suggestion: "Simplify this file first.",
    project: ({ hotspots }) =>
      hotspots
        .filter(({ commits, complexity }) => commits >= 10 && complexity >= 100)
        .map(({ file, commits, complexity }) => ({
          file,
          lineStart: 1,
          evidence: `changed in ${commits} commits, cyclomatic complexity ${complexity}`,
        })),
  },
  {
    id: "left-for-later",
    category: "maintainability",
    severity: "info",
    title: "Something was left for later",
    explanation: "A note in the code is seen by nobody who plans.",
    suggestion: "Do it, or write it down where work is planned.",
    file: onLines({
      languages: programs,
      on: "raw",
      pattern: /(\/\/|#|\*)\s*(TODO|FIXME|HACK|XXX)\b/,
      tests: "too",
    }),
  },
  {
    id: "file-huge",
    category: "maintainability",
    severity: "medium",
    title: "A very big file is committed",
    explanation: "Every clone carries it for ever, in each of its versions.",
    suggestion: "Keep it where files are kept, and fetch it when it is needed.",
    project: ({ files }) =>
      files
        .filter(({ kind }) => kind === "large")
        .map(({ path, sizeBytes }) => ({
          file: path,
          lineStart: 1,
          evidence: `${(sizeBytes / 2 ** 20).toFixed(1)} MiB`,
        })),
  },
  {
    id: "test-missing",
    category: "testing",
    severity: "high",
    title: "There are no tests",
    explanation: "Nothing tells whether a change has broken something.",
    suggestion: "Begin with a test of what the project is for.",
    project: ({ files }) => {
      const code = files.filter(({ language }) => language && programs.includes(language));
      const lines = code.reduce((sum, each) => sum + each.lines.code, 0);
      if (lines < 20 || code.some(({ isTest }) => isTest)) return [];
      const file = code[0]?.path ?? "";
      return [{ file, lineStart: 1, evidence: `${code.length} files of code, none of tests` }];
    },
  },
  {
    id: "DV-02-test-focused",
    category: "testing",
    severity: "high",
    title: "One test silences the others",
    explanation: "With only, the rest of the suite is not run and still looks green.",
    suggestion: "Remove it.",
    file: onLines({
      languages: ["TypeScript", "TSX", "JavaScript"],
      on: "bare",
      tests: "only",
      pattern: /\b(describe|it|test|suite|context)\.only\(|(^|\s)(fdescribe|fit)\(/,
    }),
  },
  {
    id: "DV-02-test-skipped",
    category: "testing",
    severity: "low",
    title: "A test is not run",
    explanation: "A skipped test is no evidence, and is seldom taken up again.",
    suggestion: "Mend it or remove it.",
    file: onAny(
      {
        languages: ["TypeScript", "TSX", "JavaScript"],
        on: "bare",
        tests: "only",
        pattern: /\b(describe|it|test|suite)\.(skip|todo)\(|(^|\s)(xit|xdescribe)\(/,
      },
      { languages: ["Python"], tests: "only", pattern: /@(pytest\.mark|unittest)\.skip\b/ },
      { languages: ["Java", "Kotlin"], tests: "only", pattern: /^\s*@(Ignore|Disabled)\b/ },
      { languages: ["Go"], tests: "only", pattern: /\bt\.Skip(Now|f)?\(/ },
      { languages: ["Rust"], tests: "too", pattern: /^\s*#\[ignore\b/ },
    ),
  },
  {
    id: "test-sleeps",
    category: "testing",
    severity: "low",
    title: "A test waits for time to pass",
    explanation: "It is slow where all is well and fails where a machine is busy.",
    suggestion: "Wait for the event, or hold the clock.",
    file: onLines({
      languages: programs,
      on: "bare",
      tests: "only",
      pattern: any(
        /\btime\.[sS]leep\(|\bThread\.sleep\(|\bthread::sleep\(|=>\s*setTimeout\(\s*\w+,\s*\d/,
        /Task\.Delay\(|(^|\s)sleep[\s(]\d/,
      ),
    }),
  },
];

const entryNames = any(
  /(^|\/)(index|main|app|server|cli|manage|wsgi|asgi|setup|conftest|vite-env)\.\w+$/,
  /(^|\/)(__init__|__main__|[\w.-]+\.config|[\w.-]+\.d|fixture)\.\w+$/,
  /(^|\/)(bin|scripts?|tools|bench|chaos|examples?|pages|app|migrations)\//,
  /(^|\/)(fixtures?|public|assets|static|docs|testing)\//,
);

/** Where programs begin, and what is found by its place instead of an import. */
const isEntry = (path: string): boolean => entryNames.test(path);
