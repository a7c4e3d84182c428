import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { type DockerHouse, dockerHouse } from "./docker-fixture.ts";
import { killCommand } from "./docker-kill.ts";
import type { Terminal } from "./types.ts";

const programs = async (house: DockerHouse, id: string) => (await house.sh(id, "ps")).stdout;

// Guards against results that are not the program's: a lost code, mixed outputs, an unseen limit.
test("exec gives the code and both outputs apart, each up to its limit", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run({ env: { GREETING: "O'Brien <3" } });
  const plain = await house.sh(id, 'echo "$GREETING"; echo oops >&2; exit 3');
  assert.deepEqual(plain, {
    exitCode: 3,
    stdout: "O'Brien <3\n",
    stderr: "oops\n",
    truncated: false,
    timedOut: false,
  });
  const large = await house.sh(id, "yes | head -c 3000000; yes n | head -c 2000000 >&2", {
    outputBytesMax: 2_500_000,
  });
  assert.equal(large.truncated, true);
  assert.equal(large.stdout, "y\n".repeat(1_250_000));
  assert.equal(large.stderr, "n\n".repeat(1_000_000));
  const absent = await house.sh(id, "", { command: ["no-such-program"] });
  assert.deepEqual([absent.exitCode, absent.stdout], [127, ""]);
  assert.match(absent.stderr, /"no-such-program" is not in the container/);
  const folder = await house.sh(id, "", { command: ["/tmp"] });
  assert.deepEqual([folder.exitCode, folder.stdout], [126, ""]);
});

// Guards against output that is lost when the input ends, and input that is not read to the end.
test("input is half-closed: output that comes after it is whole", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const stdin = Buffer.alloc(5_000_000, "0123456789abcdef");
  const after = await house.sh(id, "wc -c; sleep 0.3; yes | head -c 200000; echo end", { stdin });
  assert.equal(after.stdout, `${stdin.length}\n${"y\n".repeat(100_000)}end\n`);
  const echoed = await house.sh(id, "cat", { stdin, outputBytesMax: 6_000_000 });
  assert.equal(echoed.stdout, stdin.toString());
  for (let round = 0; round < 5; round += 1) {
    const early = await house.sh(id, "head -c 4; echo; yes | head -c 100000", { stdin });
    assert.equal(early.stdout, `0123\n${"y\n".repeat(50_000)}`, `round ${round}`);
    assert.equal(early.exitCode, 0);
  }
  const none = await house.sh(id, "wc -c", { stdin: Buffer.alloc(0) });
  assert.equal(none.stdout, "0\n");
});

// Guards against commands that run on after their time, with the lease paying for them.
test("a command whose time is up is ended with its children, however they hide", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const scripts = {
    plain: "echo started; sleep 111",
    deaf: "trap '' TERM INT HUP; echo started; while :; do sleep 112; done",
    background: "sleep 113 & echo started; wait",
    session: "setsid sleep 114 & echo started; sleep 114",
    environment: "env -i sleep 115 & echo started; env -i sleep 115",
  };
  for (const [what, script] of Object.entries(scripts)) {
    const result = await house.sh(id, script, { timeoutMs: 400 });
    assert.deepEqual([result.timedOut, result.exitCode], [true, null], what);
    assert.equal(result.stdout, "started\n", what);
  }
  assert.doesNotMatch(await programs(house, id), /sleep 11\d/);
  const given = new AbortController();
  const running = house.sh(id, "sleep 116", { signal: given.signal });
  setTimeout(() => given.abort(new Error("the caller left")), 300);
  await assert.rejects(running, /the caller left/);
  assert.doesNotMatch(await programs(house, id), /sleep 116/);
  for (let waitMs = 0; waitMs < 60; waitMs += 6) {
    const early = new AbortController();
    const starting = house.sh(id, "sleep 117", { signal: early.signal });
    setTimeout(() => early.abort(new Error("changed my mind")), waitMs);
    await assert.rejects(starting, /changed my mind/);
  }
  while (/sleep 117/.test(await programs(house, id)));
  assert.match(await programs(house, id), /sleep 600/);
});

// Guards against the way for engines elsewhere, where nothing can be ended from the host.
test("the command that ends an exec from inside ends that one and no other", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const env = (mark: string) => `env PLIMSOLL_EXEC=${mark} sleep`;
  const script = `${env("one")} 221 & ${env("other")} 222 & ${env("onetwo")} 223 &`;
  await house.sh(id, `exec >/dev/null 2>&1; ${script} true`);
  const { exitCode, stderr } = await house.sh(id, "", { command: killCommand("one") });
  assert.equal(exitCode, 0, stderr);
  const left = await programs(house, id);
  assert.doesNotMatch(left, /sleep 221/);
  assert.match(left, /sleep 222/);
  assert.match(left, /sleep 223/);
});

// Guards against a timeout that ends nothing, where the server does not see the engine's processes.
test("a server in another process namespace ends commands from inside the container", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  if (process.getuid?.() !== 0) return t.skip("needs root, to make a namespace");
  const { id } = await house.run();
  const script = `
    const { dockerRuntime } = await import(${JSON.stringify(new URL("./docker.ts", import.meta.url))});
    const log = { info() {}, warn: (...args) => console.log(args) };
    const policies = { for: () => ({ execute: (call) => call(new AbortController().signal) }) };
    const random = { id: () => "01a1f9e7" + performance.now() };
    const runtime = dockerRuntime({ ...JSON.parse(process.argv[1]), random, policies, log });
    const command = ["sh", "-c", "setsid sleep 661 & echo started; sleep 662"];
    const limits = { stdin: null, timeoutMs: 500, outputBytesMax: 100 };
    const { timedOut, stdout } = await runtime.exec(process.argv[2], { command, ...limits });
    console.log(process.pid < 10, timedOut, String(stdout));
    await runtime.close();`;
  const { host, installId } = house;
  const args = ["--input-type=module", "-e", script, JSON.stringify({ host, installId }), id];
  const own = ["--fork", "--pid", "--mount-proc", process.execPath, ...args];
  const { stdout, stderr } = spawnSync("unshare", own, { encoding: "utf8", timeout: 60_000 });
  assert.equal(stdout, "true true started\n\n", stderr);
  assert.doesNotMatch(await programs(house, id), /sleep 66\d/);
});

// Guards against an exec that hangs for ever on what a daemon has inherited.
test("a command that leaves a daemon behind is over, and the daemon lives", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const result = await house.sh(id, "sleep 331 & echo gone", { timeoutMs: 15_000 });
  assert.deepEqual([result.exitCode, result.stdout, result.timedOut], [0, "gone\n", false]);
  assert.match(await programs(house, id), /sleep 331/);
});

/** Reads what a terminal shows until it shows what is waited for. */
function screen({ stream }: Terminal) {
  let shown = "";
  let wake = () => {};
  stream.on("data", (chunk: Buffer) => {
    shown += chunk.toString();
    wake();
  });
  stream.on("close", () => wake());
  return async (pattern: RegExp) => {
    while (!pattern.test(shown)) {
      assert(!stream.destroyed, `the terminal closed; it showed ${JSON.stringify(shown)}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return shown;
  };
}

// Guards against terminals that garble, keep their first size, or hide how the program ended.
test("a terminal types, shows, resizes, and ends with the program's code", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const terminal = await house.runtime.terminal(id, { columns: 91, rows: 17 }, null);
  const until = screen(terminal);
  terminal.stream.write("stty size; tty; echo $TERM\n");
  const first = await until(/xterm-256color\r\n/);
  assert.match(first, /17 91\r\n\/dev\/pts\/\d+\r\n/);
  await terminal.resize(133, 44);
  terminal.stream.write("stty size\n");
  await until(/44 133\r\n/);
  terminal.stream.write("sh -c 'echo under''way; sleep 441'\n");
  await until(/underway\r\n/);
  // Control-C goes to the program, as at any terminal, and throws away what was typed ahead.
  terminal.stream.write("\x03");
  await until(/\^C[^]*\$ /);
  terminal.stream.write("echo code $?; exit 5\n");
  await until(/code 130\r\n/);
  assert.equal(await terminal.exited, 5);
  assert.doesNotMatch(await programs(house, id), /sleep 441/);
});

// Guards against shells that nobody can reach any more and nothing ends.
test("killing a terminal, or losing its connection, ends the program", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const size = { columns: 80, rows: 24 };
  const command = ["sh", "-c", "trap '' HUP; echo ready; sleep 551; sleep 552"];
  const killed = await house.runtime.terminal(id, size, command);
  await screen(killed)(/ready/);
  await killed.kill();
  assert.equal(await killed.exited, null);
  const lost = await house.runtime.terminal(id, size, command);
  await screen(lost)(/ready/);
  lost.stream.destroy();
  assert.equal(await lost.exited, null);
  assert.doesNotMatch(await programs(house, id), /sleep 55\d/);
});
