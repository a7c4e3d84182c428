import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { testFolder } from "#kernel/testing/database.ts";
import { faultsOf, runDrill } from "../chaos/drill.ts";

// `npm run chaos -- kernel` does the same for twenty cycles.
async function drill(signal: "SIGTERM" | "SIGKILL") {
  const dataDir = await mkdtemp(join(testFolder(), "plimsoll-data-"));
  return runDrill({ signal, cycles: 2, clients: 4, runMs: 400, dataDir });
}

// Guards against a restart that drops a request it has taken, and against a shutdown that fails.
test("stopped by SIGTERM under load, the server answers what it took and exits 0", async (t) => {
  const done = await drill("SIGTERM");
  assert.deepEqual(faultsOf(done), []);
  assert.deepEqual(done.exits, [0, 0]);
  t.diagnostic(`${done.ledger.answered} answered, ${done.ledger.refused} not accepted`);
});

// Guards against an answer that goes out before its write is safe, and against a start that fails
// over what a crash leaves behind.
test("killed under load, the server has every write that it acknowledged", async (t) => {
  const done = await drill("SIGKILL");
  assert.deepEqual(faultsOf(done), []);
  assert.deepEqual(done.exits, ["SIGKILL", "SIGKILL"]);
  t.diagnostic(`${done.ledger.acknowledged.length} writes acknowledged`);
});
