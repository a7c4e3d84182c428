import { rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { removeCluster } from "#kernel/db/embedded.ts";
import { freePort, startServer, temporaryDataDir } from "../tests/support/server.ts";
import { type Ledger, startLoad } from "./load.ts";

const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "20" },
    clients: { type: "string", default: "8" },
    "run-ms": { type: "string", default: "700" },
  },
});
const cycles = Number(values.cycles);
const runMs = Number(values["run-ms"]);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Drill {
  signal: "SIGTERM" | "SIGKILL";
  ledger: Ledger;
  exits: (number | string)[];
  slowestReadyMs: number;
  missing: number;
}

/** Stops the server under load `cycles` times and looks for every write that it acknowledged. */
async function drill(signal: Drill["signal"]): Promise<Drill> {
  const dataDir = await temporaryDataDir();
  const options = {
    dataDir,
    port: await freePort(),
    env: {
      PLIMSOLL_RATE_TENANT_PER_MINUTE: "10000000",
      PLIMSOLL_SHUTDOWN_DELAY_MS: "300",
      LOG_LEVEL: "warn",
    },
  };
  let server = await startServer(options);
  const { apiKey } = await server.demo();
  const load = startLoad({ url: server.url, apiKey, clients: Number(values.clients) });
  const exits: Drill["exits"] = [];
  let slowestReadyMs = 0;
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    await pause(runMs);
    exits.push(await server.stop(signal));
    server = await startServer(options);
    slowestReadyMs = Math.max(slowestReadyMs, server.readyMs);
  }
  const ledger = await load.stop();
  const missing = await countMissing(server.url, apiKey, ledger.acknowledged);
  await server.stop();
  await removeCluster(dataDir);
  await rm(dataDir, { recursive: true, force: true });
  return { signal, ledger, exits, slowestReadyMs, missing };
}

async function countMissing(url: string, apiKey: string, ids: readonly string[]): Promise<number> {
  const stored = new Set<string>();
  let cursor = "";
  do {
    const answer = await fetch(`${url}/api/v1/shops?limit=100${cursor}`, {
      headers: { "x-api-key": apiKey },
    });
    if (answer.status !== 200) throw new Error(`GET /shops answered ${answer.status}`);
    const page = (await answer.json()) as { items: { id: string }[]; nextCursor: string | null };
    for (const { id } of page.items) stored.add(id);
    cursor = page.nextCursor ? `&cursor=${encodeURIComponent(page.nextCursor)}` : "";
  } while (cursor !== "");
  return ids.filter((id) => !stored.has(id)).length;
}

function report({ signal, ledger, exits, slowestReadyMs, missing }: Drill): boolean {
  const { answered, acknowledged, lost, failed, refused } = ledger;
  const graceful = signal === "SIGTERM";
  const badExits = graceful ? exits.filter((code) => code !== 0).length : 0;
  const good =
    missing === 0 && badExits === 0 && (!graceful || (lost.length === 0 && failed.size === 0));
  console.log(`${signal} under load, ${exits.length} cycles:`);
  console.log(`  requests answered            ${answered}`);
  console.log(`  answered with a failure      ${JSON.stringify(Object.fromEntries(failed))}`);
  console.log(`  connections not accepted     ${refused}`);
  console.log(`  accepted and never answered  ${lost.length} ${[...new Set(lost)].join(" ")}`);
  console.log(`  writes acknowledged          ${acknowledged.length}`);
  console.log(`  acknowledged and missing     ${missing}`);
  if (graceful) console.log(`  exits other than 0           ${badExits}`);
  console.log(`  slowest start                ${Math.round(slowestReadyMs)} ms`);
  console.log(`  ${good ? "good" : "BAD"}`);
  return good;
}

const drills = [await drill("SIGTERM"), await drill("SIGKILL")];
const good = drills.map(report).every(Boolean);
process.exitCode = good ? 0 : 1;
