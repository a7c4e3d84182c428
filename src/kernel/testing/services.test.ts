import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { requireService } from "./services.ts";

// Guards against a missing component passing for a tested one.
test("an absent component skips with the reason, and fails when all are required", async (t) => {
  // Something listens, but it is no etcd.
  const server = createServer((socket) => socket.end("220 mail\r\n")).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  assert(typeof address === "object" && address);
  const { PLIMSOLL_TEST_ETCD_URL: before, PLIMSOLL_REQUIRE_ALL: all } = process.env;
  t.after(() => {
    for (const [name, value] of Object.entries({
      PLIMSOLL_TEST_ETCD_URL: before,
      PLIMSOLL_REQUIRE_ALL: all,
    })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  process.env.PLIMSOLL_TEST_ETCD_URL = `http://user:hidden@127.0.0.1:${address.port}`;
  delete process.env.PLIMSOLL_REQUIRE_ALL;
  const reasons: string[] = [];
  const context = { skip: (reason: string) => void reasons.push(reason) };
  assert.equal(await requireService(context, "etcd"), null);
  assert.equal(reasons.length, 1);
  assert.match(
    reasons[0] as string,
    /needs etcd: .*something else answers.*PLIMSOLL_TEST_ETCD_URL/,
  );
  assert.doesNotMatch(reasons[0] as string, /hidden/);
  process.env.PLIMSOLL_REQUIRE_ALL = "1";
  await assert.rejects(requireService(context, "etcd"), /needs etcd/);
  assert.equal(reasons.length, 1);
});
