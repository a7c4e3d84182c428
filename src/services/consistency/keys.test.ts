import assert from "node:assert/strict";
import { test } from "node:test";
import { isUuid } from "#kernel/random.ts";
import { openEngine } from "./engines/open.ts";
import type { OpenEngine } from "./engines/registry.ts";
import type { EngineAnswer } from "./engines/types.ts";
import { makeStore, refusal, startConsistency } from "./fixture.ts";

const path = (id: string, key = "a") => `/stores/${id}/keys/${key}`;
const tag = ({ term, seq }: { term: number; seq: number }) => `"${term}-${seq}"`;

// Guards against answers whose worth nobody knows, and against values that change on their way.
test("a key is written, read and deleted, each with a receipt", async (t) => {
  const { admin } = await startConsistency(t);
  const { id } = await makeStore(admin);
  for (const value of [0, false, "O'Brien <3 \u2603", [1, { a: null }], { b: {} }]) {
    const put = await admin.put(path(id), { value });
    assert.equal(put.status, 200, put.text);
    assert.deepEqual(put.body.value, value);
    const got = await admin.get(path(id));
    assert.deepEqual(got.body.value, value);
    const { level, achieved, version, replica, acknowledgements } = put.body.receipt;
    assert.deepEqual([level, achieved], ["strong", "strong"]);
    assert.ok(acknowledgements >= 2, put.text);
    assert.match(replica, /^n\d$/);
    assert.equal(got.headers["etag"], tag(version));
  }
  assert.equal((await admin.delete(path(id))).body.value, null);
  const gone = await admin.get(path(id));
  assert.equal(refusal(gone), "404 ERR_CONSISTENCY_NO_SUCH_KEY");
  assert.equal(gone.body.receipt.achieved, "strong");
  assert.equal(
    refusal(await admin.put(path(id), { value: null })),
    "422 ERR_REQUEST_INVALID /value",
  );
  assert.equal(
    refusal(await admin.get(`${path(id)}?consistency=sure`)),
    "422 ERR_REQUEST_INVALID query/consistency",
  );
  assert.equal(refusal(await admin.get(path(id, "a%07b"))), "422 ERR_REQUEST_INVALID path/key");
});

// Guards against a compare-and-set that overwrites what its caller has not seen.
test("If-Match compares and sets", async (t) => {
  const { admin } = await startConsistency(t);
  const { id } = await makeStore(admin);
  const first = await admin.put(path(id), { value: 1 }, { "if-none-match": "*" });
  assert.equal(first.status, 200, first.text);
  const twice = await admin.put(path(id), { value: 2 }, { "if-none-match": "*" });
  assert.equal(refusal(twice), "412 ERR_CONSISTENCY_VERSION_MISMATCH");
  const seen = { "if-match": first.headers["etag"]! };
  const second = await admin.put(path(id), { value: 2 }, seen);
  assert.equal(second.status, 200, second.text);
  const late = await admin.put(path(id), { value: 3 }, seen);
  assert.equal(refusal(late), "412 ERR_CONSISTENCY_VERSION_MISMATCH");
  assert.equal((await admin.get(path(id))).body.value, 2);
  const bad = await admin.put(path(id), { value: 3 }, { "if-match": "2" });
  assert.equal(refusal(bad), "400 ERR_REQUEST_MALFORMED");
  const never = await admin.put(path(id), { value: 3 }, { "if-match": '"7"' });
  assert.equal(refusal(never), "412 ERR_REQUEST_VERSION_CONFLICT");
  const wrong = await admin.delete(path(id), seen);
  assert.equal(refusal(wrong), "412 ERR_CONSISTENCY_VERSION_MISMATCH");
  const right = await admin.delete(path(id), { "if-match": second.headers["etag"]! });
  assert.equal(right.status, 200, right.text);
  assert.equal((await admin.get(path(id))).status, 404);
});

// Guards against tokens that somebody makes up, changes, or carries to another store.
test("a session token belongs to its store and generation, and to nobody's hand", async (t) => {
  const { admin, stranger } = await startConsistency(t);
  const one = await makeStore(admin);
  const two = await makeStore(admin, { name: "Other" });
  const foreign = await makeStore(stranger);
  const put = await admin.put(`${path(one.id)}?consistency=session`, { value: 1 });
  const token: string = put.body.receipt.sessionToken;
  const read = (store: string, given: string, client = admin) =>
    client.get(`${path(store)}?consistency=session`, { "x-session-token": given });
  assert.equal((await read(one.id, token)).body.value, 1);
  const bad = "400 ERR_CONSISTENCY_BAD_SESSION_TOKEN header/x-session-token";
  const middle = Math.floor(token.length / 2);
  const flipped = token[middle] === "A" ? "B" : "A";
  assert.equal(refusal(await read(two.id, token)), bad);
  assert.equal(refusal(await read(foreign.id, token, stranger)), bad);
  for (const forged of [
    token.slice(0, middle) + flipped + token.slice(middle + 1),
    token.slice(0, -4),
    "e30",
    "%%%",
  ]) {
    assert.equal(refusal(await read(one.id, forged)), bad, forged);
  }
  const slower = await admin.patch(
    `/stores/${one.id}`,
    { operationTimeoutMs: 1_500 },
    { "if-match": '"1"' },
  );
  assert.equal(slower.status, 200, slower.text);
  const old = await read(one.id, token);
  assert.equal(refusal(old), "409 ERR_CONSISTENCY_STALE_SESSION");
  assert.deepEqual([old.body.sessionGeneration, old.body.generation], [1, 2]);
  assert.equal((await admin.get(path(one.id))).status, 404, "it does not begin empty");
});

// Guards against an engine that gives less than was asked for, and calls it an answer.
test("a level is never silently lowered", async (t) => {
  const lowering: OpenEngine = async (spec, around) => {
    const engine = await openEngine(spec, around);
    const ask: typeof engine.ask = async (asked) => ({
      ...(await engine.ask(asked)),
      achieved: "eventual",
    });
    return { ...engine, ask };
  };
  const { admin } = await startConsistency(t, { openEngine: lowering });
  const { id } = await makeStore(admin);
  const put = await admin.put(path(id), { value: 1 });
  assert.equal(refusal(put), "504 ERR_CONSISTENCY_OUTCOME_UNKNOWN");
  const got = await admin.get(path(id));
  assert.equal(refusal(got), "503 ERR_CONSISTENCY_REFUSED");
  assert.equal(got.body.receipt.achieved, null);
  assert.ok(!("value" in got.body), "what is not good enough is shown all the same");
  assert.equal((await admin.get(`${path(id)}?consistency=eventual`)).body.value, 1);
});

// Guards against refusals and unknown outcomes that look alike, or that say nothing of themselves.
test("a refusal says so with its receipt, and when to come back", async (t) => {
  const said: Partial<EngineAnswer>[] = [];
  const moody: OpenEngine = async (spec, around) => {
    const engine = await openEngine(spec, around);
    const bad = { value: null, version: null, achieved: null, token: null };
    const ask: typeof engine.ask = async (asked) => ({
      ...(await engine.ask(asked)),
      ...(said.length > 0 && { ...bad, ...said.shift() }),
    });
    return { ...engine, ask };
  };
  const { admin, service } = await startConsistency(t, { openEngine: moody });
  const { id } = await makeStore(admin);
  said.push({ status: "refused", reason: "No majority answers. Try again." });
  const refused = await admin.put(path(id), { value: 1 });
  assert.equal(refusal(refused), "503 ERR_CONSISTENCY_REFUSED");
  assert.equal(refused.headers["retry-after"], "1");
  assert.equal(refused.body.detail, "No majority answers. Try again.");
  assert.equal(refused.body.receipt.level, "strong");
  said.push({ status: "unknown", reason: "Two of three have it." });
  const unknown = await admin.put(path(id), { value: 2 });
  assert.equal(refusal(unknown), "504 ERR_CONSISTENCY_OUTCOME_UNKNOWN");
  assert.match(unknown.body.detail, /Two of three have it/);
  const history = await admin.get(`/stores/${id}/history`);
  const outcomes = history.text
    .split("\n")
    .filter((line) => line.includes('"op"'))
    .map((line) => JSON.parse(line).outcome);
  assert.deepEqual(outcomes, ["fail", "info"]);
  const { text } = await service.deps().metrics.expose();
  assert.match(text, /consistency_requests_total\{[^}]*status="refused"[^}]*\} 1/);
});

// Guards against two memories that both take themselves for the store.
test("what is in another process's memory is answered there only", async (t) => {
  const { admin, db, tenant } = await startConsistency(t);
  const { id } = await makeStore(admin);
  const take = (seen: string) =>
    db.query(
      tenant,
      `insert into store_owner (tenant_id, store_id, process, generation, seen_at)
       values ($1, $2, '01890000-0000-7000-8000-00000000000a', 4, ${seen})
       on conflict (tenant_id, store_id) do update set seen_at = excluded.seen_at`,
      [tenant.id, id],
    );
  await take("clock_timestamp()");
  const elsewhere = await admin.put(path(id), { value: 1 });
  assert.equal(refusal(elsewhere), "503 ERR_CONSISTENCY_STORE_ELSEWHERE");
  assert.ok(Number(elsewhere.headers["retry-after"]) > 0);
  await take("clock_timestamp() - interval '1 minute'");
  assert.equal((await admin.put(path(id), { value: 1 })).status, 200);
  const status = await admin.get(`/stores/${id}/status`);
  assert.equal(status.body.generation, 5);
  assert.ok(isUuid(status.body.process));
});

// Guards against a process that goes on answering for a store which another one has taken.
test("a store that was taken away is closed at the next beat", async (t) => {
  const { admin, db, tenant, service } = await startConsistency(t);
  const { id } = await makeStore(admin);
  assert.equal((await admin.put(path(id), { value: 1 })).status, 200);
  await db.query(
    tenant,
    `update store_owner set process = '01890000-0000-7000-8000-00000000000a',
       generation = generation + 1, seen_at = clock_timestamp()`,
  );
  await service.deps().engines.beat();
  assert.equal(refusal(await admin.get(path(id))), "503 ERR_CONSISTENCY_STORE_ELSEWHERE");
});

// Guards against memory without a limit.
test("only so many stores are open at once, and those nobody uses are closed", async (t) => {
  const limits = { openMost: 3, openMostOfTenant: 2, idleMs: -1 };
  const { admin, stranger, service } = await startConsistency(t, { limits });
  const stores = [];
  for (const name of ["A", "B", "C"]) stores.push(await makeStore(admin, { name }));
  const [a, b, c] = stores.map(({ id }) => id);
  assert.equal((await admin.put(path(a), { value: 1 })).status, 200);
  assert.equal((await admin.put(path(b), { value: 1 })).status, 200);
  const full = await admin.put(path(c), { value: 1 });
  assert.equal(refusal(full), "503 ERR_CONSISTENCY_TOO_MANY_OPEN");
  const other = await makeStore(stranger);
  assert.equal((await stranger.put(path(other.id), { value: 1 })).status, 200);
  await service.deps().engines.beat();
  assert.equal(service.deps().engines.opened().length, 0);
  assert.equal((await admin.put(path(c), { value: 1 })).status, 200);
});
