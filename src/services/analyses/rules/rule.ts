import type { FileFacts, FileText, ProjectFacts } from "../measure/types.ts";
import type { LanguageName } from "../measure/languages.ts";

/** From worst to mildest. */
export const severities = ["critical", "high", "medium", "low", "info"] as const;
export type Severity = (typeof severities)[number];

export const categories = [
  "security",
  "reliability",
  "maintainability",
  "testing",
  "operations",
] as const;
export type Category = (typeof categories)[number];

/** A place at which a rule fires. */
export interface Hit {
  file: string;
  lineStart: number;
  lineEnd?: number;
  /** What was seen there; without it, the line itself. */
  evidence?: string;
}

export interface Rule {
  /** Begins with the id of a readiness check ("CT-02-…") where it is evidence for one. */
  id: string;
  category: Category;
  severity: Severity;
  title: string;
  explanation: string;
  suggestion: string;
  file?: (file: FileFacts, text: FileText) => Hit[];
  project?: (project: ProjectFacts) => Hit[];
}

export interface LineRule {
  languages?: readonly LanguageName[];
  /** Which files, by path. */
  files?: RegExp;
  pattern: RegExp;
  /** A line that also says this is let go. */
  unless?: RegExp;
  /**
   * raw: all; code: without comments; bare: without the insides of strings too; both: with comments
   * and without them, so that neither a comment matches nor what holds one.
   */
  on?: "raw" | "code" | "bare" | "both";
  /** Whether tests are looked at; else they are not. */
  tests?: "too" | "only";
}

/** Longer lines are generated or hostile; no expression is run on them. */
const lineCharsAtMost = 1_000;
const hitsPerFile = 100;

/** A rule that looks at each line by itself. */
export function onLines(spec: LineRule): NonNullable<Rule["file"]> {
  return (file, text) => {
    const { languages, files, tests } = spec;
    if (languages && !(file.language && languages.includes(file.language))) return [];
    if (files && !files.test(file.path)) return [];
    if (tests === "only" ? !file.isTest : tests !== "too" && file.isTest) return [];
    const hits: Hit[] = [];
    const lines = text[spec.on === "both" ? "raw" : (spec.on ?? "code")];
    for (let at = 0; at < lines.length && hits.length < hitsPerFile; at += 1) {
      const line = lines[at] as string;
      if (line === "" || line.length > lineCharsAtMost || !spec.pattern.test(line)) continue;
      if (spec.unless?.test(line)) continue;
      if (spec.on === "both" && !spec.pattern.test(text.bare[at] ?? "")) continue;
      hits.push({ file: file.path, lineStart: at + 1 });
    }
    return hits;
  };
}

/** Several expressions, any of which fires; a line counts once. */
export function onAny(...specs: readonly LineRule[]): NonNullable<Rule["file"]> {
  const each = specs.map(onLines);
  return (file, text) => {
    const hits = new Map<number, Hit>();
    for (const look of each) for (const hit of look(file, text)) hits.set(hit.lineStart, hit);
    return [...hits.values()].sort((a, b) => a.lineStart - b.lineStart);
  };
}

/** Expressions as one that matches what any of them does; they have the same flags. */
export const any = (...patterns: readonly RegExp[]): RegExp =>
  new RegExp(patterns.map(({ source }) => `(?:${source})`).join("|"), patterns[0]?.flags);

/** Whether any line of a file says something. */
export const says = (lines: readonly string[], pattern: RegExp): boolean =>
  lines.some((line) => line.length <= lineCharsAtMost && pattern.test(line));

export const script: readonly LanguageName[] = ["TypeScript", "TSX", "JavaScript", "Vue"];
export const programs: readonly LanguageName[] = [
  ...script,
  "Python",
  "Go",
  "Java",
  "Rust",
  "C#",
  "PHP",
  "Ruby",
  "Kotlin",
];
