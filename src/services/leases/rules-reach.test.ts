import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createReplay } from "./engine/replay.ts";
import { answeredHeaders, askedHeaders, pathBelow, rewriteLocation } from "./rules/forwarding.ts";
import { readWord } from "./rules/terminal.ts";

// Guards against bytes that a replay loses, repeats or mixes up, and against memory without end.
test("a replay holds exactly the last bytes, however they came", () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 60 });
  const most = fc.integer({ min: 1, max: 64 });
  fc.assert(
    fc.property(chunks, most, fc.nat({ max: 3_000 }), (pieces, bytesMax, asked) => {
      const replay = createReplay(bytesMax);
      for (const piece of pieces) replay.push(Buffer.from(piece));
      const all = Buffer.concat(pieces);
      const from = Math.min(asked, all.length);
      const { position, bytes } = replay.since(from);
      assert.equal(replay.endPosition, all.length);
      assert.equal(position, Math.max(from, all.length - bytesMax));
      assert.deepEqual(bytes, all.subarray(position));
    }),
  );
  const large = createReplay(262_144);
  for (let n = 0; n < 5_000; n += 1) large.push(Buffer.from(`${n}\n`.repeat(60)));
  const { position, bytes } = large.since(0);
  assert.equal(position, large.endPosition - 262_144);
  assert.ok(bytes.toString().endsWith("4999\n4999\n"));
});

// Guards against a client that makes the server do what the protocol does not know.
test("only the protocol's own words are read", () => {
  assert.deepEqual(readWord('{"type":"resize","columns":80,"rows":24,"more":1}'), {
    type: "resize",
    columns: 80,
    rows: 24,
  });
  for (const type of ["pause", "resume", "end"]) {
    assert.deepEqual(readWord(JSON.stringify({ type })), { type });
  }
  for (const text of [
    "",
    "null",
    "[]",
    '"end"',
    '{"type":"exec"}',
    '{"type":"resize"}',
    '{"type":"resize","columns":0,"rows":24}',
    '{"type":"resize","columns":80,"rows":1001}',
    '{"type":"resize","columns":"80","rows":24}',
    '{"type":"resize","columns":80.5,"rows":24}',
  ]) {
    assert.equal(readWord(text), null, text);
  }
});

const came = {
  address: "192.0.2.7",
  protocol: "https" as const,
  host: "desk.test",
  prefix: "/p",
  requestId: "r1",
};

// Guards against credentials that reach a container under a name that nobody has thought of.
test("what Connection lists stays with the connection, whatever it is", () => {
  const asked = askedHeaders(
    {
      connection: "close, X-Session , x-forwarded-for",
      "x-session": "secret",
      "x-api-key": "plm_x",
      "x-forwarded-user": "root",
      accept: "*/*",
    },
    80,
    came,
  );
  assert.deepEqual(asked, {
    accept: "*/*",
    host: "localhost:80",
    via: "1.1 plimsoll",
    "x-forwarded-for": "192.0.2.7",
    "x-forwarded-host": "desk.test",
    "x-forwarded-prefix": "/p",
    "x-forwarded-proto": "https",
    "x-request-id": "r1",
  });
  const said = answeredHeaders({ connection: "x-hop", "x-hop": "1", "set-cookie": ["a=1"] }, null);
  assert.deepEqual(Object.keys(said).sort(), ["cache-control", "content-security-policy", "via"]);
});

// Guards against an address that is read in one way here and in another by the container.
test("what is asked below a port is passed on letter for letter", () => {
  const at = "/api/v1/leases/019A/ports/8080";
  assert.equal(pathBelow(`${at}/`), "/");
  assert.equal(pathBelow(`${at}/%2e%2e/a?b=/c/ports/1/`), "/%2e%2e/a?b=/c/ports/1/");
  assert.equal(pathBelow(`${at}//evil.test/x`), "//evil.test/x");
  assert.equal(pathBelow(at), null);
  assert.equal(pathBelow(`/api/v1/%6ceases/019A/ports/8080/`), null);
  const hosts = ["localhost:8080", "desk.test"];
  const way = { prefix: "/p", path: "//evil.test/x", hosts };
  assert.equal(rewriteLocation("y", { ...way, path: "/a/b" }), "/p/a/y");
  assert.equal(rewriteLocation("y", way), null, "a path that is a host to some");
  assert.equal(rewriteLocation("http://user:pass@localhost:8080/x", way), "/p/x");
});
