import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { noProcessRuntime, processHouse } from "../fixtures/process-runtime.ts";

const reason = await noProcessRuntime();

// Guards against a disk that fills with what killed servers leave in the middle of snapshots.
test("archives and what is left of them are found, and go one by one", {
  skip: reason,
}, async (t) => {
  const { runtime, running, folder } = processHouse(t);
  const { id } = await running({ writable: true });
  const kept = { tenantId: "tenant-a", snapshotId: "half" };
  const { image } = await runtime.snapshot(id, { ...kept, scrubEnv: [] });
  const draft = "0123456789abcdef";
  writeFileSync(join(folder, "snapshots", "tenant-a", `half.tar.${draft}`), "half");
  const whole = { ...kept, image, isDraft: false };
  const half = { ...kept, image: `${image}~${draft}`, isDraft: true };
  assert.deepEqual(await runtime.keptImages?.(), [whole, half]);
  await runtime.removeSnapshot(half.image);
  assert.deepEqual(await runtime.keptImages?.(), [whole]);
  await runtime.removeSnapshot(image);
  assert.deepEqual(await runtime.keptImages?.(), []);
});
