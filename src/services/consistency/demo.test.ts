import assert from "node:assert/strict";
import { test } from "node:test";
import { startConsistency } from "./fixture.ts";

// Guards against a demo that no start can fill, and stores of it that nobody can use.
test("the demo has a store of each mode, to be used at once", async (t) => {
  const { admin, service, tenant } = await startConsistency(t);
  const deps = service.deps();
  await deps.db.inTenant(tenant, (tx) => service.demo!(tx, deps));
  const { items } = (await admin.get("/stores")).body;
  const modes = items.map(({ mode }: { mode: string }) => mode);
  assert.deepEqual(modes, ["AP", "CP"]);
  for (const { id } of items) {
    assert.equal((await admin.put(`/stores/${id}/keys/a`, { value: 1 })).status, 200);
  }
});
