import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { mergeFaultPoints } from "#kernel/resilience/fault-points.ts";
import { emptyDatabase } from "#kernel/testing/database.ts";
import { eventually } from "#kernel/testing/events.ts";
import { services } from "../src/services.ts";
import { lastFirst, launch, temporaryFolder } from "./support/process.ts";
import { freePort } from "./support/server.ts";

const source = fileURLToPath(new URL("../src/", import.meta.url));
const placed = /faults\??\s*\.(?:at|corrupt)\(\s*("[^"]*")?/g;

// Guards against a point that is listed and stands nowhere, or stands somewhere and is not listed.
test("every declared fault point stands in the code, and no other does", () => {
  const found = new Set<string>();
  for (const name of readdirSync(source, { recursive: true }) as string[]) {
    if (!name.endsWith(".ts") || name.endsWith(".test.ts")) continue;
    for (const [placing, point] of readFileSync(join(source, name), "utf8").matchAll(placed)) {
      if (name === join("kernel", "resilience", "fault-points.ts")) continue;
      assert.ok(point, `${name}: ${placing} must name its point as it is declared`);
      found.add(JSON.parse(point));
    }
  }
  assert.deepEqual([...found].sort(), [...mergeFaultPoints(services).keys()]);
});

/** One request with JSON; throws when no answer comes. */
async function call(url: string, method: string, body?: unknown, headers = {}) {
  const answer = await fetch(url, {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    etag: answer.headers.get("etag") ?? "",
    isReplayed: answer.headers.get("idempotent-replayed") === "true",
    body: text === "" ? null : JSON.parse(text),
  };
}

/** Servers over one new database, and the headers of somebody who may do anything. */
async function replicas(t: TestContext) {
  const cleanup = lastFirst(t);
  const database = await emptyDatabase(cleanup);
  const dataDir = await temporaryFolder(cleanup);
  const masterKey = randomBytes(32).toString("base64");
  const start = async () => {
    const port = await freePort();
    const env = {
      DATABASE_URL: database.ownerUrl,
      DATABASE_APP_URL: database.appUrl,
      PLIMSOLL_DATA_DIR: dataDir,
      PLIMSOLL_MASTER_KEY: masterKey,
      PORT: String(port),
    };
    const server = launch(cleanup, { env });
    await server.answers(`http://127.0.0.1:${port}/ready`);
    return { ...server, url: `http://127.0.0.1:${port}/api/v1` };
  };
  const [first, second] = [await start(), await start()];
  const { email, password } = JSON.parse(readFileSync(join(dataDir, "demo.json"), "utf8"));
  const { body } = await call(`${first.url}/auth/login`, "POST", { email, password });
  return { first, second, start, headers: { authorization: `Bearer ${body.accessToken}` } };
}

// Guards against a change that is lost, or made twice, when a replica dies with its answer, and
// against a drill that only the replica hears of which happened to be asked.
test("a replica that crashes after COMMIT loses nothing: another gives the answer", async (t) => {
  const { first, second, start, headers } = await replicas(t);
  const point = `${first.url}/admin/faults/mutate.after_commit`;
  const { etag } = await call(point, "GET", undefined, headers);
  const armed = { kind: "crash" };
  assert.equal((await call(point, "PUT", armed, { ...headers, "if-match": etag })).status, 200);

  const attempts: string[] = [];
  const make = (url: string, name: string) =>
    call(`${url}/shops`, "POST", { name }, { ...headers, "idempotency-key": name });
  await eventually(async () => {
    attempts.push(`Shop ${attempts.length}`);
    const answered = ({ status }: { status: number }) => {
      assert.equal(status, 201);
      return false;
    };
    return make(second.url, attempts.at(-1) as string).then(answered, () => true);
  }, "the crash of the other replica");
  assert.equal(await second.ended, "SIGKILL");

  const lost = attempts.at(-1) as string;
  const again = await make(first.url, lost);
  assert.deepEqual([again.status, again.isReplayed, again.body.name], [201, true, lost]);
  const { status } = await call(`${first.url}/shops/${again.body.id}`, "GET", undefined, headers);
  assert.equal(status, 200);
  const history = `${first.url}/shops/${again.body.id}/history`;
  assert.equal((await call(history, "GET", undefined, headers)).body.items.length, 1);

  const restarted = await start();
  assert.equal((await make(restarted.url, "After the restart")).status, 201, "it crashes no more");
  assert.equal((await call(point, "GET", undefined, headers)).body.armed, null);
});
