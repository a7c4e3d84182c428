import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { emit } from "#kernel/events/emit.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import { eventually } from "#kernel/testing/events.ts";
import { telling } from "../fixture.ts";
import { platform } from "../service.ts";

const kinds = ["member", "webhook", "api_key", "unheard_of", "role"];
const services = [platform, telling(...kinds.map((kind) => `${kind}.updated`))];

interface Message {
  id: string;
  event: string;
  data: { type: string; resource: { id: string }; data: { n: number } };
}

interface Follower {
  /** What has come and was not taken. */
  waiting: Message[];
  /** The next messages; moves the server's clock on until they are there. */
  take(count: number): Promise<Message[]>;
  /** Resolves when the server ends the stream. */
  ended: Promise<void>;
  status: number;
}

async function follow(
  t: TestContext,
  { app, clock }: TestApp,
  token: string,
  query = "",
  headers: Record<string, string> = {},
): Promise<Follower> {
  const over = new AbortController();
  t.after(() => over.abort());
  const response = await fetch(`${app.url()}/api/v1/events${query}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: over.signal,
  });
  const messages: Message[] = [];
  const read = async () => {
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      const parts = text.split("\n\n");
      text = parts.pop() ?? "";
      for (const part of parts) {
        const fields = Object.fromEntries(
          part.split("\n").map((line) => line.split(/: ?(.*)/s).slice(0, 2)),
        );
        if (fields.data) messages.push({ ...fields, data: JSON.parse(fields.data) } as Message);
      }
    }
  };
  // The test's own end cuts the stream off.
  const ended = read().catch(() => {});
  return {
    status: response.status,
    ended,
    waiting: messages,
    async take(count) {
      await eventually(() => messages.length >= count, `${count} messages`, clock);
      return messages.splice(0, count);
    },
  };
}

async function house(t: TestContext): Promise<TestApp> {
  const made = await startTestApp(t, { services, config: { role: "all" } });
  await made.app.listen();
  return made;
}

async function tell({ app, tenant }: TestApp, n: number, owner?: string, type = "member") {
  const to = await tenant("acme");
  await app.depsOf("platform").db.inTenant(to, async (tx) => {
    const resource = { type, id: `${n}` };
    emit(tx, { type: `${type}.updated`, resource, data: { n }, ...(owner && { ownerId: owner }) });
  });
}

const numbers = (messages: Message[]) => messages.map(({ data }) => data.data.n);

// Guards against a console that stays silent for ever after its server was given an older database,
// and against one that misses what happens while its stream is opened.
test("an id that no event has yet is as good as none", async (t) => {
  const made = await house(t);
  const { signedIn } = await made.person("acme");
  await tell(made, 1);
  const late = await follow(t, made, signedIn.accessToken, "?types=member.updated&after=0");
  await late.take(1);
  const fromElsewhere: Record<string, string> = { "last-event-id": "999999999999999" };
  for (const headers of [fromElsewhere, {}]) {
    const query = "?types=member.updated";
    const reader = await follow(t, made, signedIn.accessToken, query, headers);
    await tell(made, 2);
    assert.deepEqual(numbers(await reader.take(1)), [2]);
  }
});

// Guards against a console that misses what happens, or sees another tenant's or nobody's events.
test("a signed-in caller follows the tenant's events and resumes where it was", async (t) => {
  const made = await house(t);
  const { signedIn } = await made.person("acme");
  const stranger = (await made.person("other")).signedIn;
  for (let n = 1; n <= 3; n += 1) await tell(made, n);
  const all = await follow(t, made, signedIn.accessToken, "?after=0&types=member.updated");
  const elsewhere = await follow(t, made, stranger.accessToken, "?after=0&types=member.updated");
  const first = await all.take(3);
  assert.deepEqual(numbers(first), [1, 2, 3]);
  const [one] = first;
  assert.equal(one?.event, "member.updated");
  const told = ["id", "type", "tenantId", "resource", "data", "occurredAt", "position"];
  assert.deepEqual(Object.keys(one?.data ?? {}), told, "as webhooks carry it");
  await tell(made, 4);
  assert.deepEqual(numbers(await all.take(1)), [4]);
  const resumed = await follow(t, made, signedIn.accessToken, "?types=member.updated", {
    "last-event-id": first[1]?.id ?? "",
  });
  assert.deepEqual(numbers(await resumed.take(2)), [3, 4]);
  const { app } = made;
  const nobody = await fetch(`${app.url()}/api/v1/events`);
  assert.equal(nobody.status, 401);
  const bad = await made.as("acme").get("/events", { "last-event-id": "-1" });
  assert.equal(bad.status, 422);
  await tell(made, 5);
  assert.deepEqual(numbers(await resumed.take(1)), [5]);
  assert.deepEqual(elsewhere.waiting, []);
});

// Guards against tests of services that miss an event, or see them in another order than readers.
test("a test reads what a tenant has emitted, handed out or not", async (t) => {
  const made = await startTestApp(t, { services: [platform] });
  for (let n = 1; n <= 3; n += 1) await tell(made, n);
  await made.tenant("other");
  const told = await made.events("acme");
  assert.deepEqual(
    told.map(({ type, resource, data }) => [type, resource, data]),
    [1, 2, 3].map((n) => ["member.updated", { type: "member", id: `${n}` }, { n }]),
  );
  assert.deepEqual(await made.events("other"), []);
});

// Guards against a user who sees, through events, what it may not read.
test("a caller sees only events of what it may read, or of its own", async (t) => {
  const made = await house(t);
  const user = await made.person("acme", "user");
  await tell(made, 1, user.userId, "webhook");
  await tell(made, 2, "somebody else", "api_key");
  await tell(made, 3, user.userId, "api_key");
  await tell(made, 4, undefined, "unheard_of");
  await tell(made, 5, undefined, "role");
  const types = "types=webhook.*,api_key.*,unheard_of.*,role.updated";
  const seen = await follow(t, made, user.signedIn.accessToken, `?after=0&${types}`);
  assert.deepEqual(numbers(await seen.take(2)), [3, 5]);
  const admin = await made.person("acme");
  const more = await follow(t, made, admin.signedIn.accessToken, `?after=0&${types}`);
  assert.deepEqual(numbers(await more.take(4)), [1, 2, 3, 5]);
});

// Guards against a follower who waits for ever for a type with a slip in it.
test("a type that no service declares is refused, with those that are near it", async (t) => {
  const { as } = await startTestApp(t, { services });
  const refused = await as("acme").get("/events?types=member.updated,role.updtaed");
  assert.deepEqual([refused.status, refused.body.code], [422, "ERR_EVENTS_UNKNOWN_TYPE"]);
  assert.match(refused.body.detail, /"role.updtaed" is no event type; near it are role.updated/);
  assert.deepEqual(refused.body.errors[0].path, "query/types");
  assert.equal((await as("acme").get("/events?types=nothing.*")).status, 422);
});

// Guards against an event that nobody can subscribe to, for want of a declaration.
test("emitting what no service declares fails the change, outside of production", async (t) => {
  const made = await startTestApp(t, { services });
  const { db } = made.app.depsOf("platform");
  const tenant = await made.tenant("acme");
  const tryEmit = (type: string) =>
    db.inTenant(tenant, async (tx) =>
      emit(tx, { type, resource: { type: "member", id: "1" }, data: {} }),
    );
  await tryEmit("member.updated");
  await assert.rejects(tryEmit("member.promoted"), /No service declares the event "member.promo/);
  assert.deepEqual(
    (await made.events("acme")).map(({ type }) => type),
    ["member.updated"],
  );
});

// Guards against a stream that outlives the session it was opened with.
test("the stream ends when its caller's session has ended", async (t) => {
  const made = await house(t);
  const { signedIn } = await made.person("acme");
  const stream = await follow(t, made, signedIn.accessToken);
  assert.equal(stream.status, 200);
  let ended = false;
  void stream.ended.then(() => {
    ended = true;
  });
  made.clock.advance(16 * 60_000);
  await eventually(() => ended, "the end of the stream", made.clock);
});
