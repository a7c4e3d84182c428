import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryCheckout } from "./fixture.ts";

/** Says what it was called with, then every signal, and ends a while after one. */
const program = `
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    console.log("got", signal);
    setTimeout(() => process.exit(7), 300);
  });
}
console.log("called", process.version.split(".")[0], ...process.argv.slice(2));
if (process.argv.includes("--stay")) setInterval(() => {}, 1000);
else process.exitCode = 3;
`;

const files = { "src/main.ts": program, "bench/kernel.ts": program, "bench/other.test.ts": "" };

function launch(folder: string, args: readonly string[]): ChildProcess & { text: () => string } {
  const { npm_lifecycle_event: _, ...env } = process.env;
  const child = spawn(process.execPath, [join(folder, "scripts", "start.mjs"), ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
  }
  return Object.assign(child, { text: () => text });
}

async function ended(child: ChildProcess & { text: () => string }) {
  const [code] = await once(child, "close");
  return { code, text: child.text() };
}

// Guards against a server under another Node than the pinned one, and lost arguments or exit codes.
test("it runs main.ts under the pinned Node and ends as that did", async (t) => {
  const folder = temporaryCheckout(t, files);
  assert.deepEqual(await ended(launch(folder, [])), { code: 3, text: "called v24 serve\n" });
  const { text } = await ended(launch(folder, ["--role", "a b"]));
  assert.equal(text, "called v24 serve --role a b\n");
  assert.equal((await ended(launch(folder, ["migrate", "-x"]))).text, "called v24 migrate -x\n");
});

test("a named program is found by its name, and the known ones are told otherwise", async (t) => {
  const folder = temporaryCheckout(t, files);
  const { text } = await ended(launch(folder, ["--from", "bench", "kernel", "--quick"]));
  assert.equal(text, "called v24 --quick\n");
  for (const args of [
    ["--from", "bench"],
    ["--from", "bench", "../src/main"],
  ]) {
    const end = await ended(launch(folder, args));
    assert.equal(end.code, 2);
    assert.match(end.text, /Known: kernel\./);
  }
});

// Guards against a stop that is taken for two, the second of which means "at once".
test("a signal is passed on once, however often it comes at a time", async (t) => {
  const folder = temporaryCheckout(t, files);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const child = launch(folder, ["--stay"]);
    await once(child.stdout as never, "data");
    child.kill(signal);
    child.kill(signal);
    const { code, text } = await ended(child);
    assert.equal(code, 7);
    assert.equal(text, `called v24 serve --stay\ngot ${signal}\n`);
  }
});

// Guards against a server that nobody sees, and that keeps its port, after its launcher was killed.
test("when the launcher is killed the program is told to stop", async (t) => {
  const folder = temporaryCheckout(t, files);
  const child = launch(folder, ["--stay"]);
  await once(child.stdout as never, "data");
  child.kill("SIGKILL");
  const { text } = await ended(child);
  assert.match(text, /got SIGTERM/);
});
