import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { Readable } from "node:stream";
import { test } from "node:test";
import { dockerHouse } from "./docker-fixture.ts";
import { imageArchive, keptImageOf, snapshotNames } from "./docker-snapshot.ts";
import { firstFileOf } from "./docker-tar.ts";

const never = new AbortController().signal;
const code = (name: string) => ({ code: `ERR_LEASES_RUNTIME_${name}` });

// Guards against a secret that travels with an image, and against labels that make two leases one.
test("the image that is loaded has the layers, the program and nothing that is named", () => {
  const archive = imageArchive(
    {
      Id: "sha256:0",
      Created: "2026-01-02T03:04:05Z",
      Architecture: "amd64",
      Os: "linux",
      Size: 1,
      RootFS: { Type: "layers", Layers: ["sha256:a", "sha256:b"] },
      Config: {
        User: "1000:1000",
        WorkingDir: "/app",
        Env: ["PATH=/bin", "TOKEN=hunter2", "TOKENS=fine", "EMPTY"],
        Cmd: ["serve"],
        Labels: { "plimsoll.lease": "one", maintainer: "them" },
      },
    },
    "plimsoll/i/t/snapshot:s",
    ["TOKEN", "EMPTY"],
  );
  const config = JSON.parse(firstFileOf(archive)?.toString() ?? "");
  assert.deepEqual(config.config, {
    User: "1000:1000",
    WorkingDir: "/app",
    Cmd: ["serve"],
    Labels: { maintainer: "them" },
    Env: ["PATH=/bin", "TOKENS=fine"],
  });
  assert.deepEqual(config.rootfs, { type: "layers", diff_ids: ["sha256:a", "sha256:b"] });
  assert.equal(config.history.length, 2);
  assert.doesNotMatch(archive.toString("latin1"), /hunter2/);
  const listed = execFileSync("tar", ["-tf", "-"], { input: archive }).toString().split("\n");
  assert.match(listed[0] ?? "", /^[0-9a-f]{64}\.json$/);
  assert.equal(listed[1], "manifest.json");
});

// Guards against one tenant's or installation's snapshot being taken for another's.
test("snapshots are called after installation and tenant", () => {
  const request = { tenantId: "t", snapshotId: "s", scrubEnv: [] };
  const { image, draft } = snapshotNames("i", request);
  assert.deepEqual([image, draft], ["plimsoll/i/t/snapshot:s", "plimsoll/i/t/draft:s"]);
  const kept = { tenantId: "t", snapshotId: "s" };
  assert.deepEqual(keptImageOf("i", draft), { image: draft, ...kept, isDraft: true });
  assert.deepEqual(keptImageOf("i", image), { image, ...kept, isDraft: false });
  for (const other of ["plimsoll/j/t/draft:s", "draft:s", "plimsoll/i/t/draft:s/x", "alpine"]) {
    assert.equal(keptImageOf("i", other), null, other);
  }
});

// Guards against lost work, and against secrets in what is kept for months.
test("a snapshot keeps the files and the plain variables, and no secret anywhere", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, engine } = house;
  const env = { TOKEN: "hunter2", OTHER_TOKEN: "swordfish", PLAIN: "kept" };
  const { id } = await house.run({ writable: true, env });
  assert.equal((await house.sh(id, "echo $TOKEN $OTHER_TOKEN")).stdout, "hunter2 swordfish\n");
  await runtime.putFile(id, "work", Readable.from([Buffer.from("a day's work")]), 1_000);
  const request = {
    tenantId: "tenant-a",
    snapshotId: "01-snap",
    scrubEnv: ["TOKEN", "OTHER_TOKEN"],
  };
  const taken = await runtime.snapshot(id, request);
  assert.equal(taken.image, `plimsoll/${house.installId}/tenant-a/snapshot:01-snap`);
  assert(taken.sizeBytes >= 12 && taken.sizeBytes < 1_000_000, String(taken.sizeBytes));
  assert.deepEqual(await runtime.snapshot(id, request), taken);
  assert.equal((await house.sh(id, "cat work")).stdout, "a day's work");
  for (const path of ["json", "history"]) {
    const { body } = await engine.ask("look", {
      method: "GET",
      path: `/images/${taken.image}/${path}`,
    });
    assert.doesNotMatch(JSON.stringify(body), /TOKEN|hunter2|swordfish/);
  }
  const saved = await engine.ask<Buffer>("save", {
    method: "GET",
    path: `/images/${taken.image}/get`,
    deadlineMs: 60_000,
  });
  assert.doesNotMatch(saved.body.toString("latin1"), /hunter2|swordfish/);
  const images = await engine.ask<{ RepoTags: string[] | null }[]>("list", {
    method: "GET",
    path: "/images/json",
    query: { all: true },
  });
  const tags = images.body.flatMap(({ RepoTags }) => RepoTags ?? []);
  assert.deepEqual(
    tags.filter((tag) => tag.includes(house.installId)),
    [taken.image],
  );
  await runtime.remove(id);
  const restored = await house.run({ image: taken.image, writable: true, command: null });
  const inside = await house.sh(restored.id, 'cat work; echo " $PLAIN [$TOKEN]"; ps');
  assert.match(inside.stdout, /^a day's work kept \[\]\n/);
  assert.match(inside.stdout, /sleep 600/);
  assert.notEqual(restored.identity.leaseId, "");
});

// Guards against removing an image that is not a snapshot of this installation.
test("removing a snapshot may be repeated, and reaches nothing else", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, installId, image, spec } = house;
  const { id } = await house.run({ writable: true });
  const { image: taken } = await runtime.snapshot(id, {
    tenantId: "tenant-a",
    snapshotId: "gone",
    scrubEnv: [],
  });
  const others = [image, "plimsoll/other/t/snapshot:x", `plimsoll/${installId}/t/else:x`];
  for (const other of [...others, `plimsoll/${installId}/../../x/snapshot:x`]) {
    await assert.rejects(runtime.removeSnapshot(other), code("REFUSED"), other);
  }
  await runtime.removeSnapshot(taken);
  await runtime.removeSnapshot(taken);
  await assert.rejects(runtime.create(spec({ image: taken }), never), {
    ...code("IMAGE_MISSING"),
    message: /no image/,
  });
  const readOnly = await house.run();
  const request = { tenantId: "tenant-a", snapshotId: "none", scrubEnv: [] };
  await assert.rejects(runtime.snapshot(readOnly.id, request), {
    ...code("REFUSED"),
    message: /read-only/,
  });
  const scrubEnv = ["A\nRUN id"];
  await assert.rejects(runtime.snapshot(id, { ...request, scrubEnv }), code("REFUSED"));
  assert.match((await house.sh(id, "echo alive")).stdout, /alive/);
});

// Guards against a disk that fills with what killed servers leave in the middle of snapshots.
test("what is left of a snapshot that was half taken is found, and goes", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, engine, installId } = house;
  const { id } = await house.run({ writable: true });
  const kept = { tenantId: "tenant-a", snapshotId: "half" };
  const draft = `plimsoll/${installId}/tenant-a/draft`;
  const leaveHalf = () =>
    engine.ask("take half of a snapshot", {
      method: "POST",
      path: "/commit",
      query: { container: id, repo: draft, tag: "half" },
      deadlineMs: 60_000,
    });
  const labelled = async () => {
    const filters = JSON.stringify({ label: [`plimsoll.install=${installId}`] });
    const query = { all: true, filters };
    return (await engine.ask<object[]>("list", { method: "GET", path: "/images/json", query }))
      .body;
  };
  await leaveHalf();
  const half = { ...kept, image: `${draft}:half`, isDraft: true };
  assert.deepEqual(await runtime.keptImages?.(), [half]);
  const { image } = await runtime.snapshot(id, { ...kept, scrubEnv: [] });
  const whole = { ...kept, image, isDraft: false };
  assert.deepEqual(await runtime.keptImages?.(), [whole]);
  assert.deepEqual(await labelled(), [], "drafts without a name");
  await leaveHalf();
  await runtime.removeSnapshot(half.image);
  assert.deepEqual(await runtime.keptImages?.(), [whole]);
});
