import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import { RowFormat, rowsAnswer, sendRows } from "./download.ts";
import { rawExchange, type TestHttp, testHttp } from "./fixture.ts";
import { line, strict } from "./schemas.ts";
import type { App } from "./types.ts";

interface Row {
  id: number;
  note: string;
}

interface Bench extends TestHttp {
  /** Batches that were asked for, over all downloads. */
  asked: number;
  /** Downloads whose source was told to end. */
  ended: number;
}

const rowsPerBatch = 100;

/** Text that no encoding makes much shorter, so that it leaves the server as it comes. */
const noteOf = (n: number) => `note, ${hash("sha512", String(n), "base64")}`;

/** A server with a download of `batches` batches; `failAt` makes that one fail. */
function bench(t: TestContext, batches: number, { failAt = -1, onBatch = () => {} } = {}): Bench {
  const counted = { asked: 0, ended: 0 };
  async function* source(): AsyncGenerator<Row[]> {
    try {
      for (let batch = 0; batch < batches; batch += 1) {
        counted.asked += 1;
        onBatch();
        if (batch === failAt) throw new Error("the source broke");
        const row = (n: number) => ({ id: batch * rowsPerBatch + n, note: noteOf(n) });
        yield Array.from({ length: rowsPerBatch }, (_, n) => row(n));
      }
    } finally {
      counted.ended += 1;
    }
  }
  const columns = { id: ({ id }: Row) => id, note: ({ note }: Row) => note };
  const row = strict({ id: Type.Integer({ examples: [1] }), note: line(99, "A note.", "=a") });
  const http = testHttp(t, (app: App) => {
    app.get(
      "/things/export",
      {
        schema: {
          summary: "Export",
          querystring: strict({ format: RowFormat }),
          response: { 200: rowsAnswer("All of them.", row, columns) },
        },
        config: { permission: "thing:read" },
      },
      (request, reply) =>
        sendRows(request, reply, {
          name: "things",
          format: request.query.format,
          columns,
          rows: source(),
        }),
    );
  });
  return Object.assign(counted, http);
}

const path = "/api/v1/things/export";
const asAda = { authorization: "Bearer ada" };
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let n = 0; n < 20_000 && !holds(); n += 1) await turn();
  assert.ok(holds(), what);
}

// Guards against a file that lacks rows, breaks at a comma, or is called something else.
test("all rows arrive as CSV or as JSON lines", async (t) => {
  const made = bench(t, 3);
  const csv = await made.app.inject({ url: path, headers: asAda });
  assert.equal(csv.statusCode, 200);
  assert.equal(csv.headers["content-type"], "text/csv; charset=utf-8");
  assert.equal(csv.headers["content-disposition"], 'attachment; filename="things.csv"');
  const lines = csv.payload.split("\r\n");
  assert.equal(lines.length, 302);
  assert.equal(lines[0], "id,note");
  assert.equal(lines[300], `299,"${noteOf(99)}"`);
  assert.equal(lines[301], "");
  const json = await made.app.inject({ url: `${path}?format=ndjson`, headers: asAda });
  assert.equal(json.headers["content-type"], "application/x-ndjson; charset=utf-8");
  assert.deepEqual(
    json.payload
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text).id),
    Array.from({ length: 300 }, (_, n) => n),
  );
  assert.equal(made.ended, 2);
  const empty = bench(t, 0);
  assert.equal((await empty.app.inject({ url: path, headers: asAda })).payload, "id,note\r\n");
  const head = await made.app.inject({ method: "HEAD", url: path, headers: asAda });
  assert.equal(head.statusCode, 200);
  assert.deepEqual([made.asked, made.ended], [6, 2]);
});

// Guards against half a file that is taken for a whole one, compressed or not.
test("a source that fails is a problem at first, and a cut connection later", async (t) => {
  const early = bench(t, 3, { failAt: 0 });
  const answer = await early.app.inject({ url: path, headers: asAda });
  assert.equal(answer.statusCode, 500);
  assert.equal(answer.headers["content-type"], "application/problem+json");
  assert.equal(answer.headers["content-disposition"], undefined);
  const late = bench(t, 100, { failAt: 50 });
  const url = await late.listen();
  for (const encoding of ["identity", "gzip", "zstd"]) {
    const head = `GET ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ada\r\n`;
    const received = await rawExchange(url, `${head}accept-encoding: ${encoding}\r\n\r\n`);
    assert.match(received, /^HTTP\/1.1 200/);
    assert.equal(/^content-encoding/im.test(received), encoding !== "identity", encoding);
    assert.doesNotMatch(received, /\r\n0\r\n\r\n$/, `${encoding}: the answer looks whole`);
  }
  assert.deepEqual([early.ended, late.ended], [1, 3]);
  // Every seat was given back.
  assert.equal((await early.app.inject({ url: path, headers: asAda })).statusCode, 500);
});

// Guards against a reader who makes the server hold what it has not read, or who is never let go.
test("a slow reader is waited for; one who leaves ends the source", async (t) => {
  for (const encoding of ["identity", "gzip"]) {
    const made = bench(t, 1_000_000);
    const url = await made.listen();
    const abort = new AbortController();
    const answer = await fetch(`${url}${path}`, {
      headers: { ...asAda, "accept-encoding": encoding },
      signal: abort.signal,
    });
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    let seen = -1;
    // Until the buffers between here and there are full.
    while (seen !== made.asked) {
      seen = made.asked;
      for (let n = 0; n < 2_000; n += 1) await turn();
    }
    assert.ok(made.asked < 100_000, `${made.asked} batches for a reader who reads nothing`);
    assert.equal(made.ended, 0);
    abort.abort();
    await reader.closed.catch((error: Error) => assert.equal(error.name, "AbortError"));
    await until(() => made.ended === 1, "the source was left open");
    assert.ok(made.asked <= seen + 2);
  }
});

// Guards against a reader who was gone before the first row came, and whose seat is kept.
test("who leaves before the first row ends the source too", async (t) => {
  const held = { abort: new AbortController() };
  const made = bench(t, 10, { onBatch: () => held.abort.abort() });
  const url = await made.listen();
  for (let time = 0; time < 5; time += 1) {
    held.abort = new AbortController();
    const gone = fetch(`${url}${path}`, { headers: asAda, signal: held.abort.signal });
    await assert.rejects(gone, { name: "AbortError" });
    await until(() => made.ended === time + 1, "the source was left open");
  }
});

// Guards against downloads that take every connection, and against one tenant taking every turn.
test("two downloads a tenant, a quarter of the connections in all", async (t) => {
  const made = bench(t, 1_000_000);
  const url = await made.listen();
  const aborts: AbortController[] = [];
  const begin = (name: string) => {
    const abort = new AbortController();
    aborts.push(abort);
    return fetch(`${url}${path}`, {
      headers: { authorization: `Bearer ${name}`, "accept-encoding": "identity" },
      signal: abort.signal,
    });
  };
  // Kept, since an answer that nobody holds is cancelled when it is collected.
  const answers: Response[] = [];
  const statusOf = async (name: string) => {
    const answer = await begin(name);
    answers.push(answer);
    if (answer.status === 429) assert.equal(answer.headers.get("retry-after"), "30");
    return answer.status;
  };
  // The fixture has eight connections.
  assert.deepEqual([await statusOf("ada"), await statusOf("eve")], [200, 200]);
  assert.deepEqual([await statusOf("ada"), await statusOf("eve")], [429, 429]);
  aborts[1]?.abort();
  await until(() => made.ended === 1, "the source was left open");
  assert.deepEqual([await statusOf("bob"), await statusOf("ada")], [200, 429]);
  for (const abort of aborts) abort.abort();
});

// Guards against a reader who trickles for days and keeps a snapshot of the database all the while.
test("a download ends after an hour, cut off", async (t) => {
  const held: { made?: Bench } = {};
  const onBatch = () => held.made?.clock.advance(31 * 60_000);
  held.made = bench(t, 4, { onBatch });
  const url = await held.made.listen();
  const request = `GET ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ada\r\n\r\n`;
  const received = await rawExchange(url, request);
  assert.match(received, /^HTTP\/1.1 200/);
  assert.doesNotMatch(received, /\r\n0\r\n\r\n$/);
  assert.deepEqual([held.made.asked, held.made.ended], [3, 1]);
});

// Guards against a reference that doesn't show what the file will look like.
test("the answer's examples are made of the row's", () => {
  const row = strict({ id: Type.Integer({ examples: [1] }), note: line(99, "A note.", "=a") });
  const answer = rowsAnswer("All.", row, { id: (one: Row) => one.id, note: (one) => one.note });
  assert.deepEqual(answer.content, {
    "text/csv": { schema: { type: "string" }, example: "id,note\r\n1,'=a\r\n" },
    "application/x-ndjson": { schema: { type: "string" }, example: '{"id":1,"note":"=a"}\n' },
  });
  const columns = { id: (one: Row) => one.id };
  assert.deepEqual(Object.keys(rowsAnswer("All.", row, columns, ["csv"]).content), ["text/csv"]);
});
