import { parseArgs } from "node:util";
import type { Engine } from "../tests/support/leases-house.ts";
import { faultsOf, type LeasesDrill, runLeasesDrill } from "./leases-drill.ts";

/**
 * Two servers over one database lease real containers under load, and are killed in turn at every
 * place where a lease, a snapshot or its money is half done.
 *
 *   npm run chaos -- leases [--cycles 200] [--runtime docker|process] [--clients 4] [--seed 1]
 *
 * The Docker Engine is that of DOCKER_HOST, with the image of PLIMSOLL_TEST_DOCKER_IMAGE.
 */
const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "200" },
    clients: { type: "string", default: "4" },
    leases: { type: "string", default: "8" },
    seed: { type: "string", default: "1" },
    runtime: { type: "string", default: "docker" },
    quiet: { type: "boolean", default: false },
  },
});

function engineOf(runtime: string): Engine {
  if (runtime === "process") return { runtime, host: null, image: "alpine" };
  if (runtime !== "docker") throw new Error("--runtime is docker or process");
  const { DOCKER_HOST, PLIMSOLL_TEST_DOCKER_HOST, PLIMSOLL_TEST_DOCKER_IMAGE } = process.env;
  const host = PLIMSOLL_TEST_DOCKER_HOST ?? DOCKER_HOST ?? "unix:///var/run/docker.sock";
  return { runtime, host, image: PLIMSOLL_TEST_DOCKER_IMAGE ?? "busybox" };
}

function report(drill: LeasesDrill): void {
  const { cycles, hits, missed, answered, unanswered, counted, wrong, drainMs } = drill;
  const row = (name: string, figure: number | string) =>
    console.log(`  ${name.padEnd(58)} ${String(figure).padStart(8)}`);
  console.log(`${cycles} servers killed with SIGKILL:`);
  for (const [point, count] of hits) row(`at ${point}`, count);
  row("elsewhere, since nobody came by the point in time", missed.length);
  console.log("Asked for and answered:");
  for (const [what, count] of answered) row(what, count);
  row("without an answer, and asked again", unanswered);
  console.log("What there was:");
  row("leases", counted.leases);
  for (const [reason, count] of Object.entries(counted.byReason))
    row(`  that ended as ${reason}`, count);
  row("restarts after a crash of the container", counted.restarts);
  row("snapshots asked for", counted.snapshots);
  row("intervals paid for", counted.intervals);
  row("containers without a lease, found and removed", counted.strays);
  row(
    "deadline to end, p99 (servers are dead meanwhile)",
    `${Math.round(counted.lagMsP99 ?? 0)} ms`,
  );
  row("until all was gone at the end", `${(drainMs / 1_000).toFixed(1)} s`);
  console.log("What must be 0:");
  for (const { what, count, examples } of wrong) {
    row(what, count);
    if (count > 0) console.log(`    ${examples.join("\n    ")}`);
  }
}

const drill = await runLeasesDrill({
  engine: engineOf(values.runtime),
  cycles: Number(values.cycles),
  clients: Number(values.clients),
  leasesMost: Number(values.leases),
  seed: Number(values.seed),
  ...(!values.quiet && { tell: (words: string) => console.log(words) }),
});
report(drill);
const faults = faultsOf(drill);
console.log(faults.length === 0 ? "good" : `BAD: ${faults.join("; ")}`);
process.exitCode = faults.length === 0 ? 0 : 1;
