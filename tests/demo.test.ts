import assert from "node:assert/strict";
import { watch } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
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
  const killed = launch(cleanup, { env: { PLIMSOLL_DATA_DIR: dataDir, PORT: port } });
  await begun;
  assert.equal(await killed.stop("SIGKILL"), "SIGKILL");
  const early = JSON.parse(await readFile(join(dataDir, "demo.begun.json"), "utf8"));
  assert.equal((await readdir(dataDir)).includes("demo.json"), false);
  const server = await startServer({ dataDir });
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
});
