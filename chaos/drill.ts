import { existsSync } from "node:fs";
import { join } from "node:path";
import { removeCluster, startEmbedded } from "#kernel/db/embedded.ts";
import { freePort, startServer, temporaryDataDir } from "../tests/support/server.ts";
import { type Ledger, startLoad } from "./load.ts";

export interface DrillOptions {
  /** SIGTERM is a restart, SIGKILL a crash. */
  signal: "SIGTERM" | "SIGKILL";
  /** How often the server is stopped under load. */
  cycles: number;
  clients: number;
  /** How long it serves before each stop. */
  runMs: number;
  /** An empty folder for the database, which the drill removes; by default a temporary one. */
  dataDir?: string;
}

export interface Drill {
  signal: DrillOptions["signal"];
  ledger: Ledger;
  /** How the server ended in each cycle: exit code or signal name. */
  exits: (number | string)[];
  slowestReadyMs: number;
  /** Writes that were acknowledged and are not there. */
  missing: number;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Stops a real server, with an embedded database of its own, under load `cycles` times and looks
 * for every write that it acknowledged. Leaves nothing behind, whatever fails.
 */
export async function runDrill(options: DrillOptions): Promise<Drill> {
  await using left = new AsyncDisposableStack();
  const dataDir = options.dataDir ?? (await temporaryDataDir());
  left.defer(() => endCluster(dataDir));
  const serverOptions = {
    dataDir,
    port: await freePort(),
    env: {
      PLIMSOLL_RATE_TENANT_PER_MINUTE: "10000000",
      PLIMSOLL_SHUTDOWN_DELAY_MS: "300",
      LOG_LEVEL: "warn",
    },
  };
  let server = await startServer(serverOptions);
  left.defer(async () => void (await server.stop()));
  const { apiKey } = await server.demo();
  const load = startLoad({ url: server.url, apiKey, clients: options.clients });
  left.defer(async () => void (await load.stop()));
  const exits: Drill["exits"] = [];
  let slowestReadyMs = 0;
  for (let cycle = 0; cycle < options.cycles; cycle += 1) {
    await pause(options.runMs);
    exits.push(await server.stop(options.signal));
    server = await startServer(serverOptions);
    slowestReadyMs = Math.max(slowestReadyMs, server.readyMs);
  }
  const ledger = await load.stop();
  const missing = await countMissing(server.url, apiKey, ledger.acknowledged);
  return { signal: options.signal, ledger, exits, slowestReadyMs, missing };
}

/** A server that was killed and never came back has left its PostgreSQL running. */
async function endCluster(dataDir: string): Promise<void> {
  const isRunning = existsSync(join(dataDir, "postgres", "data", "postmaster.pid"));
  if (isRunning) await (await startEmbedded({ dataDir })).stop();
  await removeCluster(dataDir);
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

/** What a drill must not show, in words; empty when all is well. */
export function faultsOf({ signal, ledger, exits, missing }: Drill): string[] {
  const faults: string[] = [];
  const fault = (count: number, what: string) => {
    if (count > 0) faults.push(`${count} ${what}`);
  };
  fault(missing, "writes acknowledged and missing");
  if (ledger.acknowledged.length === 0) faults.push("no write was ever acknowledged");
  if (signal === "SIGKILL") return faults;
  fault(ledger.lost.length, `requests accepted and never answered: ${ledger.lost.join(", ")}`);
  const statuses = [...ledger.failed].map(([status, count]) => `${count} × ${status}`);
  fault(statuses.length, `kinds of failed answers: ${statuses.join(", ")}`);
  const bad = exits.filter((code) => code !== 0);
  fault(bad.length, `exits other than 0: ${bad.join(", ")}`);
  return faults;
}
