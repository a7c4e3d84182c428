import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { repository, temporaryFolder } from "./fixture.ts";

// A program without types, which the compiler is not to look for.
const installer: string = new URL("./install.mjs", import.meta.url).href;
const { isInstalled } = await import(installer);

const lock = {
  packages: {
    "": {},
    "node_modules/fastify": { version: "5.0.0", integrity: "sha512-a" },
    "node_modules/tool": { version: "1.0.0", integrity: "sha512-b", dev: true },
    "node_modules/other-platform": { version: "1.0.0", optional: true },
  },
};

/** What npm does as far as we depend on it: it empties node_modules, and writes its record last. */
const fakeNpm = `
const { appendFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } = require("fs");
appendFileSync("npm.log", process.argv.slice(2).join(" ") + "\\n");
rmSync("node_modules", { recursive: true, force: true });
mkdirSync("node_modules/node/bin", { recursive: true });
if (process.env.FAKE_FAILURE) {
  console.error(process.env.FAKE_FAILURE);
  process.exit(1);
}
setTimeout(() => {
  if (!process.env.FAKE_NO_SCRIPTS) {
    writeFileSync("node_modules/node/bin/node", "");
    truncateSync("node_modules/node/bin/node", 2_000_000);
  }
  writeFileSync("node_modules/.package-lock.json", readFileSync("package-lock.json"));
}, Number(process.env.FAKE_MS ?? 20));
`;

const checkout = { "package-lock.json": JSON.stringify(lock), "npm/npm-cli.js": fakeNpm };

/** A start, as far as installing goes. */
function start(folder: string, env: Record<string, string> = {}): ChildProcess {
  const program = `import(${JSON.stringify(installer)}).then(({ ensureInstalled }) =>
    ensureInstalled(${JSON.stringify(folder)}, { withDev: true })).catch((error) => {
      console.error(error.message); process.exit(error.exitCode ?? 9); });`;
  return spawn(process.execPath, ["-e", program], {
    env: { ...process.env, npm_execpath: join(folder, "npm", "npm-cli.js"), ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
}

async function finish(child: ChildProcess): Promise<{ code: number; stderr: string }> {
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const [code] = await once(child, "close");
  return { code, stderr };
}

const installsIn = (folder: string) =>
  readFileSync(join(folder, "npm.log"), "utf8").trim().split("\n").length;

// Guards against a start on old packages, and against installing again and again without need.
test("it installs when something is missing or other than locked, and only then", async (t) => {
  const folder = temporaryFolder(t, checkout);
  assert.equal(isInstalled(folder, { withDev: true }), false);
  assert.equal((await finish(start(folder))).code, 0);
  assert.equal((await finish(start(folder))).code, 0);
  assert.equal(installsIn(folder), 1);
  const newer = structuredClone(lock);
  newer.packages["node_modules/fastify"].version = "5.0.1";
  writeFileSync(join(folder, "package-lock.json"), JSON.stringify(newer));
  assert.equal((await finish(start(folder))).code, 0);
  assert.equal(installsIn(folder), 2);
});

// Guards against throwing away what somebody has installed by hand.
test("packages installed by npm itself count, also without those of other platforms", (t) => {
  const folder = temporaryFolder(t, checkout);
  mkdirSync(join(folder, "node_modules"));
  const record = (packages: object) =>
    writeFileSync(join(folder, "node_modules", ".package-lock.json"), JSON.stringify({ packages }));
  const { "node_modules/fastify": fastify, "node_modules/tool": tool } = lock.packages;
  record({ "node_modules/fastify": fastify, "node_modules/tool": tool });
  assert.equal(isInstalled(folder, { withDev: true }), true);
  record({ "node_modules/fastify": fastify });
  assert.equal(isInstalled(folder, { withDev: true }), false);
  assert.equal(isInstalled(folder, { withDev: false }), true);
  record({ "node_modules/fastify": { ...fastify, integrity: "sha512-x" } });
  assert.equal(isInstalled(folder, { withDev: false }), false);
});

// Guards against two starts that install into one folder and leave it in pieces.
test("of several starts at once one installs and the others wait for it", async (t) => {
  const folder = temporaryFolder(t, checkout);
  const starts = [1, 2, 3].map(() => start(folder, { FAKE_MS: "600" }));
  const ends = await Promise.all(starts.map(finish));
  assert.deepEqual(
    ends.map(({ code }) => code),
    [0, 0, 0],
  );
  assert.equal(installsIn(folder), 1);
  assert.equal(ends.filter(({ stderr }) => stderr.includes("waiting for it")).length, 2);
  assert.equal(existsSync(join(folder, ".install.lock")), false);
});

// Guards against a lock that outlives its holder, and against taking it from one that lives.
test("a killed start's lock is taken over once its npm has ended too", async (t) => {
  const folder = temporaryFolder(t, checkout);
  const killed = start(folder, { FAKE_MS: "800" });
  killed.stderr?.resume();
  while (!existsSync(join(folder, "npm.log"))) await once(killed.stderr as never, "data");
  killed.kill("SIGKILL");
  assert.equal((await finish(start(folder))).code, 0);
  assert.equal(installsIn(folder), 1);
  rmSync(join(folder, "node_modules"), { recursive: true });
  writeFileSync(join(folder, ".install.lock"), `${hostname()} 2147483646`);
  assert.equal((await finish(start(folder))).code, 0);
  assert.equal(installsIn(folder), 2);
});

// Guards against half an install that is taken for a whole one.
test("an interrupted install says so and is done again", async (t) => {
  const folder = temporaryFolder(t, checkout);
  const interrupted = start(folder, { FAKE_MS: "60000" });
  interrupted.stderr?.once("data", () => {
    const poll = setInterval(() => {
      if (!existsSync(join(folder, "npm.log"))) return;
      clearInterval(poll);
      interrupted.kill("SIGINT");
    }, 10);
  });
  const { code, stderr } = await finish(interrupted);
  assert.equal(code, 130);
  assert.match(stderr, /interrupted/);
  assert.equal(existsSync(join(folder, ".install.lock")), false);
  assert.equal((await finish(start(folder))).code, 0);
  assert.equal(installsIn(folder), 2);
});

// Guards against failures that leave people with npm's last line and no idea.
test("a failed install tells npm's words and what helps", async (t) => {
  for (const [said, remedy] of [
    ["npm error code ENOTFOUND", /check the network/],
    ["npm error code EACCES", /who owns/],
    ["npm error code EUSAGE", /npm install/],
    ["something new", /npm ci/],
  ] as const) {
    const folder = temporaryFolder(t, checkout);
    const { code, stderr } = await finish(start(folder, { FAKE_FAILURE: said }));
    assert.equal(code, 1);
    assert.ok(stderr.includes(said));
    assert.match(stderr, remedy);
  }
});

// Guards against "no such file" where npm was told to run no install scripts.
test("where install scripts are off, the one command that helps is given", async (t) => {
  const folder = temporaryFolder(t, checkout);
  const { code, stderr } = await finish(start(folder, { FAKE_NO_SCRIPTS: "1" }));
  assert.equal(code, 1);
  assert.match(stderr, /npm rebuild --ignore-scripts=false node/);
});

// Guards against a syntax error as the greeting of an old Node.
test("an old Node is refused with a sentence", () => {
  const pretend =
    "Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.19.0'}});" +
    "Object.defineProperty(process,'version',{value:'v18.19.0'})";
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${pretend}`, join(repository, "scripts", "start.mjs")],
    { encoding: "utf8" },
  );
  assert.equal(status, 1);
  assert.match(stderr, /needs Node\.js 20\.19 or newer.*v18\.19\.0/s);
});
