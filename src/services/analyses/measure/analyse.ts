import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { createFindings, type FindingList } from "../rules/findings.ts";
import type { Analysis } from "../rules/result.ts";
import { scoresOf } from "../rules/scores.ts";
import { traitsOf } from "../rules/traits.ts";
import { type CloneFinder, createCloneFinder } from "./duplication.ts";
import { findEvidence } from "./evidence.ts";
import { type Churn, findHotspots, headCommit, readChurn } from "./history.ts";
import { aliasesOf, findCycles, importGraph, importsOf } from "./imports.ts";
import { isProse, languageNamed, languageOf } from "./languages.ts";
import { countLines, readLines } from "./lines.ts";
import { isManifest, readManifest } from "./manifests.ts";
import { metricsOf } from "./metrics.ts";
import { openTreeReader, type TreeReader } from "./parser.ts";
import { findSecrets } from "./secrets.ts";
import type { FileFacts, Manifest, ProjectFacts } from "./types.ts";
import { type Walked, type WalkedFile, type WalkLimits, walkFolder } from "./walk.ts";

export interface AnalyseOptions {
  /** Where programs are looked for: Git is one. */
  path: string;
  limits?: WalkLimits;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

interface Work {
  root: string;
  trees: TreeReader;
  clones: CloneFinder;
  findings: FindingList;
  manifests: Map<string, string>;
  unreviewed: { path: string; why: string }[];
  readBytesAtMost: number;
}

const manifestsAtMost = 500;
const reviewedCharsAtMost = 2 ** 20;
/** A link put in the place of a file after the walk is not followed, a pipe not waited for. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const testPaths = [
  /(^|\/)(tests?|__tests__|specs?)\//,
  /(^|[/_.-])(test|spec)s?\.[a-z]+$/,
  /(^|\/)test_[^/]+\.py$|_test\.(go|py|rb)$|Tests?\.(java|cs|php)$/,
];

/**
 * Analyses a folder without a server: walks it, reads each file once, and decides by the rules.
 * Holds one file's text at a time. Nothing in the folder is run, followed or believed. Throws what
 * the file system says when the folder itself can't be read, and the signal's reason.
 */
export async function analyseFolder(folder: string, options: AnalyseOptions): Promise<Analysis> {
  const walked = await walkFolder(folder, options.limits);
  const hash = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 32);
  const work: Work = {
    root: walked.root,
    trees: await openTreeReader(),
    clones: createCloneFinder(),
    findings: createFindings(hash),
    manifests: new Map(),
    unreviewed: [],
    readBytesAtMost: options.limits?.readBytesAtMost ?? 5 * 2 ** 20,
  };
  const files: FileFacts[] = [];
  try {
    for (const file of walked.files) {
      options.signal?.throwIfAborted();
      files.push(await readFile(work, file));
      options.onProgress?.(files.length, walked.files.length);
    }
  } finally {
    work.trees.close();
  }
  const churn = await readChurn(walked.root, options.path);
  const { project, duplication, edges } = projectFacts(work, walked, files, churn);
  work.findings.addProject(project);
  const metrics = metricsOf(project, duplication, { edges, churn, isComplete: walked.isComplete });
  const findings = work.findings.all();
  return {
    repository: { name: basename(resolve(folder)) },
    commit: await headCommit(walked.root, options.path),
    scores: scoresOf(metrics, findings),
    metrics,
    findings,
    findingsLeftOut: work.findings.leftOut(),
  };
}

async function readFile(work: Work, { path, sizeBytes }: WalkedFile): Promise<FileFacts> {
  const facts: FileFacts = {
    path,
    sizeBytes,
    kind: "large",
    language: null,
    isTest: testPaths.some((each) => each.test(path)),
    lines: { code: 0, comment: 0, blank: 0 },
    tree: null,
    imports: [],
    typeImports: [],
    secrets: [],
    traits: [],
  };
  if (sizeBytes > work.readBytesAtMost) return facts;
  const text = await readText(join(work.root, path), work.readBytesAtMost);
  if (text === null) return { ...facts, kind: "binary" };
  const language = languageOf(path, text.slice(0, 200).split("\n")[0] ?? "");
  const name = language?.name ?? null;
  const lines = readLines(text, language);
  const counted = { ...facts, kind: "text" as const, language: name, lines: countLines(lines) };
  if (text.length > reviewedCharsAtMost) {
    work.unreviewed.push({ path, why: "longer than 1 MB: lines are counted, nothing else" });
    return counted;
  }
  const isManifestFile = isManifest(path) && work.manifests.size < manifestsAtMost;
  if (isManifestFile) work.manifests.set(path, text);
  const grammar = name === null ? undefined : languageNamed(name).grammar;
  const read: FileFacts = {
    ...counted,
    tree: grammar ? await work.trees.read(text, grammar) : null,
    ...importsOf(name, lines.code),
    secrets: await findSecrets(path, text),
    traits: traitsOf(path, name, lines),
  };
  if (!isProse(name) && !read.isTest) work.clones.add(path, lines.code);
  work.findings.addFile(read, lines);
  return read;
}

/** A file's text; null when it is none: a zero byte, or no UTF-8. A file that went is empty. */
async function readText(path: string, bytesAtMost: number): Promise<string | null> {
  let bytes: Buffer;
  try {
    const handle = await open(path, openFlags);
    try {
      const buffer = Buffer.allocUnsafe(Math.min(bytesAtMost, (await handle.stat()).size) + 1);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
      bytes = buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return null;
  }
  if (bytes.subarray(0, 8_192).includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_ENCODING_INVALID_ENCODED_DATA") throw error;
    return null;
  }
}

function projectFacts(work: Work, walked: Walked, files: FileFacts[], churn: Churn | null) {
  const paths = files.map(({ path }) => path);
  const known = new Set(paths);
  const packageJson = work.manifests.get("package.json") ?? "{}";
  const aliases = aliasesOf(packageJson);
  const graph = importGraph(files, aliases);
  const named = files.map((file) => ({ ...file, imports: file.typeImports }));
  const imported = new Set(
    [graph, importGraph(named, aliases)].flatMap((each) => [...each.values()]).flat(),
  );
  const manifests: Manifest[] = [...work.manifests].map(([path, text]) =>
    readManifest(path, text, known),
  );
  const duplication = work.clones.find();
  const complexity = new Map(files.map(({ path, tree }) => [path, tree?.cyclomatic ?? 0]));
  const mentions = [...work.manifests.values()].join("\n");
  const project: ProjectFacts = {
    files,
    leftOut: [...walked.leftOut, ...work.unreviewed],
    clones: duplication.clones,
    cycles: findCycles(graph),
    unreferenced: [...graph.keys()].filter(
      (path) => !imported.has(path) && !mentions.includes(path.replace(/\.\w+$/, "")),
    ),
    hotspots: findHotspots(complexity, churn),
    manifests,
    evidence: findEvidence(paths, work.manifests),
  };
  const edges = [...graph.values()].reduce((sum, to) => sum + to.length, 0);
  return { project, duplication, edges };
}
