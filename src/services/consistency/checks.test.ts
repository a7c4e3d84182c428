import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test } from "node:test";
import { createRecording } from "./engines/registry-recording.ts";
import { registryLimits } from "./engines/registry.ts";
import { makeStore, over, refusal, startConsistency } from "./fixture.ts";

const ndjson = { "content-type": "application/x-ndjson" };
const labelled = (name: string) =>
  readFileSync(new URL(`./fixtures/labelled/${name}.ndjson`, import.meta.url), "utf8");

interface Shown {
  readonly name: string;
  readonly status: string;
  readonly words: string;
}

// Guards against verdicts that the server gives otherwise than the checker, and lost witnesses.
test("an uploaded history is checked, with its counterexample in words and a page", async (t) => {
  const { admin, stranger } = await startConsistency(t);
  const send = (text: string, query = "", headers = {}) =>
    admin.raw("POST", `/api/v1/checks${query}`, text, { ...ndjson, ...headers });
  const key = { "idempotency-key": "u1" };
  const begun = await send(labelled("strong-stale"), "?name=Stale", key);
  assert.equal(begun.status, 202, begun.text);
  const again = await send(labelled("strong-stale"), "?name=Stale", key);
  assert.equal(again.body.id, begun.body.id);
  const path = `/checks/${begun.body.id}`;
  const check = await over(admin, path);
  assert.deepEqual([check.state, check.status, check.name], ["done", "violation", "Stale"]);
  const strong = check.report.claims.find(({ name }: Shown) => name === "strong");
  assert.equal(strong.status, "violation");
  assert.ok(strong.operations.length > 0 && strong.words.length > 20, strong.words);
  const page = await admin.get(`${path}/page`);
  assert.equal(page.status, 200);
  assert.match(page.headers["content-type"]!, /^text\/html/);
  assert.match(page.headers["content-disposition"]!, /^attachment/);
  assert.match(page.headers["content-security-policy"]!, /^sandbox/);
  assert.match(page.text, /Stale/);
  assert.equal((await stranger.get(path)).status, 404);
  assert.equal((await stranger.get(`${path}/page`)).status, 404);
  assert.deepEqual((await stranger.get("/checks")).body.items, []);
  const good = await send(labelled("strong-good"));
  assert.equal((await over(admin, `/checks/${good.body.id}`)).status, "ok");
});

// Guards against files that bring the checker down, or fail without saying where.
test("a file that is no history fails with its line", async (t) => {
  const { admin } = await startConsistency(t);
  const check = async (text: string, query = "") => {
    const begun = await admin.raw("POST", `/api/v1/checks${query}`, text, ndjson);
    assert.equal(begun.status, 202, begun.text);
    const { state, status, message, id } = await over(admin, `/checks/${begun.body.id}`);
    assert.deepEqual([state, status], ["failed", null]);
    assert.equal(refusal(await admin.get(`/checks/${id}/page`)), "409 ERR_CONSISTENCY_NO_PAGE");
    return message as string;
  };
  const bad = `${labelled("strong-good")}{"op": "steal"}\n`;
  assert.match(await check(bad), /^line \d+: /);
  assert.match(await check("", "?format=ndjson"), /no operation/);
  assert.match(await check("what is this"), /format/);
  const json = await admin.raw("POST", "/api/v1/checks", "x", { "content-type": "image/png" });
  assert.equal(json.status, 415);
});

// Guards against a checker that keeps everybody else waiting.
test("checking a large history blocks nobody", async (t) => {
  const { admin } = await startConsistency(t);
  const lines = Array.from({ length: 60_000 }, (_, at) => {
    const isRead = at % 2 === 1;
    const id = `o${at}`;
    const value = isRead ? at - 1 : at;
    const times = { call: at * 2, return: at * 2 + 1, outcome: "ok" };
    return JSON.stringify({
      id,
      process: "c",
      key: `k${at >> 7}`,
      op: isRead ? "read" : "write",
      value,
      ...times,
    });
  });
  const begun = await admin.raw("POST", "/api/v1/checks", lines.join("\n"), ndjson);
  assert.equal(begun.status, 202, begun.text);
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  const check = await over(admin, `/checks/${begun.body.id}`);
  delays.disable();
  assert.equal(check.status, "ok");
  assert.equal(check.report.operations, 60_000);
  const blockedMs = delays.percentile(99) / 1e6;
  assert.ok(blockedMs < 60, `the event loop was blocked for ${blockedMs} ms`);
});

// Guards against a history that is not what was asked and answered.
test("a store's history is what the checker reads, and is kept", async (t) => {
  const { admin } = await startConsistency(t);
  const { id } = await makeStore(admin);
  const path = `/stores/${id}`;
  assert.equal(
    refusal(await admin.post(`${path}/checks`, {})),
    "409 ERR_CONSISTENCY_EMPTY_HISTORY",
  );
  let token = "";
  for (let value = 0; value < 10; value += 1) {
    const headers = { "x-session-token": token };
    const level = value % 2 === 0 ? "strong" : "session";
    const put = await admin.put(`${path}/keys/x?consistency=${level}`, { value }, headers);
    assert.equal(put.status, 200, put.text);
    token = put.body.receipt.sessionToken;
  }
  const history = await admin.get(`${path}/history`);
  const records = history.text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(records[0].dropped, 0);
  const operations = records.filter(({ op }) => op);
  assert.deepEqual(
    operations.map(({ value }) => value),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  assert.equal(new Set(operations.map(({ session }) => session)).size, 1);
  const own = await admin.post(`${path}/checks`, {});
  assert.equal((await over(admin, `/checks/${own.body.id}`)).status, "ok");
  const sent = await admin.raw("POST", "/api/v1/checks", history.text, ndjson);
  assert.equal((await over(admin, `/checks/${sent.body.id}`)).report.operations, 10);
  const listed = await admin.get(`/checks?storeId=${id}`);
  assert.deepEqual(
    listed.body.items.map((one: { id: string }) => one.id),
    [own.body.id],
  );
});

// Guards against a session that seems to go back because its client used an old token again.
test("a token that is used twice is another session", async (t) => {
  const { admin } = await startConsistency(t);
  const { id } = await makeStore(admin);
  const path = `/stores/${id}/keys/x`;
  const first = await admin.put(path, { value: 1 });
  const headers = { "x-session-token": first.body.receipt.sessionToken as string };
  await Promise.all([admin.get(path, headers), admin.get(path, headers)]);
  await admin.get(path, headers);
  const { text } = await admin.get(`/stores/${id}/history`);
  const sessions = text
    .split("\n")
    .filter((line) => line.includes('"op"'))
    .map((line) => JSON.parse(line).session);
  assert.equal(sessions.length, 4);
  assert.equal(new Set(sessions).size, 3, "one goes on, two are others");
});

// Guards against a part of a history that is shown as if it were the whole, and called good.
test("what was dropped is told, and a part is never ok", async (t) => {
  const limits = { ...registryLimits, recording: { operations: 10, chars: 1_000_000 } };
  const { admin } = await startConsistency(t, { limits });
  const { id } = await makeStore(admin);
  const path = `/stores/${id}`;
  for (let value = 0; value < 8; value += 1) await admin.put(`${path}/keys/old`, { value });
  for (let value = 0; value < 5; value += 1) await admin.put(`${path}/keys/new`, { value });
  const status = await admin.get(`${path}/status`);
  assert.deepEqual(status.body.history, { operations: 10, droppedOperations: 3 });
  const [first] = (await admin.get(`${path}/history`)).text.split("\n");
  assert.equal(JSON.parse(first!).dropped, 3);
  const begun = await admin.post(`${path}/checks`, { finalReads: false });
  const check = await over(admin, `/checks/${begun.body.id}`);
  assert.equal(check.status, "unknown");
  assert.equal(check.report.operations, 5);
  assert.match(check.message, /1 keys .* \(3 operations were dropped\)/);
});

// Guards against a ring that grows, by count or by size, or forgets in the wrong order.
test("a recording keeps the newest operations within its bounds", () => {
  const operation = (at: number) =>
    ({
      id: `o${at}`,
      process: "p",
      key: `k${at % 3}`,
      op: "write",
      value: "x".repeat(50),
      call: at,
      return: at,
      outcome: "ok",
    }) as const;
  const recording = createRecording({ operations: 5_000, chars: 200_000 });
  for (let at = 0; at < 20_000; at += 1) recording.add(operation(at));
  const lines = recording.lines({ whole: false });
  assert.equal(recording.kept, lines.length);
  assert.equal(recording.kept + recording.dropped, 20_000);
  assert.ok(lines.join("").length <= 200_000);
  assert.equal(JSON.parse(lines.at(-1)!).id, "o19999");
  assert.deepEqual(recording.lines({ whole: true }), []);
});
