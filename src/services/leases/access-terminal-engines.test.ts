import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import { type Dialled, dial } from "#kernel/testing/websocket.ts";
import { noProcessRuntime } from "./fixtures/process-runtime.ts";
import { startReal } from "./fixtures/reaching.ts";
import { hear } from "./fixtures/terminals.ts";

const text = (client: Dialled) => client.bytes().toString("latin1");
const says = (client: Dialled, what: RegExp) =>
  eventually(() => what.test(text(client)), `${what} in ${JSON.stringify(text(client))}`);
const type = (client: Dialled, line: string) => client.socket.send(Buffer.from(`${line}\r`));

/** A lease of a real engine and how to open a terminal in it. */
async function startLease(t: TestContext, image: string, env: Record<string, string>) {
  const real = await startReal(t, env);
  const { test: house, admin } = real;
  const wanted = {
    image,
    command: ["sleep", "600"],
    cpuMillis: 500,
    memoryMb: 128,
    ttlSeconds: 3_600,
  };
  const made = await admin.post("/leases?wait=30", wanted);
  assert.equal(made.body.state, "running", made.text);
  const path = `/leases/${made.body.id}`;
  const { signedIn } = await house.person("mine");
  const headers = { authorization: `Bearer ${signedIn.accessToken}` };
  return {
    ...real,
    open: (query: string) =>
      dial(`${house.app.url()}/api/v1${path}/terminal?${query}`, { headers }),
    async runs(word: string): Promise<boolean> {
      const command = ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
      return (await admin.post(`${path}/exec`, { command })).body.stdout.includes(word);
    },
  };
}

/** A terminal as people use it, on a real engine. */
async function useTerminal(t: TestContext, image: string, env: Record<string, string>) {
  const { open, runs, test: house } = await startLease(t, image, env);
  let client = await open("columns=100&rows=30&command=sh");
  const { terminal } = (await hear(client, "ready")) as { terminal: string };
  type(client, "stty size; echo $((6 * 7))");
  await says(client, /30 100\r\n42\r\n/);
  client.socket.send(JSON.stringify({ type: "resize", columns: 120, rows: 40 }));
  await eventually(() => {
    type(client, "stty size");
    return /40 120/.test(text(client));
  }, "the other size");

  // A program that goes on through connections that break, each number shown once.
  type(
    client,
    "clear; i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo n$i; sleep 0.01; done; echo 'o'ver",
  );
  let seen = "";
  for (let round = 0; round < 3; round += 1) {
    await says(client, /n\d+\r\n/);
    client.socket.terminate();
    await client.closed;
    seen += text(client);
    client = await open(`terminal=${terminal}&position=${seen.length}`);
  }
  await eventually(() => /over\r\n/.test(seen + text(client)), "the end of the counting");
  seen += text(client);
  const numbers = [...seen.matchAll(/n(\d+)\r\n/g)].map(([, digits]) => Number(digits));
  assert.deepEqual(
    numbers,
    Array.from({ length: 200 }, (_, n) => n + 1),
  );
  type(client, "exit 5");
  assert.equal((await hear(client, "exit")).exitCode, 5);

  const left = await open("command=sleep&command=271");
  await hear(left, "ready");
  await eventually(() => runs("sleep 271"), "the program");
  left.socket.terminate();
  await left.closed;
  await eventually(() => house.app.http.app.webSockets.count() === 0, "that nobody is there");
  assert.equal(await runs("sleep 271"), true);
  house.clock.advance(300_000);
  await eventually(async () => !(await runs("sleep 271")), "its end");

  const ended = await open("command=sleep&command=272");
  await hear(ended, "ready");
  ended.socket.send(JSON.stringify({ type: "end" }));
  assert.equal((await hear(ended, "exit")).exitCode, null);
  await eventually(async () => !(await runs("sleep 272")), "its end");
}

const reason = await noProcessRuntime();

// Guards against terminals that work with a stand-in for an engine only.
test("a terminal in a plain process is used over a WebSocket", { skip: reason }, (t) =>
  useTerminal(t, "alpine", { LEASES_RUNTIME: "process" }),
);

// Guards against the same.
test("a terminal in a container of a real Docker Engine is used over a WebSocket", async (t) => {
  const host = await requireService(t, "docker");
  if (host === null) return;
  const image = testImage();
  const env = { LEASES_RUNTIME: "docker", DOCKER_HOST: host, LEASES_ALLOWED_IMAGES: image };
  await useTerminal(t, image, env);
});
