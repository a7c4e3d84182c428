import { parseArgs } from "node:util";
import { type Drill, faultsOf, runDrill } from "./drill.ts";

const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "20" },
    clients: { type: "string", default: "8" },
    "run-ms": { type: "string", default: "700" },
  },
});
const size = {
  cycles: Number(values.cycles),
  clients: Number(values.clients),
  runMs: Number(values["run-ms"]),
};

function report(drill: Drill): boolean {
  const { signal, ledger, exits, slowestReadyMs, missing } = drill;
  const { answered, acknowledged, lost, failed, refused } = ledger;
  const faults = faultsOf(drill);
  console.log(`${signal} under load, ${exits.length} cycles:`);
  console.log(`  requests answered            ${answered}`);
  console.log(`  answered with a failure      ${JSON.stringify(Object.fromEntries(failed))}`);
  console.log(`  connections not accepted     ${refused}`);
  console.log(`  accepted and never answered  ${lost.length} ${[...new Set(lost)].join(" ")}`);
  console.log(`  writes acknowledged          ${acknowledged.length}`);
  console.log(`  acknowledged and missing     ${missing}`);
  console.log(`  how it ended                 ${[...new Set(exits)].join(" ")}`);
  console.log(`  slowest start                ${Math.round(slowestReadyMs)} ms`);
  console.log(`  ${faults.length === 0 ? "good" : `BAD: ${faults.join("; ")}`}`);
  return faults.length === 0;
}

let good = true;
for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  good = report(await runDrill({ signal, ...size })) && good;
}
process.exitCode = good ? 0 : 1;
