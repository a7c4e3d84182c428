import assert from "node:assert/strict";
import { test } from "node:test";
import { json, runCli, startStub, temporaryHome } from "./fixture.ts";

const running = {
  type: "about:blank",
  title: "The request conflicts with what is already stored",
  status: 409,
  code: "ERR_REQUEST_CONFLICT",
  detail: "Job 4 is running: ask again when this attempt has ended.",
};

// Guards against a script that can't tell which job was started anew, or that it was not.
test("jobs are retried and given up by their number, also by programs", async (t) => {
  const { url, received } = await startStub(t, ({ url: path }, response) => {
    if (path.includes("/4")) json(response, 409, running);
    else response.writeHead(204).end();
  });
  const home = await temporaryHome(t);
  const run = (...argv: string[]) =>
    runCli(["jobs", ...argv, "--api", url], { home, env: { PLIMSOLL_API_KEY: "plm_x" } });
  assert.deepEqual(JSON.parse((await run("retry", "1", "--json")).stdout), { retried: "1" });
  assert.deepEqual(JSON.parse((await run("delete", "1", "--json")).stdout), { deleted: "1" });
  assert.match((await run("retry", "1")).stderr, /Job 1 starts anew/);
  const refused = await run("retry", "4");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Job 4 is running/);
  assert.deepEqual(
    received.map(({ method, url: path }) => `${method} ${path}`),
    [
      "POST /api/v1/admin/jobs/1/retry",
      "DELETE /api/v1/admin/jobs/1",
      "POST /api/v1/admin/jobs/1/retry",
      "POST /api/v1/admin/jobs/4/retry",
    ],
  );
});
