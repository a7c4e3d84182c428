import assert from "node:assert/strict";
import { test } from "node:test";
import { createTenants } from "../tenancy/tenants.ts";
import { eventHouse } from "../testing/events.ts";
import { emit } from "./emit.ts";
import { pruneEvents } from "./prune.ts";
import { eventsAfter } from "./store.ts";

const day = 24 * 60 * 60_000;

// Guards against a log that grows for ever, and against pruning what nobody was told yet.
test("events are forgotten after a month, unless they wait to be handed out", async (t) => {
  const house = await eventHouse(t);
  const { db, clock } = house;
  const tenants = createTenants({ db, clock });
  const told = [await house.tenant(), await house.tenant()];
  const tell = async () => {
    for (const tenant of told) {
      await db.inTenant(tenant, async (tx) => {
        emit(tx, { type: "shop.updated", resource: { type: "shop", id: "1" }, data: {} });
      });
    }
  };
  await tell();
  await house.relay();
  await tell();
  // Events carry the database's time.
  const { rows } = await db.inPlatform((tx) => tx.query<{ now: string }>("select now()"));
  const nowMs = Date.parse(rows[0]?.now ?? "");
  const prune = () => pruneEvents({ db, clock, tenants, signal: new AbortController().signal });
  clock.set(nowMs + 29 * day);
  assert.equal(await prune(), 0);
  clock.set(nowMs + 31 * day);
  assert.equal(await prune(), 2);
  await house.relay();
  for (const { id } of told) assert.equal((await eventsAfter(db, id, 0, 10)).length, 1);
});
