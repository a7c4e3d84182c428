import { StringDecoder } from "node:string_decoder";
import { parentPort, workerData } from "node:worker_threads";
import { gzipSync } from "node:zlib";
import { timelinePage } from "../documents/timeline.ts";
import { takeRecord } from "../formats/ndjson.ts";
import { createHistoryReader } from "../formats/read.ts";
import { createHistoryBuilder } from "../rules/builder.ts";
import { checkHistory } from "../rules/check.ts";
import { type History, HistoryError, type Operation } from "../rules/history.ts";
import { withFoundVersions } from "../rules/recording.ts";
import { shownReport } from "../rules/shown-report.ts";
import { usualLimits } from "../rules/strong.ts";
import type { CheckOptions, CheckResult } from "./check-work.ts";

const { name, isRecorded, options } = workerData as {
  name: string;
  isRecorded: boolean;
  options: CheckOptions;
};
const port = parentPort!;
const pageBytesMost = 8 * 2 ** 20;
const stepsAtMost = 10_000_000;

/** Takes what comes until there is no more. */
interface Source {
  take(piece: string | Uint8Array): void;
  end(): History;
}

function uploaded(): Source {
  const { format = null, model = null } = options;
  const reader = createHistoryReader({ format, model });
  const decoder = new StringDecoder("utf8");
  return {
    take: (piece) => reader.push(typeof piece === "string" ? piece : decoder.write(piece)),
    end() {
      reader.push(decoder.end());
      return reader.end().history;
    },
  };
}

/** A history of our own, in whole lines. */
function recorded(): Source {
  const others: object[] = [];
  const operations: Operation[] = [];
  return {
    take(piece) {
      for (const line of String(piece).split("\n")) {
        if (line === "") continue;
        const record = JSON.parse(line);
        if (record.op === undefined) others.push(record);
        else operations.push(record);
      }
    },
    end() {
      const builder = createHistoryBuilder();
      const all = [...others, ...withFoundVersions(operations)];
      all.forEach((record, at) => takeRecord(builder, record, at + 1));
      return builder.finish();
    },
  };
}

const source = isRecorded ? recorded() : uploaded();
let failed: CheckResult | null = null;

function attempt<T>(work: () => T): T | null {
  if (failed) return null;
  try {
    return work();
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error;
    failed = { error: error.message };
    return null;
  }
}

port.on("message", (piece: string | Uint8Array | null) => {
  if (piece !== null) {
    attempt(() => source.take(piece));
    port.postMessage("more");
    return;
  }
  const made = attempt((): CheckResult => {
    const history = source.end();
    const limits = { ...usualLimits, stepsAtMost };
    const report = checkHistory(history, { level: options.level ?? null, limits });
    const page = gzipSync(timelinePage(history, report, name));
    return {
      status: report.status,
      report: shownReport(report),
      page: page.length > pageBytesMost ? null : page,
    };
  });
  port.postMessage(made ?? failed);
  port.close();
});
