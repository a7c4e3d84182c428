// Runs the suite: one PostgreSQL for all files, as many files at once as there are processors, and
// node's own runner and report. See --help below for what it takes.
import { globSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { Readable } from "node:stream";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startTestCluster } from "../src/kernel/testing/database.ts";
import { chooseFiles, skippedReport, type SkippedTest } from "./test-report.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const watchdog = new URL("./test-watchdog.ts", import.meta.url).href;
const testTimeoutMs = 120_000;
/** Ends a file that spins without ever reaching the event loop; far above any honest file. */
const fileTimeoutMs = 900_000;
const patterns = ["src/**/*.test.ts", "tests/**/*.test.ts", "scripts/**/*.test.ts"];

const help = `Usage: npm test [-- [file, folder or word …] [options]]
  --name <pattern>   only tests whose name matches (may be repeated)
  --coverage         print line, branch and function coverage
  --list             print the files that would run
PLIMSOLL_TEST_DATABASE_URL uses that PostgreSQL instead of starting one;
PLIMSOLL_REQUIRE_ALL=1 makes a skipped test a failure.`;

function readOptions() {
  return parseArgs({
    allowPositionals: true,
    options: {
      name: { type: "string", multiple: true },
      coverage: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
}

/** Runs the files and prints node's report; false when one failed, or skipped and must not. */
async function runFiles(
  files: string[],
  options: ReturnType<typeof readOptions>["values"],
  signal: AbortSignal,
) {
  const mustRunAll = process.env.PLIMSOLL_REQUIRE_ALL === "1";
  const skipped: SkippedTest[] = [];
  let passed = false;
  let isSummaryReached = false;
  const events = run({
    files,
    cwd: root,
    concurrency: availableParallelism(),
    timeout: fileTimeoutMs,
    signal,
    coverage: options.coverage,
    testNamePatterns: options.name,
    execArgv: ["--import", watchdog, `--test-timeout=${testTimeoutMs}`],
  });
  async function* withSkips() {
    for await (const event of events) {
      if (event.type === "test:pass" && event.data.skip !== undefined) {
        skipped.push({ name: event.data.name, file: event.data.file, reason: event.data.skip });
      }
      if (event.type === "test:summary" && event.data.file === undefined) {
        passed = event.data.success;
      }
      // Node closes with its totals; what was skipped comes just before, so that they stay last.
      const isTotal = event.type === "test:diagnostic" && event.data.file === undefined;
      if (isTotal && !isSummaryReached) {
        isSummaryReached = true;
        const message = skippedReport(skipped, root, mustRunAll);
        if (message) yield { type: "test:stdout", data: { message } };
      }
      yield event;
    }
  }
  for await (const text of Readable.from(withSkips()).pipe(new spec())) process.stdout.write(text);
  return passed && !(mustRunAll && skipped.length > 0);
}

async function main(): Promise<number> {
  const { values, positionals } = readOptions();
  if (values.help) {
    console.log(help);
    return 0;
  }
  const all = globSync(patterns, { cwd: root, exclude: ["**/node_modules/**"] });
  const files = chooseFiles(all, positionals);
  if (files.length === 0) {
    console.error(`No test file matches: ${positionals.join(" ")}`);
    return 2;
  }
  if (values.list) {
    console.log(files.join("\n"));
    return 0;
  }
  const stopping = new AbortController();
  let stoppedBy: NodeJS.Signals | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      stoppedBy ??= signal;
      stopping.abort();
    });
  }
  const given = process.env.PLIMSOLL_TEST_DATABASE_URL;
  const cluster = given ? null : await startTestCluster();
  if (cluster) process.env.PLIMSOLL_TEST_DATABASE_URL = cluster.url;
  try {
    const isGood = await runFiles(files, values, stopping.signal);
    if (stoppedBy) return 128 + constants.signals[stoppedBy];
    return isGood ? 0 : 1;
  } finally {
    await cluster?.stop();
  }
}

process.exitCode = await main();
