import assert from "node:assert/strict";
import { test } from "node:test";
import { logout, refreshSession } from "#kernel/identity/sessions.ts";
import { makeLease, refusal } from "./fixture.ts";
import { hear, startTerminals } from "./fixtures/terminals.ts";
import { terminalProtocol } from "./rules/terminal.ts";

const unknown = "01890000-0000-7000-8000-000000000000";

// Guards against a way into somebody else's container, and against learning that it is there.
test("only who may run programs in a lease opens its terminal", async (t) => {
  const { refused, dialInVain, headersOf, at, dial, admin, opened } = await startTerminals(t);
  assert.equal(await refused({ headers: {} }), "401 ERR_IDENTITY_UNAUTHENTICATED");
  const bad = { authorization: "Bearer nonsense" };
  assert.equal(await refused({ headers: bad }), "401 ERR_IDENTITY_INVALID_TOKEN");
  for (const [tenant, role] of [
    ["shared-other", "tenant_admin"],
    ["shared-other", "admin"],
    ["shared-mine", "user"],
  ] as const) {
    const headers = await headersOf(tenant, role);
    const foreign = await dialInVain({ headers });
    const none = await dialInVain({ headers, path: `/api/v1/leases/${unknown}/terminal` });
    const blank = (text: object) => JSON.stringify(text).replaceAll(/[0-9a-f-]{36}/g, "<id>");
    assert.equal(foreign.status, 404);
    assert.equal(blank(foreign.body), blank(none.body), `${role} of ${tenant}`);
  }
  await admin.post("/roles", { name: "reader", permissions: ["lease:read"] });
  const reader = await headersOf("shared-mine", "reader");
  assert.equal(await refused({ headers: reader }), "403 ERR_ACCESS_FORBIDDEN");
  for (const origin of ["https://evil.test", "null", "http://127.0.0.1:1"]) {
    assert.equal(await refused({ origin }), "403 ERR_ACCESS_FOREIGN_ORIGIN");
  }
  assert.equal(opened.length, 0, "a program was started for somebody who may not");
  assert.equal(
    refusal(await admin.get(`${at}/terminal`)),
    "426 ERR_REQUEST_UPGRADE_REQUIRED",
    "no upgrade",
  );
  await hear(await dial({ origin: "http://127.0.0.1:0" }), "ready");
});

// Guards against a terminal that somebody else goes on with, and names that say too much.
test("a terminal is gone on with by who opened it, in its lease, at its server", async (t) => {
  const { dial, refused, headersOf, admin } = await startTerminals(t);
  const client = await dial();
  const { terminal } = (await hear(client, "ready")) as { terminal: string };
  const gone = "410 ERR_LEASES_TERMINAL_GONE";
  const other = await makeLease(admin, { preset: "standard" });
  const path = `/api/v1/leases/${other.id}/terminal`;
  assert.equal(await refused({ path, query: { terminal } }), gone, "another lease");
  const root = await headersOf("shared-mine", "admin");
  assert.equal(await refused({ headers: root, query: { terminal } }), gone, "another user");
  const invented = `${terminal.slice(0, -4)}0000`;
  assert.equal(await refused({ query: { terminal: invented } }), gone, "one that never was");
  const elsewhere = `00000000${terminal.slice(8)}`;
  assert.equal(
    await refused({ query: { terminal: elsewhere } }),
    "409 ERR_LEASES_TERMINAL_ELSEWHERE",
  );
  const query = { terminal, position: 1 };
  assert.equal(await refused({ query }), "422 ERR_REQUEST_INVALID", "more than was shown");
  client.socket.send("sudo");
  assert.equal((await hear(client, "error")).code, "ERR_LEASES_TERMINAL_WORD");
  assert.equal((await client.closed).code, 1008);
  // It was refused, the program was not.
  await hear(await dial({ query: { terminal } }), "ready");
});

// Guards against terminals without number, and against one where no program can run.
test("a lease has eight terminals at most, and only while it runs", async (t) => {
  const { dial, refused, opened, admin, lease } = await startTerminals(t);
  const first = await dial();
  await hear(first, "ready");
  for (let n = 1; n < 8; n += 1) await hear(await dial(), "ready");
  assert.equal(await refused(), "429 ERR_LEASES_BUSY");
  opened[0]?.ends(0);
  await first.closed;
  await hear(await dial(), "ready");
  assert.equal(opened.length, 9);
  assert.equal(await refused({ query: { command: "" } }), "422 ERR_REQUEST_INVALID");
  assert.equal(await refused({ query: { columns: 0 } }), "422 ERR_REQUEST_INVALID");
  await admin.post(`/leases/${lease.id}/pause?wait=10`);
  assert.equal(await refused(), "409 ERR_LEASES_WRONG_STATE");
  await admin.delete(`/leases/${lease.id}`);
  assert.equal(await refused(), "410 ERR_LEASES_OVER");
});

// Guards against a terminal that stays open when its token has expired or its session is over.
test("a connection ends with its credentials; its terminal can be gone on with", async (t) => {
  const { dial, clock, test: house, opened } = await startTerminals(t);
  const client = await dial();
  const { terminal } = (await hear(client, "ready")) as { terminal: string };
  clock.advance(14 * 60_000);
  let open = true;
  void client.closed.then(() => {
    open = false;
  });
  // Answers to pings come in between, as they do in a minute that really passes.
  for (let second = 0; open && second < 70; second += 1) {
    clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal((await client.closed).code, 3000);
  assert.equal(opened[0]?.isKilled, false);
  const { signedIn } = await house.person("shared-mine", "tenant_admin");
  const browser = { address: "127.0.0.1", userAgent: "test", requestId: "refresh" };
  const { identity } = house.app;
  const { refreshToken } = signedIn;
  const renewed = await refreshSession(identity, { refreshToken, client: browser });
  const fresh = { authorization: `Bearer ${renewed.accessToken}` };
  const again = await dial({ headers: fresh, query: { terminal } });
  await hear(again, "ready");
  // Signing out ends it too, within 5 s.
  await logout(identity, { refreshToken: renewed.refreshToken, client: browser });
  for (let second = 0; second < 5; second += 1) {
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await again.closed).code, 3000);
});

// Guards against tickets that open more than once, or another terminal than their own.
test("a ticket opens a browser's terminal, once", async (t) => {
  const { dial, refused, admin, user, stranger, lease, clock } = await startTerminals(t);
  const path = `/leases/${lease.id}/terminal/ticket`;
  const issue = async () => {
    const { status, body, headers } = await admin.post(path);
    assert.equal(status, 200);
    assert.equal(Date.parse(body.expiresAt), clock.nowMs() + 30_000);
    assert.equal(headers["cache-control"], "no-store");
    return [terminalProtocol, `ticket.${body.ticket}`];
  };
  const page = { origin: "http://127.0.0.1:0", headers: {} };
  const protocols = await issue();
  const foreign = { ...page, origin: "https://evil.test", protocols };
  assert.equal(await refused(foreign), "403 ERR_ACCESS_FOREIGN_ORIGIN");
  const client = await dial({ ...page, protocols });
  await hear(client, "ready");
  assert.equal(client.socket.protocol, terminalProtocol);
  const invalid = "401 ERR_IDENTITY_INVALID_TICKET";
  assert.equal(await refused({ ...page, protocols }), invalid, "twice");
  const other = await makeLease(admin, { preset: "standard" });
  const astray = { ...page, path: `/api/v1/leases/${other.id}/terminal` };
  assert.equal(await refused({ ...astray, protocols: await issue() }), invalid, "another lease");
  const late = await issue();
  clock.advance(30_000);
  assert.equal(await refused({ ...page, protocols: late }), invalid, "too late");
  assert.equal(
    await refused({ protocols: await issue() }),
    "400 ERR_IDENTITY_AMBIGUOUS_CREDENTIALS",
  );
  for (const caller of [user, stranger]) {
    assert.equal(refusal(await caller.post(path)), "404 ERR_REQUEST_NOT_FOUND");
  }
  const query = { ticket: "x" };
  assert.equal(await refused({ query }), "422 ERR_REQUEST_INVALID", "not in an address");
});
