import assert from "node:assert/strict";
import { test } from "node:test";
import { createSealer } from "../secrets/seal.ts";
import { startIdentity } from "../testing/identity.ts";
import { forgetEndedIdentities } from "./housekeeping.ts";
import { createTickets } from "./tickets.ts";

const path = "/api/v1/leases/019A/terminal";
const invalid = { code: "ERR_IDENTITY_INVALID_TICKET", status: 401 };

// Guards against a ticket that opens more than one thing, once, for a moment.
test("a ticket stands for its credentials once, for one address, for 30 s", async (t) => {
  const id = await startIdentity(t);
  const tickets = createTickets(id);
  const elsewhere = createTickets({
    ...id,
    sealer: createSealer(Buffer.alloc(32, 9), [], id.random),
  });
  const headers = { authorization: "Bearer secret", cookie: "refresh=1", host: "x" };
  const issue = () => tickets.issue(headers, path).ticket;

  const { ticket, expiresAt } = tickets.issue(headers, path);
  assert.equal(Date.parse(expiresAt), id.clock.nowMs() + 30_000);
  assert.doesNotMatch(Buffer.from(ticket, "base64url").toString("latin1"), /secret|refresh/);
  await assert.rejects(tickets.redeem(ticket, "/api/v1/leases/019B/terminal"), invalid);
  await assert.rejects(elsewhere.redeem(ticket, path), invalid);
  await assert.rejects(tickets.redeem(`${ticket.slice(0, -2)}AA`, path), invalid);
  await assert.rejects(tickets.redeem("plm_nothing", path), invalid);
  // Those of a path in other letters are the same; what was refused above has not used it up.
  assert.deepEqual(await tickets.redeem(ticket, path.toLowerCase()), {
    authorization: "Bearer secret",
  });
  await assert.rejects(tickets.redeem(ticket, path), invalid);

  const key = tickets.issue({ "x-api-key": "plm_key" }, path).ticket;
  assert.deepEqual(await tickets.redeem(key, path), { "x-api-key": "plm_key" });
  const contested = issue();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, () => tickets.redeem(contested, path)),
  );
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);

  const late = issue();
  id.clock.advance(30_000);
  await assert.rejects(tickets.redeem(late, path), invalid);
  assert.equal(
    (await forgetEndedIdentities(id)).tickets,
    3,
    "used ones that nobody could use again",
  );
  assert.equal((await forgetEndedIdentities(id)).tickets, 0);
});
