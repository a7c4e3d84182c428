import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { Readable } from "node:stream";
import { test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { breakable, dockerHouse } from "./docker-fixture.ts";
import { agreedApiVersion } from "./docker-modem.ts";
import type { Runtime } from "./types.ts";

const never = new AbortController().signal;
const unavailable = { code: "ERR_LEASES_RUNTIME_UNAVAILABLE" };
const request = { stdin: null, timeoutMs: 60_000, outputBytesMax: 1_000 };
const size = { columns: 80, rows: 24 };

/** Content that is under way for as long as anybody waits. */
function endless(): Readable {
  return Readable.from(
    (async function* () {
      for (;;) {
        yield Buffer.alloc(1_000);
        await systemClock.sleep(50);
      }
    })(),
  );
}

async function follow(runtime: Runtime, id: string): Promise<void> {
  const wanted = { after: null, tail: null, follow: true, signal: never };
  for await (const _ of runtime.logs(id, wanted));
}

async function fetchAll(runtime: Runtime, id: string): Promise<void> {
  const { content } = await runtime.getFile(id, "/workspace/pace");
  for await (const _ of content) await systemClock.sleep(100);
}

const rejects = (promise: Promise<unknown>, what: string) =>
  assert.rejects(promise, unavailable, what);

// Guards against a lease that hangs, or is lost, with an engine that dies in the middle of a call.
test("an engine that is cut off fails all calls at once; mended, all goes on", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const weak = await breakable(t, house.host);
  const runtime = house.another(weak.host);
  const deaf = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
  const [main, stubborn] = [await house.run(), await house.run({ command: deaf })];
  await house.sh(main.id, "head -c 20000000 /dev/zero >pace");
  const terminal = await runtime.terminal(main.id, size, null);
  terminal.stream.resume();
  const busy = [
    rejects(runtime.exec(main.id, { ...request, command: ["sleep", "50"] }), "exec"),
    rejects(runtime.stop(stubborn.id, 30_000), "stop"),
    rejects(runtime.putFile(main.id, "a", endless(), 1e9), "putFile"),
    rejects(fetchAll(runtime, main.id), "getFile"),
    rejects(follow(runtime, main.id), "logs"),
  ];
  await systemClock.sleep(1_500);
  const startMs = performance.now();
  weak.cut();
  await Promise.all(busy);
  assert.equal(await terminal.exited, null);
  const calls: [string, Promise<unknown>][] = [
    ["create", runtime.create(house.spec(), never)],
    ["start", runtime.start(main.id)],
    ["inspect", runtime.inspect(main.id)],
    ["list", runtime.list()],
    ["remove", runtime.remove(main.id)],
    ["stats", runtime.stats(main.id)],
    ["terminal", runtime.terminal(main.id, size, null)],
    ["portAddress", runtime.portAddress(main.id, 80)],
    ["snapshot", runtime.snapshot(main.id, { tenantId: "t", snapshotId: "s", scrubEnv: [] })],
    ["removeSnapshot", runtime.removeSnapshot(`plimsoll/${house.installId}/t/snapshot:s`)],
  ];
  await Promise.all(calls.map(([what, call]) => rejects(call, what)));
  const info = await runtime.info();
  assert.equal(info.available, false);
  assert.match(info.notes[0] ?? "", /No Docker Engine answers at unix:/);
  assert(performance.now() - startMs < 10_000, "it took its time");
  weak.mend();
  await systemClock.sleep(2_100);
  assert.equal((await runtime.inspect(main.id))?.state, "running");
  assert.equal((await runtime.info()).available, true);
  await runtime.remove(main.id);
  await runtime.remove(stubborn.id);
});

// Guards against waiting for ever for an engine that holds the connection and says nothing.
test("an engine that hangs is given up on within the call's deadline", async (t) => {
  const house = await dockerHouse(t, { answerMsMax: 3_000 });
  if (!house) return;
  const weak = await breakable(t, house.host);
  const runtime = house.another(weak.host);
  const { id } = await house.run();
  await house.sh(id, "head -c 20000000 /dev/zero >pace");
  const running = rejects(runtime.exec(id, { ...request, command: ["sleep", "50"] }), "exec");
  const sending = rejects(runtime.putFile(id, "a", endless(), 1e9), "putFile");
  const fetching = rejects(fetchAll(runtime, id), "getFile");
  await systemClock.sleep(1_500);
  const startMs = performance.now();
  weak.freeze();
  const given = new AbortController();
  const left = runtime.create(house.spec(), given.signal);
  setTimeout(() => given.abort(new Error("the caller left")), 100);
  await assert.rejects(left, /the caller left/);
  await Promise.all([
    rejects(runtime.inspect(id), "inspect"),
    rejects(runtime.remove(id), "remove"),
    rejects(runtime.list(), "list"),
    rejects(runtime.create(house.spec(), never), "create"),
    running,
    sending,
    fetching,
  ]);
  const tookMs = performance.now() - startMs;
  assert(tookMs < 15_000, `it took ${tookMs} ms`);
  weak.mend();
  await systemClock.sleep(2_100);
  assert.equal((await runtime.inspect(id))?.state, "running");
});

// Guards against calls that outlive the runtime, and keep the process from ending.
test("closing ends what is under way", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const runtime = house.another();
  const busy = [
    rejects(runtime.exec(id, { ...request, command: ["sleep", "50"] }), "exec"),
    rejects(follow(runtime, id), "logs"),
  ];
  const watching = (async () => {
    for await (const _ of runtime.events(never));
  })();
  await systemClock.sleep(1_000);
  await runtime.close();
  await Promise.all([...busy, watching]);
  await rejects(runtime.inspect(id), "inspect");
});

// Guards against an answer that was cut off being taken for a whole one, and against strangers.
test("half an answer, or somebody else's, is no answer", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  for (const [reply, version, code] of [
    ["half", "1.41", unavailable.code],
    ["html", "1.41", unavailable.code],
    ["old", "1.24", "ERR_LEASES_RUNTIME_REFUSED"],
    ["stranger", "", "ERR_LEASES_RUNTIME_REFUSED"],
  ] as const) {
    const server = createServer((incoming, answer) => {
      answer.setHeader("content-type", "application/json");
      if (version !== "") answer.setHeader("api-version", version);
      if (incoming.url?.startsWith("/_ping")) return answer.end("OK");
      if (reply === "html") return answer.end("<html>");
      answer.setHeader("content-length", "100");
      answer.write('{"Id":');
      setTimeout(() => answer.destroy(), 50);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const startMs = performance.now();
    const runtime = house.another(`tcp://127.0.0.1:${port}`);
    await assert.rejects(runtime.inspect("x"), { code }, reply);
    assert.equal((await runtime.info()).available, false);
    assert(performance.now() - startMs < 5_000, "it waited for the deadline");
    server.close();
    server.closeAllConnections();
  }
  assert.throws(() => house.another("ssh://host"), /must begin with/);
});

// Guards against a server that is busy describing its connections instead of asking.
test("many calls at once cost next to nothing each", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  await house.runtime.inspect("warm-up");
  const before = process.cpuUsage();
  const calls = Array.from({ length: 300 }, () => house.runtime.inspect("none-such"));
  assert((await Promise.all(calls)).every((found) => found === null));
  const used = process.cpuUsage(before);
  const msEach = (used.user + used.system) / 1_000 / calls.length;
  assert(msEach < 10, `${msEach} ms of processor time for each call`);
});

// Guards against engines that are refused for being newer, or used for being too old.
test("the API's version is the newest that both sides speak", () => {
  assert.equal(agreedApiVersion("1.41"), "1.41");
  assert.equal(agreedApiVersion("1.43"), "1.43");
  assert.equal(agreedApiVersion("1.52"), "1.44");
  for (const version of ["1.40", "", "latest", "1"]) {
    assert.throws(() => agreedApiVersion(version), /1\.41 or newer is needed/, version);
  }
});
