import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./support/server.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
/** Debian's nobody, or whoever runs the tests where that is no superuser. */
const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const readyWithinMs = 60_000;
const installedWithinMs = 300_000;

function run(command: string, args: readonly string[], cwd = repository): void {
  const { status, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

/** A copy of the working tree, without what is ignored, that belongs to the other user. */
function copyTree(t: TestContext, { withPackages }: { withPackages: boolean }): string {
  const folder = mkdtempSync(join(tmpdir(), "plimsoll-clone-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const left = ["node_modules", ".git", ".plimsoll", ".install.lock", "coverage"];
  const excludes = left.map((name) => `--exclude=./${name}`).join(" ");
  run("sh", ["-c", `tar -c ${excludes} . | tar -x -C "$1"`, "sh", folder]);
  if (withPackages) providePackages(folder);
  if (user.uid) run("chown", ["-R", "-h", `${user.uid}:${user.gid}`, folder]);
  return folder;
}

/** Our own packages, copied only where the other user can't reach them. */
function providePackages(folder: string): void {
  const packages = join(repository, "node_modules");
  const canReach = spawnSync(join(packages, "node/bin/node"), ["--version"], user).status === 0;
  if (canReach) run("ln", ["-s", packages, folder]);
  else run("cp", ["-a", packages, folder]);
}

interface Started {
  url: string;
  child: ChildProcess;
  output: () => string;
}

/** Our environment without what is this run's own; npm asks the registry that it asks here. */
function inherited(): Record<string, string | undefined> {
  const names = Object.keys(process.env).filter(
    (name) => !/^(npm_|PLIMSOLL_|NODE_TEST|NODE_ENV|NODE_COMPILE_CACHE|XDG_)/i.test(name),
  );
  const setting = (name: string) =>
    spawnSync("npm", ["config", "get", name], { cwd: repository, encoding: "utf8" }).stdout.trim();
  return {
    ...Object.fromEntries(names.map((name) => [name, process.env[name]])),
    npm_config_registry: setting("registry"),
    npm_config_update_notifier: "false",
  };
}

async function npmStart(folder: string): Promise<Started> {
  const port = await freePort();
  const env = { ...inherited(), HOME: folder, PORT: String(port) };
  const child = spawn("npm", ["start"], {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    ...user,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  return { url: `http://127.0.0.1:${port}`, child, output: () => output };
}

async function untilReady({ url, child, output }: Started, withinMs: number): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  while (performance.now() < deadlineMs) {
    assert.equal(child.exitCode, null, output());
    // Nothing listens yet.
    const response = await fetch(`${url}/ready`).catch(() => null);
    await response?.body?.cancel();
    if (response?.ok) return;
    await sleep(100);
  }
  assert.fail(`not ready in time:\n${output()}`);
}

async function checkServes(started: Started, folder: string): Promise<void> {
  const demoFile = join(folder, ".plimsoll", "demo.json");
  while (!existsSync(demoFile)) await sleep(50);
  const { apiKey } = JSON.parse(readFileSync(demoFile, "utf8"));
  const headers = { "x-api-key": apiKey };
  const response = await fetch(`${started.url}/api/v1/shops`, { headers });
  assert.equal(response.status, 200);
  const { items } = (await response.json()) as { items: unknown[] };
  assert.ok(items.length > 0);
  if (user.uid) assert.equal(statSync(demoFile).uid, user.uid);
  started.child.kill("SIGTERM");
  const [code] = await once(started.child, "close");
  assert.equal(code, 0, started.output());
  await assert.rejects(fetch(`${started.url}/health`));
}

// Guards against a start that only works for root, or only where it was developed.
test("npm start serves demo data from a copy of the tree, as a normal user", async (t) => {
  const folder = copyTree(t, { withPackages: true });
  const started = await npmStart(folder);
  t.after(() => started.child.kill("SIGKILL"));
  await untilReady(started, readyWithinMs);
  await checkServes(started, folder);
});

// Guards against a start that needs more than Node and npm.
test("npm start installs what is missing first", { timeout: 600_000 }, async (t) => {
  if (process.env.PLIMSOLL_TEST_INSTALL !== "1") {
    return t.skip("downloads all packages: set PLIMSOLL_TEST_INSTALL=1");
  }
  const folder = copyTree(t, { withPackages: false });
  const started = await npmStart(folder);
  t.after(() => started.child.kill("SIGKILL"));
  await untilReady(started, installedWithinMs);
  assert.match(started.output(), /Installed \d+ packages/);
  await checkServes(started, folder);
});
