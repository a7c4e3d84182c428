import type { LanguageName } from "./languages.ts";

export interface LineCounts {
  code: number;
  comment: number;
  blank: number;
}

export interface FunctionFacts {
  name: string;
  line: number;
  endLine: number;
  cyclomatic: number;
  cognitive: number;
  parameters: number;
  /** How deep its deepest branch or loop lies. */
  nesting: number;
}

/** What a syntax tree says of a file. */
export interface TreeFacts {
  functions: FunctionFacts[];
  classes: number;
  cyclomatic: number;
  cognitive: number;
  hasSyntaxErrors: boolean;
}

export interface Secret {
  line: number;
  kind: string;
}

/** What stays of a file after it was read. */
export interface FileFacts {
  /** From the folder's root, with slashes. */
  path: string;
  sizeBytes: number;
  kind: "text" | "binary" | "large";
  language: LanguageName | null;
  isTest: boolean;
  lines: LineCounts;
  /** Null where no grammar reads the language, or the parser gave up. */
  tree: TreeFacts | null;
  /** As written, of TypeScript, JavaScript and Python. */
  imports: readonly string[];
  /** Of what only types are imported. */
  typeImports: readonly string[];
  secrets: readonly Secret[];
  /** Names that its code mentions of those that project rules ask for. */
  traits: readonly string[];
}

/** A file's text by line while its rules run; columns are the same in all three. */
export interface FileText {
  raw: readonly string[];
  /** Comments are blanks. */
  code: readonly string[];
  /** Comments and the insides of strings are blanks. */
  bare: readonly string[];
}

export interface Clone {
  file: string;
  line: number;
  endLine: number;
  otherFile: string;
  otherLine: number;
  otherEndLine: number;
  tokens: number;
}

export interface Manifest {
  file: string;
  ecosystem: string;
  dependencies: number;
  lockfile: string | null;
}

export interface Hotspot {
  file: string;
  commits: number;
  changedLines: number;
  complexity: number;
  score: number;
}

export interface Evidence {
  name: string;
  kind: "framework" | "pattern";
  evidence: readonly string[];
}

/** What project rules decide on: facts without the text of files. */
export interface ProjectFacts {
  files: readonly FileFacts[];
  /** Paths of folders that were left out, with why. */
  leftOut: readonly { path: string; why: string }[];
  clones: readonly Clone[];
  cycles: readonly (readonly string[])[];
  /** Files of the import graph that nothing imports. */
  unreferenced: readonly string[];
  hotspots: readonly Hotspot[];
  manifests: readonly Manifest[];
  evidence: readonly Evidence[];
}

export interface Metrics {
  files: number;
  textFiles: number;
  binaryFiles: number;
  largeFiles: number;
  testFiles: number;
  bytes: number;
  lines: LineCounts;
  languages: { language: string; files: number; lines: LineCounts }[];
  functions: number;
  classes: number;
  cyclomatic: { total: number; mean: number; highest: number; over15: number };
  cognitive: { total: number; mean: number; highest: number; over15: number };
  parsedFiles: number;
  unparsedFiles: number;
  duplication: { clones: number; lines: number; share: number; isComplete: boolean };
  imports: { edges: number; cycles: number };
  hotspots: readonly Hotspot[];
  historyCommits: number | null;
  manifests: readonly Manifest[];
  evidence: readonly Evidence[];
  /** What was not looked at, and why. */
  leftOut: readonly { path: string; why: string }[];
  /** False when a limit ended the walk. */
  isComplete: boolean;
}
