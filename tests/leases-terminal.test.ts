import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "#kernel/testing/events.ts";
import { noProcessRuntime } from "../src/services/leases/fixtures/process-runtime.ts";
import { startServer, temporaryDataDir } from "./support/server.ts";

const program = fileURLToPath(new URL("../bin/plimsoll", import.meta.url));

/** A way to a server that can be cut. */
async function startWay(t: TestContext, url: string) {
  const ends = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(new URL(url).port), "127.0.0.1");
    for (const socket of [near, far]) {
      ends.add(socket);
      socket.on("error", () => socket.destroy());
      socket.once("close", () => {
        ends.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const socket of ends) socket.destroy();
  };
  t.after(() => {
    server.close();
    cut();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cut };
}

/** A person at a real terminal: `script` makes one, and hands on what is typed. */
function sitDown(env: NodeJS.ProcessEnv, command: string) {
  const child: ChildProcess = spawn("script", ["-qefc", command, "/dev/null"], { env });
  let shown = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  return {
    child,
    shown: () => shown,
    type: (text: string) => void child.stdin?.write(text),
    sees: (what: RegExp) =>
      eventually(() => what.test(shown), String(what)).catch((cause) => {
        throw new Error(`${what} is not in ${JSON.stringify(shown)}`, { cause });
      }),
    ended: once(child, "close").then(([code]) => code as number),
  };
}

const reason = await noProcessRuntime();

// Guards against terminals that work in tests only: a real server, a real command line at a real
// terminal, and a connection that really breaks.
test("a person works in a lease through a connection that breaks", { skip: reason }, async (t) => {
  const home = await mkdtemp(join(tmpdir(), "plimsoll-home-"));
  const dataDir = await temporaryDataDir();
  const server = await startServer({
    dataDir,
    env: { LEASES_RUNTIME: "process", LEASES_DEMO: "0" },
  });
  t.after(async () => {
    await server.stop();
    await rm(home, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  });
  const way = await startWay(t, server.url);
  const { apiKey } = await server.demo();
  const headers = { "x-api-key": apiKey, "content-type": "application/json" };
  const wanted = { image: "alpine", command: ["sleep", "600"], ttlSeconds: 600 };
  const made = await fetch(`${server.url}/api/v1/leases?wait=20`, {
    method: "POST",
    headers,
    body: JSON.stringify(wanted),
  });
  const lease = (await made.json()) as { id: string; state: string };
  assert.equal(lease.state, "running", JSON.stringify(lease));
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    TERM: "xterm",
    PLIMSOLL_API: way.url,
    PLIMSOLL_API_KEY: apiKey,
  };
  const runs = async (word: string) => {
    const command = ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
    const answer = await fetch(`${server.url}/api/v1/leases/${lease.id}/exec`, {
      method: "POST",
      headers,
      body: JSON.stringify({ command }),
    });
    return ((await answer.json()) as { stdout: string }).stdout.includes(word);
  };

  const one = sitDown(env, `stty rows 31 cols 101; ${program} leases terminal ${lease.id}`);
  await one.sees(/[#$] $/);
  one.type("stty size; echo $((6 * 7))\r");
  await one.sees(/31 101\r\n42\r\n/);
  one.type("(sleep 0.5; echo mean''while) &\r");
  way.cut();
  await one.sees(/coming back/);
  await one.sees(/meanwhile\r\n/);
  one.type("echo ag''ain\r");
  await one.sees(/again\r\n/);
  assert.equal(one.shown().match(/meanwhile\r\n/g)?.length, 1);
  one.type("sleep 27\u0010\u00111");
  assert.equal(await one.ended, 0);
  const [attach = ""] = /leases terminal \S+ --attach \S+/.exec(one.shown()) ?? [];
  assert.ok(attach, one.shown());

  const two = sitDown(env, `${program} ${attach}`);
  await two.sees(/again\r\n[^]*sleep 27$/);
  two.type("9; exit 5\r");
  await eventually(() => runs("sleep 279"), "the program");
  two.type("\u0003exit 5\r");
  assert.equal(await two.ended, 5, two.shown());

  const three = sitDown(env, `${program} leases terminal ${lease.id} -- sleep 278`);
  await eventually(() => runs("sleep 278"), "the program");
  const startedMs = performance.now();
  assert.equal(await server.stop(), 0, "a terminal keeps the server from stopping cleanly");
  assert.ok(performance.now() - startedMs < 10_000);
  three.type("\u0010\u0011");
  await three.ended;
});
