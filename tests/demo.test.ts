import assert from "node:assert/strict";
import { existsSync, readdirSync, watch } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { noProcessRuntime } from "../src/services/leases/fixtures/process-runtime.ts";
import { lastFirst, launch, temporaryFolder } from "./support/process.ts";
import { freePort, startServer } from "./support/server.ts";

// Guards against a first start whose end takes the only copy of the admin's password with it.
test("a first start that is killed while it makes the demo is finished by the next", async (t) => {
  const cleanup = lastFirst(t);
  const dataDir = await temporaryFolder(cleanup);
  const port = String(await freePort());
  const begun = new Promise<void>((resolve) => {
    const watcher = watch(dataDir, (_event, name) => {
      if (name !== "demo.begun.json") return;
      watcher.close();
      resolve();
    });
  });
  const leases = { LEASES_DEMO: "1", LEASES_RUNTIME: "process" };
  const killed = launch(cleanup, { env: { ...leases, PLIMSOLL_DATA_DIR: dataDir, PORT: port } });
  await begun;
  assert.equal(await killed.stop("SIGKILL"), "SIGKILL");
  const early = JSON.parse(await readFile(join(dataDir, "demo.begun.json"), "utf8"));
  assert.equal((await readdir(dataDir)).includes("demo.json"), false);
  const server = await startServer({ dataDir, env: leases });
  cleanup.after(async () => void (await server.stop()));
  const { email, password, apiKey } = await server.demo();
  assert.equal(password, early.password);
  const login = await fetch(`${server.url}/api/v1/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  assert.equal(login.status, 200);
  const shops = await fetch(`${server.url}/api/v1/shops`, { headers: { "x-api-key": apiKey } });
  const { items } = (await shops.json()) as { items: { name: string }[] };
  const names = items.map(({ name }) => name);
  assert.ok(names.length > 0);
  assert.deepEqual(names, [...new Set(names)]);
  await leaseByThemselves(server, apiKey, dataDir);
});

interface Lease {
  id: string;
  name: string;
  state: string;
}

/** The demo's leases come up when the server is there, once each, and leave nothing behind. */
async function leaseByThemselves({ url }: { url: string }, apiKey: string, dataDir: string) {
  const ask = (path: string, method = "GET") =>
    fetch(`${url}/api/v1${path}`, { method, headers: { "x-api-key": apiKey } });
  const list = async (filter: string) => {
    const { items } = (await (await ask(`/leases?${filter}&limit=100`)).json()) as {
      items: Lease[];
    };
    return items;
  };
  const isMissing = (await noProcessRuntime()) !== undefined;
  const expected = isMissing ? [] : ["paused", "running", "running"];
  const states = async () => (await list("live=true")).map(({ state }) => state).sort();
  await eventually(
    async () =>
      (await list("live=false")).length >= 9 && (await states()).join() === expected.join(),
    "the demo's leases run",
  );
  const live = await list("live=true");
  assert.equal(new Set(live.map(({ name }) => name)).size, live.length);
  for (const { id } of live) assert.equal((await ask(`/leases/${id}`, "DELETE")).status, 204);
  await eventually(async () => (await states()).length === 0, "they have ended");
  assert.deepEqual(containersIn(dataDir), []);
}

function containersIn(dataDir: string): string[] {
  const folder = join(dataDir, "leases", "containers");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((name) => name.startsWith("plm-"));
}
