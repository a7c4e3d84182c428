import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { type Leases, makeLease, refusal, startLeases } from "./fixture.ts";
import { runtimeErrors } from "./runtimes/errors.ts";
import type { LogLine, LogRequest } from "./runtimes/types.ts";

const at = (n: number) => `2026-01-01T00:00:00.${String(n).padStart(9, "0")}Z`;
const lineOf = (n: number, text = `line ${n}`): LogLine => ({
  at: at(n),
  stream: n % 3 === 0 ? "stderr" : "stdout",
  text,
});

interface Log {
  lines: LogLine[];
  /** The program has ended. */
  over: boolean;
  readonly asked: LogRequest[];
  /** Lines that were taken, and readings that go on. */
  given: number;
  open: number;
  wake: () => void;
}

async function* read(log: Log, request: LogRequest): AsyncGenerator<LogLine> {
  const { after, tail, signal } = request;
  const kept = log.lines.filter((line) => after === null || line.at > after);
  let next = log.lines.length;
  for (const line of tail === null ? kept : kept.slice(kept.length - tail)) {
    if (signal.aborted) return;
    log.given += 1;
    yield line;
  }
  while (request.follow && !signal.aborted) {
    for (; next < log.lines.length; next += 1) yield log.lines[next] as LogLine;
    if (log.over) return;
    await new Promise<void>((resolve) => {
      log.wake = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** A lease whose log is the test's, read as a runtime reads it. */
async function startLogs(t: TestContext, count = 5) {
  const house = await startLeases(t);
  const lease = await makeLease(house.admin, { preset: "standard" });
  const lines = Array.from({ length: count }, (_, n) => lineOf(n + 1));
  const log: Log = { lines, over: false, asked: [], given: 0, open: 0, wake: () => {} };
  house.engine.reach = {
    async *logs(_id, request) {
      log.asked.push(request);
      log.open += 1;
      try {
        yield* read(log, request);
      } finally {
        log.open -= 1;
      }
    },
  };
  const say = (...said: LogLine[]) => {
    log.lines.push(...said);
    log.wake();
  };
  return { ...house, lease, path: `/leases/${lease.id}/logs`, log, say };
}

interface Told {
  id?: string;
  event?: string;
  data?: string;
}

function eventsOf(text: string): Told[] {
  return text
    .split("\n\n")
    .map((part) => Object.fromEntries(part.split("\n").map((line) => line.split(/: ?(.*)/s))))
    .filter((event) => event.data !== undefined);
}

/** Follows a log over a real connection. */
async function follow(
  t: TestContext,
  { test: app }: Pick<Leases, "test">,
  path: string,
  headers: Record<string, string> = { accept: "text/event-stream" },
) {
  const { signedIn } = await app.person("shared-mine", "tenant_admin");
  const leaving = new AbortController();
  t.after(() => leaving.abort());
  const answer = await fetch(`${app.app.url()}/api/v1${path}`, {
    headers: { authorization: `Bearer ${signedIn.accessToken}`, ...headers },
    signal: leaving.signal,
  });
  const received = { text: "", over: false, broken: false };
  const receive = async () => {
    for await (const chunk of answer.body ?? []) received.text += Buffer.from(chunk).toString();
  };
  const reading = receive().then(
    () => void (received.over = true),
    () => void (received.broken = true),
  );
  return { answer, received, leave: () => leaving.abort(), reading };
}

const textsOf = (text: string) =>
  eventsOf(text)
    .filter(({ event }) => event === undefined)
    .map(({ data }) => JSON.parse(data ?? "").text);

// Guards against a log that comes in another order, form or amount than was asked for.
test("a log is plain text, or events for who asks for them", async (t) => {
  const { admin, path, log } = await startLogs(t);
  const plain = await admin.get(path);
  assert.equal(plain.status, 200);
  assert.equal(plain.headers["content-type"], "text/plain; charset=utf-8");
  assert.equal(plain.text, "line 1\nline 2\nline 3\nline 4\nline 5\n");
  assert.deepEqual(
    [log.asked[0]?.after, log.asked[0]?.tail, log.asked[0]?.follow],
    [null, 1_000, false],
  );
  const last = await admin.get(`${path}?tail=2&timestamps=true`);
  assert.equal(last.text, `${at(4)} line 4\n${at(5)} line 5\n`);
  assert.equal((await admin.get(`${path}?tail=0`)).text, "");
  assert.equal((await admin.get(`${path}?since=${at(3)}`)).text, "line 4\nline 5\n");
  assert.equal(log.asked.at(-1)?.tail, null);
  assert.equal((await admin.get(`${path}?since=${at(1)}&tail=1`)).text, "line 5\n");
  const events = await admin.get(`${path}?tail=1`, { accept: "text/event-stream" });
  assert.equal(events.headers["content-type"], "text/event-stream");
  assert.deepEqual(eventsOf(events.text), [
    { id: at(5), data: `{"at":"${at(5)}","stream":"stdout","text":"line 5"}` },
    { event: "end", data: '{"reason":"caught_up"}' },
  ]);
  const bad = ["tail=-1", "tail=10001", "tail=x", "since=now", `since=${at(1)}x`, "follow=maybe"];
  for (const query of bad) {
    assert.equal((await admin.get(`${path}?${query}`)).status, 422, query);
  }
  assert.equal((await admin.get(path, { "last-event-id": "12" })).status, 422);
  const head = await admin.raw("HEAD", `/api/v1${path}?follow=true`);
  assert.deepEqual([head.status, head.text], [200, ""]);
});

// Guards against logs that others read, and against a look that keeps a lease alive.
test("a log is read by who may, and reading is no use of the lease", async (t) => {
  const { admin, user, stranger, nobody, path, pass } = await startLogs(t);
  for (const caller of [user, stranger]) {
    assert.equal(refusal(await caller.get(path)), "404 ERR_REQUEST_NOT_FOUND");
  }
  assert.equal((await nobody.get(path)).status, 401);
  const idle = await makeLease(admin, { preset: "standard", idleTtlSeconds: 60 });
  for (let round = 0; round < 5; round += 1) {
    await pass(10);
    assert.equal((await admin.get(`/leases/${idle.id}/logs`)).status, 200);
  }
  assert.equal((await admin.get(`/leases/${idle.id}`)).body.expiresInSeconds, 10);
  await pass(10);
  const ended = await admin.get(`/leases/${idle.id}/logs`);
  assert.equal(refusal(ended), "410 ERR_LEASES_OVER");
});

// Guards against last words that nobody can read, of what is paused or about to end.
test("what a paused or ending lease wrote can be read", async (t) => {
  const { admin, engine, lease, path, settle } = await startLogs(t);
  await admin.post(`/leases/${lease.id}/pause?wait=10`);
  assert.equal((await admin.get(`${path}?tail=1`)).text, "line 5\n");
  const held = Promise.withResolvers<void>();
  engine.meddle = (call, when) => (call === "stop" && when === "before" ? held.promise : undefined);
  await admin.delete(`/leases/${lease.id}`);
  await eventually(
    async () => (await admin.get(`/leases/${lease.id}`)).body.state === "stopping",
    "it is being ended",
  );
  assert.equal((await admin.get(`${path}?tail=1`)).text, "line 5\n");
  held.resolve();
  await settle();
  assert.equal(refusal(await admin.get(path)), "410 ERR_LEASES_OVER");
});

// Guards against followers that miss lines, get them twice, or never hear of the end.
test("who resumes by Last-Event-ID has no gap and no line twice", async (t) => {
  const house = await startLogs(t);
  const { test: app, engine, lease, path, log, say } = house;
  await app.app.listen();
  const first = await follow(t, house, `${path}?follow=true&tail=2`);
  await eventually(() => textsOf(first.received.text).length === 2, "the last two lines");
  say(lineOf(6));
  await eventually(() => textsOf(first.received.text).length === 3, "the line that came");
  first.leave();
  await first.reading;
  await eventually(() => log.asked[0]?.signal.aborted === true, "the engine is told");
  // More than the tail that the address still asks for.
  say(lineOf(7), lineOf(8), lineOf(9));
  const lastId = eventsOf(first.received.text).at(-1)?.id ?? "";
  assert.equal(lastId, at(6));
  const second = await follow(t, house, `${path}?follow=true&tail=2`, {
    accept: "text/event-stream",
    "last-event-id": lastId,
  });
  say(lineOf(10, "two\r\nlines\u0000 <🧀>"));
  await eventually(() => textsOf(second.received.text).length === 4, "what was missed");
  log.over = true;
  engine.die(engine.of(lease.id)?.id ?? "", { exitCode: 137, outOfMemory: true });
  log.wake();
  await second.reading;
  assert.deepEqual(
    [...textsOf(first.received.text), ...textsOf(second.received.text)],
    [...[4, 5, 6, 7, 8, 9].map((n) => `line ${n}`), "two\r\nlines\u0000 <🧀>"],
  );
  const { event, data } = eventsOf(second.received.text).at(-1) ?? {};
  assert.equal(event, "end");
  assert.deepEqual(JSON.parse(data ?? ""), {
    reason: "exited",
    exitCode: 137,
    outOfMemory: true,
  });
});

// Guards against a follower who takes a broken engine for the end of a program.
test("a log that breaks off does not look as if it had ended", async (t) => {
  const house = await startLogs(t);
  const { admin, test: app, engine, path } = house;
  await app.app.listen();
  engine.reach.logs = async function* () {
    yield lineOf(1);
    throw runtimeErrors.unavailable({ detail: "Docker does not answer." });
  };
  const events = await follow(t, house, `${path}?follow=true`);
  await events.reading;
  assert.deepEqual([events.received.over, textsOf(events.received.text)], [true, ["line 1"]]);
  assert.ok(!events.received.text.includes("event: end"));
  const text = await follow(t, house, path, {});
  await text.reading;
  assert.deepEqual([text.received.broken, text.answer.status], [true, 200]);
  // Before the first line it is a problem like any other.
  engine.reach.logs = async function* () {
    yield* [];
    throw runtimeErrors.unavailable({ detail: "Docker does not answer." });
  };
  const dead = await admin.get(path);
  assert.equal(refusal(dead), "503 ERR_LEASES_RUNTIME_UNAVAILABLE");
  assert.ok(Number(dead.headers["retry-after"]) > 0);
});

// Guards against an engine's output that piles up in memory, or is thrown away, for a slow reader.
test("a slow reader of a log gets all of it, and the engine waits", async (t) => {
  const house = await startLogs(t, 0);
  const { test: app, path, log } = house;
  await app.app.listen();
  const { signedIn } = await app.person("shared-mine", "tenant_admin");
  const many = 400;
  log.lines = Array.from({ length: many }, (_, n) => lineOf(n + 1, `${n} ${"x".repeat(60_000)}`));
  for (const accept of ["text/event-stream", "text/plain"]) {
    log.given = 0;
    const socket = connect(Number(new URL(app.app.url()).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write(
      `GET /api/v1${path}?follow=false&tail=10000 HTTP/1.1\r\nHost: x\r\nAccept: ${accept}\r\n` +
        `Authorization: Bearer ${signedIn.accessToken}\r\n\r\n`,
    );
    await eventually(() => log.given > 10, "the reading");
    let before = -1;
    while (before < log.given) {
      before = log.given;
      for (let turn = 0; turn < 300; turn += 1) await new Promise((go) => setImmediate(go));
    }
    assert.ok(log.given < many, `${log.given} of ${many} lines were taken from the engine`);
    let received = "";
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.resume();
    await closed;
    const numbers = [...received.matchAll(/(\d+) x{60000}/g)].map(([, n]) => Number(n));
    assert.deepEqual(numbers, [...Array(many).keys()], accept);
  }
});

// Guards against one lease whose readers leave nothing for anybody else.
test("there are so many readers of a lease at once, and a seat is given back", async (t) => {
  const house = await startLogs(t);
  const { admin, test: app, path, log } = house;
  await app.app.listen();
  const readers = [];
  for (let n = 0; n < 20; n += 1) readers.push(await follow(t, house, `${path}?follow=true`, {}));
  const more = await admin.get(path);
  assert.equal(refusal(more), "429 ERR_LEASES_BUSY");
  readers[0]?.leave();
  await eventually(() => log.asked.some(({ signal }) => signal.aborted), "it has left");
  await eventually(async () => (await admin.get(path)).status === 200, "a seat");
  for (const { leave } of readers) leave();
  await eventually(() => log.open === 0, "nothing is being read any more");
  // Of what is not followed too: a reader who has left, and one who is refused in the last moment.
  log.lines = Array.from({ length: 900 }, (_, n) => lineOf(n + 1, "x".repeat(60_000)));
  const slow = await follow(t, house, path, {});
  await eventually(() => log.open === 1, "it is being read");
  slow.leave();
  await eventually(() => log.open === 0, "it is left");
  // A server that stops waits for none of them: the fixture stops it, and would hang.
});
