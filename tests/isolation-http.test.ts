import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import type { Client, TestResponse } from "#kernel/testing/client.ts";
import { fillEveryTable } from "./support/every-table.ts";
import { testServices } from "./support/services.ts";
import { exampleOf, type Operation, operationsOf } from "./support/operations.ts";

const unknownId = "01890000-0000-7000-8000-000000000000";
const otherId = "01890000-0000-7000-8000-00000000000f";
/** Where webhooks may point here; the documented example is a host that can't be looked up. */
const hook = { url: "http://127.0.0.1:9/hook" };

/** Operations whose id is no resource of a tenant: nothing of another's could be named. */
const globalIds = new Set(["/api/v1/admin/jobs/{id}", "/api/v1/tenants/{id}"]);

/** What must not differ between a foreign id and an unknown one, with the ids blanked. */
function comparable(answer: TestResponse, id: string): unknown {
  const blank = (text: string) => text.replaceAll(id, "<id>");
  const body = answer.body && { ...answer.body, requestId: "<request>" };
  const headers = Object.fromEntries(
    Object.entries(answer.headers).filter(
      ([name]) => !/^(date|x-request-id|ratelimit)$/.test(name),
    ),
  );
  return { status: answer.status, body: body && JSON.parse(blank(JSON.stringify(body))), headers };
}

function call(client: Client, operation: Operation, id: string): Promise<TestResponse> {
  const path = operation.path.replace("{id}", id).replace(/\{\w+\}/g, otherId);
  const example = exampleOf(operation) as Record<string, unknown> | undefined;
  const body = example && "url" in example ? { ...example, ...hook } : example;
  return client.raw(operation.method, path, body === undefined ? undefined : JSON.stringify(body), {
    ...(body !== undefined && { "content-type": "application/json" }),
    ...(operation.ifMatch && { "if-match": '"1"' }),
  });
}

/** Makes one of everything that can be made with its example; ids by collection path. */
async function populate(
  client: Client,
  operations: readonly Operation[],
): Promise<Map<string, string>> {
  const made = new Map<string, string>();
  for (const operation of operations) {
    const creates =
      operation.method === "POST" && !operation.path.includes("{") && operation.idempotent;
    if (!creates) continue;
    const answer = await call(client, operation, "");
    if (answer.status === 201 && typeof answer.body.id === "string") {
      made.set(operation.path, answer.body.id);
    }
  }
  for (const { method, path, streams } of operations) {
    if (method !== "GET" || streams || path.includes("{") || made.has(path)) continue;
    const answer = await client.raw("GET", path);
    const [first] = answer.status === 200 ? (answer.body?.items ?? []) : [];
    if (typeof first?.id === "string") made.set(path, first.id);
  }
  return made;
}

async function compareAll(app: TestApp, owner: string, stranger: string, role: string) {
  const operations = operationsOf((await app.as().get("/openapi.json")).body);
  const foreign = await populate(app.as(owner), operations);
  const uncovered: string[] = [];
  let compared = 0;
  for (const operation of operations) {
    const collection = operation.path.split("/{id}")[0] as string;
    if (!operation.path.includes("/{id}") || globalIds.has(`${collection}/{id}`)) continue;
    const id = foreign.get(collection);
    if (!id) {
      uncovered.push(`${operation.method} ${operation.path}`);
      continue;
    }
    const client = app.as(stranger, role);
    const unknown = comparable(await call(client, operation, unknownId), unknownId);
    const other = comparable(await call(client, operation, id), id);
    assert.deepEqual(other, unknown, `${operation.method} ${operation.path} as ${role}`);
    const { status } = unknown as { status: number };
    assert.ok(status >= 400 && status < 500, `${operation.method} ${operation.path}: ${status}`);
    compared += 1;
  }
  return { compared, uncovered, foreign, operations };
}

for (const [owner, stranger] of [
  ["acme", "globex"],
  ["acme-dedicated", "globex-dedicated"],
] as const) {
  for (const role of ["tenant_admin", "user", "admin"]) {
    // Guards against any operation that lets a caller learn that another tenant's id exists.
    test(`${role} of ${stranger}: an id of ${owner} is answered like an unknown one`, async (t) => {
      const env = { PLIMSOLL_ALLOW_PRIVATE_HOSTS: "127.0.0.1:9" };
      const app = await startTestApp(t, { services: testServices(), env });
      await fillEveryTable(app, owner);
      const { compared, uncovered } = await compareAll(app, owner, stranger, role);
      assert.deepEqual(uncovered, [], "operations for which no foreign id could be made");
      assert.ok(compared >= 8, `only ${compared} operations have been compared`);
      t.diagnostic(`${compared} operations compared`);
    });
  }
}

// Guards against a cursor of one tenant opening another tenant's list.
test("a cursor of another tenant's list is refused", async (t) => {
  const app = await startTestApp(t, { services: testServices() });
  for (const name of ["One", "Two", "Three"]) await app.as("acme").post("/shops", { name });
  const first = await app.as("acme").get("/shops?limit=1");
  assert.equal(first.status, 200);
  const cursor = encodeURIComponent(first.body.nextCursor);
  const own = await app.as("acme").get(`/shops?limit=1&cursor=${cursor}`);
  assert.equal(own.body.items[0].name, "Two");
  const foreign = await app.as("globex").get(`/shops?limit=1&cursor=${cursor}`);
  assert.equal(foreign.status, 400);
  assert.equal(foreign.body.code, "ERR_REQUEST_BAD_CURSOR");
});

// Guards against a route that nobody thought about: without credentials only listed ones answer.
test("without credentials every operation that is not public answers 401", async (t) => {
  const app = await startTestApp(t, { services: testServices() });
  const operations = operationsOf((await app.as().get("/openapi.json")).body);
  const open: string[] = [];
  for (const operation of operations) {
    const answer = await call(app.as(), operation, unknownId);
    if (operation.public) open.push(`${operation.method} ${operation.path}`);
    else assert.equal(answer.status, 401, `${operation.method} ${operation.path}`);
  }
  t.diagnostic(`public: ${open.join(", ")}`);
});
