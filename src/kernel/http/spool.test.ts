import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Type } from "typebox";
import { testHttp } from "./fixture.ts";
import { spoolBody, withSpool } from "./spool.ts";
import type { App } from "./types.ts";

async function spoolFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => /^plimsoll-.{6}$/.test(name));
}

/** Open files of this process that have lost their name. */
async function namelessFiles(): Promise<number> {
  if (process.platform !== "linux") return 0;
  const links = (await readdir("/proc/self/fd")).map((fd) =>
    readlink(`/proc/self/fd/${fd}`).catch(() => "it was closed meanwhile"),
  );
  return (await Promise.all(links)).filter((path) => path.endsWith("/spool (deleted)")).length;
}

// Guards against files of strangers that stay on the disk, also when the work with them fails.
test("a spool is read as often as is wanted, and leaves nothing behind", async () => {
  const before = await spoolFolders();
  const seen = await withSpool(async (spool) => {
    await spool.append("crème ");
    await spool.append(Buffer.from("brûlée"));
    const texts = [await text(spool.read()), await text(spool.read())];
    await spool.append("!");
    for await (const _ of spool.read()) break;
    assert.equal(await namelessFiles(), process.platform === "linux" ? 1 : 0);
    return [...texts, await text(spool.read())];
  });
  assert.deepEqual(seen, ["crème brûlée", "crème brûlée", "crème brûlée!"]);
  const fail = withSpool(async (spool) => {
    await spool.append("x".repeat(100_000));
    throw new Error("no use");
  });
  await assert.rejects(fail, /no use/);
  assert.equal(await namelessFiles(), 0);
  assert.deepEqual(await spoolFolders(), before);
});

// Guards against a full disk that looks like a fault of ours.
test("a full disk is answered 503", async () => {
  const full = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  await assert.rejects(
    withSpool(async () => {
      throw full;
    }),
    { code: "ERR_REQUEST_UNAVAILABLE" },
  );
});

// Guards against an idempotency key that takes one file for another.
test("a spooled body has its digest, and one beyond the limit is refused", async (t) => {
  const routes = (app: App) =>
    app.put(
      "/things/file",
      {
        schema: { summary: "File", response: { 200: Type.Object({ digest: Type.String() }) } },
        config: { permission: "thing:create", accepts: ["text/csv"], bodyLimitBytes: 200_000 },
      },
      (request) =>
        withSpool(async (spool) => {
          await spoolBody(request, spool);
          return { digest: request.bodyDigest?.toString("hex") ?? "" };
        }),
    );
  const http = testHttp(t, routes);
  const put = (payload: string) =>
    http.app.inject({
      method: "PUT",
      url: "/api/v1/things/file",
      headers: { authorization: "Bearer ada", "content-type": "text/csv" },
      payload,
    });
  for (const body of ["", "a,b\n", "x".repeat(200_000)]) {
    const expected = createHash("sha256").update(body).digest("hex");
    assert.equal((await put(body)).json().digest, expected);
  }
  assert.equal((await put("x".repeat(200_001))).statusCode, 413);
  assert.equal(await namelessFiles(), 0);
});
