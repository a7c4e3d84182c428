import assert from "node:assert/strict";
import { test } from "node:test";
import { withClient } from "#kernel/db/roles.ts";
import { startLeases } from "./fixture.ts";
import { claimDue } from "./store/due.ts";

const tenants = 500;
const due = 10_000;
const toCome = 10_000;

// Guards against a tenant that keeps all others waiting, and against looking at all that is to come
// five times a second.
test("of all that is due a little is taken, and of no tenant too much", async (t) => {
  const { db, deps, clock, test: app } = await startLeases(t);
  const moment = new Date(clock.nowMs()).toISOString();
  await withClient(app.app.ownerUrl, async (client) => {
    const add = `insert into leases.lease_due (of_tenant, kind, subject_id, due_at)
      select md5($1 || n % $2::int)::uuid, 'lease', gen_random_uuid(), $3::timestamptz + n * $4::interval
        from generate_series(1, $5::int) n`;
    await client.query(add, ["many ", tenants, moment, "-1 ms", due]);
    await client.query(add, ["one ", 1, moment, "-1 minute", 100]);
    await client.query(add, ["later ", tenants, moment, "1 minute", toCome]);
    await client.query("analyze leases.lease_due");
  });
  const claim = { limit: 64, perTenant: 16, holdMs: 2_000, clock };
  const take = () => claimDue(db, { ...claim, id: deps.random.id() });
  const first = await take();
  const all = [...first, ...(await Promise.all([take(), take()])).flat()];
  const keys = new Set(all.map(({ tenantId, subjectId }) => `${tenantId} ${subjectId}`));
  assert.equal(keys.size, all.length, "taken twice");
  const counts = [...Map.groupBy(first, ({ tenantId }) => tenantId).values()].map(
    (of) => of.length,
  );
  assert.equal(Math.max(...counts), 16);
  assert.ok(counts.length > 32, "others have their turn");
  assert.ok(all.every(({ dueAtMs }) => dueAtMs <= clock.nowMs()));
  clock.advance(2_000);
  const again = await take();
  assert.deepEqual(
    again.map(({ subjectId }) => subjectId).sort(),
    first.map(({ subjectId }) => subjectId).sort(),
    "what nobody lived to do is somebody else's",
  );
});
