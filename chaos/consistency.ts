import { parseArgs } from "node:util";
import { historyIn, scenarioOf } from "../src/services/consistency/engine/judge.ts";
import { hashOf, linesOf } from "../src/services/consistency/engine/recorder.ts";
import { runScenario } from "../src/services/consistency/engine/scenario.ts";
import { checkHistory } from "../src/services/consistency/rules/check.ts";

/**
 * Runs the embedded replica set through faults, one run a seed, and has the checker judge every
 * history at every level that was asked for. A seed that fails is run again, byte for byte.
 *
 *   npm run chaos -- consistency [--seeds 10000] [--from 1] [--print]
 *
 * `--print` writes the history of the first seed as NDJSON instead.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "10000" },
    from: { type: "string", default: "1" },
    print: { type: "boolean", default: false },
  },
});
const from = Number(values.from);
const seeds = Number(values.seeds);

function sweep(): number {
  let [operations, answered, violated, unknown] = [0, 0, 0, 0];
  const start = performance.now();
  for (let seed = from; seed < from + seeds; seed += 1) {
    const recording = runScenario(scenarioOf(seed));
    const { status, claims } = checkHistory(historyIn(recording));
    operations += recording.operations.length;
    answered += recording.operations.filter(({ outcome }) => outcome === "ok").length;
    if (status === "ok") continue;
    if (status === "violation") violated += 1;
    else unknown += 1;
    const isSame = hashOf(runScenario(scenarioOf(seed))) === hashOf(recording);
    console.log(`seed ${seed}: ${status}; it ${isSame ? "replays" : "DOES NOT REPLAY"}`);
    for (const { name, verdict } of claims) {
      if (verdict.status === "violation") console.log(`  ${name}: ${verdict.witness.sentence}`);
      else if (verdict.status === "unknown") console.log(`  ${name}: ${verdict.reason}`);
    }
  }
  const seconds = (performance.now() - start) / 1_000;
  console.log(`${seeds} seeds in ${seconds.toFixed(1)} s: ${operations} operations recorded,`);
  console.log(`${answered} answered; ${violated} histories violated, ${unknown} undecided.`);
  return violated + unknown;
}

if (values.print) {
  for (const line of linesOf(runScenario(scenarioOf(from)))) console.log(line);
} else process.exitCode = sweep() === 0 ? 0 : 1;
