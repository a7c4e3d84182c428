import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../testing/database.ts";
import { eraseRows, referringFirst } from "./erase.ts";
import { withClient } from "./roles.ts";

const [doomed, neighbour] = [
  "00000000-0000-7000-8000-00000000000a",
  "00000000-0000-7000-8000-00000000000b",
];
const rowsOfEach = 20_001;
const { signal } = new AbortController();

const fill = `insert into platform.job_progress (tenant_id, resource_type, resource_id, done)
  select $1::uuid, 'import', n, 0 from generate_series(1, ${rowsOfEach}) n`;

// Guards against an erasure that takes another tenant's rows, stops early, or has to be whole.
test("one tenant's rows go, however many, and as the superuser no other's", async (t) => {
  const { ownerUrl, adminUrl } = await testDatabase(t);
  await withClient(adminUrl, async (client) => {
    const count = async () => {
      const { rows } = await client.query(
        `select tenant_id as id, count(*)::int as n from platform.job_progress
          group by 1 order by 1`,
      );
      return rows.map(({ id, n }) => [id, n]);
    };
    for (const id of [doomed, neighbour]) await client.query(fill, [id]);
    const stopped = AbortSignal.abort(new Error("stopping"));
    await assert.rejects(eraseRows(ownerUrl, doomed, stopped), /stopping/);
    assert.deepEqual(await count(), [
      [doomed, rowsOfEach],
      [neighbour, rowsOfEach],
    ]);
    assert.equal(await eraseRows(ownerUrl, doomed, signal), rowsOfEach);
    assert.equal(await eraseRows(ownerUrl, doomed, signal), 0);
    // Row-level security does not bind this one.
    await client.query(fill, [doomed]);
    assert.equal(await eraseRows(adminUrl, doomed, signal), rowsOfEach);
    assert.deepEqual(await count(), [[neighbour, rowsOfEach]]);
  });
});

// Guards against an order in which a foreign key refuses, found only when a tenant is to go.
test("what refers to others comes before them, and a circle is named", () => {
  const table = (name: string, ...refersTo: string[]) => ({ name, refersTo });
  const tables = [
    table("shop"),
    table("order", "shop"),
    table("line", "order", "shop"),
    table("x"),
  ];
  assert.deepEqual(
    referringFirst(tables).map(({ name }) => name),
    ["line", "x", "order", "shop"],
  );
  assert.throws(() => referringFirst([table("x"), table("a", "b"), table("b", "a")]), /: a, b$/);
});
