import { readFile, writeFile } from "node:fs/promises";
import { relative } from "node:path";
import type { Analysis, Finding, Score } from "../services/analyses/rules/result.ts";
import type { Severity } from "../services/analyses/rules/rule.ts";
import { CommandError, ProgramExit, UsageError } from "./errors.ts";
import type { Output, Style } from "./output.ts";
import { formatTable } from "./table.ts";
import { oneLine } from "./text.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const severityNames = ["critical", "high", "medium", "low", "info"] as const;
const barColumns = 20;
const rulesShown = 30;
const languagesShown = 8;

const run: CommandSpec = {
  name: "run <path>",
  summary: "measure and review a local folder, without a server",
  options: [
    { flags: "--sarif <file>", summary: "write the findings in SARIF 2.1.0" },
    { flags: "--html <file>", summary: "write a report, in one file" },
    { flags: "--markdown <file>", summary: "write a report in Markdown" },
    { flags: "--badge <file>", summary: "write a badge with the overall score, in SVG" },
    { flags: "--base <file>", summary: "compare with an earlier result of --json" },
    {
      flags: "--fail-on <severity>",
      summary: "exit with 1 when there is a finding this severe or worse; with --base a new one",
      choices: severityNames,
    },
  ],
  help:
    "Nothing in the folder is run, and no link in it is followed.\n" +
    "Exit codes: 0 done, 1 --fail-on has found something, 2 the folder can't be read.",
  run: runAnalysis,
};

export const analysesCommands: readonly CommandSpec[] = [run];

async function runAnalysis({ args, options, out, surroundings }: Invocation): Promise<void> {
  const folder = args[0] ?? ".";
  const base = typeof options.base === "string" ? await findingsOf(options.base) : null;
  const analysis = await analysed(folder, out, surroundings.env.PATH ?? "");
  const written = await writeAll(analysis, options);
  const { compareFindings } = await import("../services/analyses/rules/compare.ts");
  const comparison = base && compareFindings(base, analysis.findings);
  out.result(comparison ? { ...analysis, comparison } : analysis, () => {
    tell(out, analysis, folder);
    if (!comparison) return;
    const { new: added, gone, carried } = comparison;
    out.line(`\n${added.length} new, ${gone.length} gone, ${carried.length} as before.`);
  });
  for (const path of written) out.success(`Wrote ${path}`);
  const failOn = severityNames.indexOf(options.failOn as Severity);
  const isWorse = ({ severity }: Finding) => severityNames.indexOf(severity) <= failOn;
  if (failOn >= 0 && (comparison?.new ?? analysis.findings).some(isWorse)) throw new ProgramExit(1);
}

/** The findings of an earlier result; only their fingerprints are compared. */
async function findingsOf(path: string): Promise<Finding[]> {
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new UsageError(`${oneLine(path)} can't be read: ${error.message}`);
  });
  try {
    const { findings } = JSON.parse(text) as Partial<Analysis>;
    if (Array.isArray(findings)) return [...findings];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new UsageError(`${oneLine(path)} is no result of plimsoll analyses run --json.`);
}

async function analysed(folder: string, out: Output, path: string): Promise<Analysis> {
  const { analyseFolder } = await import("../services/analyses/measure/analyse.ts");
  const progress = out.progress("Reading files", 1);
  const everyFiles = 50;
  try {
    return await analyseFolder(folder, {
      path,
      onProgress: (done, total) => {
        if (done % everyFiles === 0) progress.update(done / total, `${done} of ${total}`);
      },
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "there is no such folder",
      ENOTDIR: "it is no folder",
      EACCES: "you may not read it",
      EPERM: "you may not read it",
      ELOOP: "its links lead in a circle",
      ENAMETOOLONG: "the name is too long",
    };
    const reason = reasons[code ?? ""];
    if (reason === undefined) throw error;
    throw new UsageError(`${oneLine(folder)} can't be read: ${reason} (${code}).`);
  } finally {
    progress.end();
  }
}

async function writeAll(analysis: Analysis, options: Invocation["options"]): Promise<string[]> {
  const written: string[] = [];
  const write = async (path: unknown, make: () => Promise<string>) => {
    if (typeof path !== "string") return;
    const text = await make();
    await writeFile(path, text).catch((error: Error) => {
      throw new CommandError(`${path} could not be written: ${error.message}`);
    });
    written.push(path);
  };
  await write(options.sarif, async () => {
    const { sarifOf } = await import("../services/analyses/documents/sarif.ts");
    return `${JSON.stringify(sarifOf(analysis), null, 2)}\n`;
  });
  await write(options.html, async () => {
    return (await import("../services/analyses/documents/page.ts")).reportPage(analysis);
  });
  await write(options.markdown, async () => {
    return (await import("../services/analyses/documents/markdown.ts")).markdownOf(analysis);
  });
  await write(options.badge, async () => {
    return (await import("../services/analyses/documents/badge.ts")).badgeOf(analysis);
  });
  return written;
}

const styleOf: Readonly<Record<Severity, Style>> = {
  critical: "red",
  high: "red",
  medium: "yellow",
  low: "cyan",
  info: "dim",
};

const figure = (value: number): string => value.toLocaleString("en");

function tell(out: Output, analysis: Analysis, folder: string): void {
  const { repository, commit, metrics, findings, scores } = analysis;
  const at = commit ? ` at ${commit.slice(0, 12)}` : "";
  const name = oneLine(repository.name || relative("..", folder));
  out.line(
    `${out.paint("bold", name)}${at}: ${figure(metrics.files)} files, ` +
      `${figure(metrics.lines.code)} lines of code, ${figure(metrics.functions)} functions, ` +
      `${figure(findings.length)} findings`,
  );
  if (!metrics.isComplete) {
    out.line(out.paint("yellow", "Not everything was looked at: --json says what was left out."));
  }
  out.line("");
  for (const [score, each] of Object.entries(scores)) out.line(scoreLine(out, score, each));
  tellLanguages(out, analysis);
  tellFindings(out, findings);
}

function scoreLine(out: Output, name: string, { value, terms }: Score): string {
  const filled = Math.round(((value ?? 0) / 100) * barColumns);
  const bar = "█".repeat(filled) + "░".repeat(barColumns - filled);
  const style = value === null ? "dim" : value >= 80 ? "green" : value >= 50 ? "yellow" : "red";
  const most = name === "overall" ? "" : (terms[0]?.what ?? "");
  const text = `${name.padEnd(16)}${out.paint(style, bar)} ${String(value ?? "–").padStart(3)}`;
  return most ? `${text}  ${out.paint("dim", oneLine(most))}` : text;
}

function tellLanguages(out: Output, { metrics }: Analysis): void {
  const rows = metrics.languages.slice(0, languagesShown).map(({ language, files, lines }) => ({
    language,
    files: figure(files),
    code: figure(lines.code),
    comment: figure(lines.comment),
    blank: figure(lines.blank),
  }));
  if (rows.length === 0) return;
  const amounts = ["files", "code", "comment", "blank"].map((title) => {
    return { title, value: title, isAmount: true as const };
  });
  const columns = [{ title: "language", value: "language" }, ...amounts];
  out.line("");
  const heading = (text: string) => out.paint("bold", text);
  for (const line of formatTable(columns, rows, { heading })) out.line(line);
}

/** One line per rule, worst first, with the first place; --json has them all. */
function tellFindings(out: Output, findings: readonly Finding[]): void {
  out.line("");
  if (findings.length === 0) return out.line("Nothing was found.");
  const groups = [...Map.groupBy(findings, ({ ruleId }) => ruleId).values()];
  for (const members of groups.slice(0, rulesShown)) {
    const [{ severity, ruleId, title, file, lineStart }] = members as [Finding];
    const many = members.length === 1 ? "" : ` and ${figure(members.length - 1)} more`;
    out.line(
      `${out.paint(styleOf[severity], severity.padEnd(8))} ${title} ` +
        out.paint("dim", `${oneLine(file)}:${lineStart}${many} (${ruleId})`),
    );
  }
  const rest = groups.length - rulesShown;
  if (rest > 0) out.line(out.paint("dim", `and findings of ${rest} more rules: --json`));
}
