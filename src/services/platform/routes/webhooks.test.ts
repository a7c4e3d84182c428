import assert from "node:assert/strict";
import { test } from "node:test";
import { emit } from "#kernel/events/emit.ts";
import { startTestApp } from "#kernel/testing.ts";
import { eventually, startReceiver } from "#kernel/testing/events.ts";
import { telling } from "../fixture.ts";
import { platform } from "../service.ts";

const services = [platform, telling("order.created", "order.updated")];

const nobody = "0198f2d4-0000-7000-8000-0000000000ff";

// Guards against a secret that is shown twice, and changes that overwrite each other unseen.
test("a webhook is made, read, changed, rotated and deleted", async (t) => {
  const receiver = await startReceiver(t);
  const house = await startTestApp(t, {
    services,
    env: { PLIMSOLL_ALLOW_PRIVATE_HOSTS: receiver.host },
  });
  const admin = house.as("acme");
  const made = await admin.post("/webhooks", { url: receiver.url, events: ["order.*"] });
  assert.equal(made.status, 201, made.text);
  assert.match(made.body.secret, /^whsec_/);
  const { id } = made.body;
  const read = await admin.get(`/webhooks/${id}`);
  assert.deepEqual(read.body, { ...made.body, secret: `…${made.body.secret.slice(-4)}` });
  assert.deepEqual((await admin.get("/webhooks")).body, { items: [read.body], nextCursor: null });

  const change = { events: ["*"], description: "ours" };
  assert.equal((await admin.patch(`/webhooks/${id}`, change)).status, 428);
  const changed = await admin.patch(`/webhooks/${id}`, change, { "if-match": '"1"' });
  assert.deepEqual([changed.status, changed.body.events, changed.body.version], [200, ["*"], 2]);
  assert.equal((await admin.patch(`/webhooks/${id}`, change, { "if-match": '"1"' })).status, 412);

  const rotated = await admin.post(`/webhooks/${id}/rotate-secret`, { overlapHours: 1 });
  assert.equal(rotated.status, 200, rotated.text);
  assert.notEqual(rotated.body.secret, made.body.secret);
  assert.notEqual(rotated.body.oldSecretUntil, null);
  const past = await admin.get(`/webhooks/${id}/history`);
  assert.deepEqual(
    past.body.items.map(({ action }: { action: string }) => action),
    ["webhook.rotate", "webhook.update", "webhook.create"],
  );
  assert.equal(past.text.includes("whsec_"), false);

  assert.equal((await house.as("other").get(`/webhooks/${id}`)).status, 404);
  assert.equal((await house.as("other").delete(`/webhooks/${id}`)).status, 404);
  assert.equal((await house.as("acme", "user").get("/webhooks")).status, 403);
  assert.equal((await admin.delete(`/webhooks/${id}`)).status, 204);
  assert.equal((await admin.get(`/webhooks/${id}`)).status, 404);
});

// Guards against webhooks into the operator's network, and input that is taken and can't work.
test("bad webhooks are refused with what is wrong", async (t) => {
  const env = { PLIMSOLL_ALLOW_PRIVATE_HOSTS: "127.0.0.1:9" };
  const house = await startTestApp(t, { services, env });
  const admin = house.as("acme");
  const code = async (body: unknown) => (await admin.post("/webhooks", body)).body.code;
  const good = { url: "https://192.0.2.1/", events: ["order.*"] };
  const inside = (await admin.post("/webhooks", { ...good, url: "http://127.0.0.1/" })).body;
  assert.equal(inside.code, "ERR_OUTGOING_PRIVATE_ADDRESS");
  assert.match(inside.detail, /127\.0\.0\.1/);
  assert.deepEqual(inside.errors, [{ path: "/url", message: "can't be sent to" }]);
  assert.equal("host" in inside, false, "a problem has no members that are not documented");
  assert.equal(
    await code({ ...good, url: "http://169.254.169.254/" }),
    "ERR_OUTGOING_PRIVATE_ADDRESS",
  );
  assert.equal(await code({ ...good, url: "ftp://example.com/" }), "ERR_OUTGOING_BAD_URL");
  assert.equal(await code({ ...good, url: "nonsense" }), "ERR_REQUEST_INVALID");
  assert.equal(await code({ ...good, events: [] }), "ERR_REQUEST_INVALID");
  assert.equal(await code({ ...good, events: ["order.*", "order.*"] }), "ERR_REQUEST_INVALID");
  const url = "http://127.0.0.1:9/";
  const slip = await admin.post("/webhooks", { url, events: ["order.*", "order.craeted"] });
  assert.deepEqual([slip.status, slip.body.code], [422, "ERR_EVENTS_UNKNOWN_TYPE"]);
  assert.deepEqual(slip.body.errors[0].path, "/events/1");
  assert.match(slip.body.detail, /near it are order.created/);
  const { id } = (await admin.post("/webhooks", { url, events: ["order.*"] })).body;
  const toInside = { url: "http://10.0.0.1/" };
  const moved = await admin.patch(`/webhooks/${id}`, toInside, { "if-match": '"1"' });
  assert.deepEqual([moved.status, moved.body.errors[0].path], [422, "/url"]);
  const changed = await admin.patch(`/webhooks/${id}`, { events: ["x.*"] }, { "if-match": '"1"' });
  assert.equal(changed.body.code, "ERR_EVENTS_UNKNOWN_TYPE");
  assert.equal(await code({ ...good, secret: "mine" }), "ERR_REQUEST_INVALID");
});

// Guards against an action on a webhook that has become another one since it was looked at.
test("actions on a webhook accept If-Match, and refuse a lost race", async (t) => {
  const env = { PLIMSOLL_ALLOW_PRIVATE_HOSTS: "127.0.0.1:9" };
  const house = await startTestApp(t, { services, env });
  const admin = house.as("acme");
  const hook = { url: "http://127.0.0.1:9/", events: ["order.*"] };
  const { id } = (await admin.post("/webhooks", hook)).body;
  await admin.patch(`/webhooks/${id}`, { description: "new" }, { "if-match": '"1"' });
  const range = { from: "2020-01-01T00:00:00Z", to: "2999-01-01T00:00:00Z" };
  const actions = [
    ["ping", undefined],
    ["replay", range],
    ["rotate-secret", { overlapHours: 1 }],
    [`deliveries/${nobody}/replay`, undefined],
  ] as const;
  const document = (await admin.get("/openapi.json")).body;
  for (const [action, body] of actions) {
    const act = (headers = {}) => admin.post(`/webhooks/${id}/${action}`, body, headers);
    const stale = await act({ "if-match": '"1"' });
    assert.deepEqual(
      [stale.status, stale.body.code],
      [412, "ERR_REQUEST_VERSION_CONFLICT"],
      action,
    );
    const path = `/api/v1/webhooks/{id}/${action.replace(nobody, "{deliveryId}")}`;
    const { parameters, responses } = document.paths[path].post;
    assert.ok(
      parameters.some(({ name }: { name: string }) => name === "If-Match"),
      path,
    );
    assert.ok(responses["412"], path);
  }
  assert.equal(
    (await admin.post(`/webhooks/${id}/ping`, undefined, { "if-match": '"2"' })).status,
    204,
  );
  const good = await admin.post(`/webhooks/${id}/replay`, range, { "if-match": '"2"' });
  assert.equal(good.status, 200);
});

// Guards against deliveries nobody can look at or have again.
test("deliveries are listed with their attempts and can be replayed", async (t) => {
  const receiver = await startReceiver(t);
  const house = await startTestApp(t, {
    services,
    env: { PLIMSOLL_ALLOW_PRIVATE_HOSTS: receiver.host },
    config: { role: "all" },
  });
  const { app, clock } = house;
  const admin = house.as("acme");
  const { id } = (await admin.post("/webhooks", { url: receiver.url, events: ["order.*"] })).body;
  const tenant = await house.tenant("acme");
  await app.depsOf("platform").db.inTenant(tenant, async (tx) => {
    emit(tx, { type: "order.created", resource: { type: "order", id: "1" }, data: { n: 1 } });
  });
  const count = (wanted: number) =>
    eventually(() => receiver.received.length >= wanted, `${wanted} requests`, clock);
  await count(1);
  let found: { id: string; event: { type: string }; lastStatus: number }[] = [];
  const noted = async () => {
    found = (await admin.get(`/webhooks/${id}/deliveries?state=delivered`)).body.items;
    return found.length > 0;
  };
  await eventually(noted, "a delivery that is noted", clock);
  const [delivery] = found;
  assert.ok(delivery);
  assert.deepEqual([delivery.event.type, delivery.lastStatus], ["order.created", 200]);
  const path = `/webhooks/${id}/deliveries/${delivery.id}`;
  const one = await admin.get(path);
  assert.deepEqual([one.body.log.length, one.body.log[0].responseExcerpt], [1, "ok"]);
  assert.equal((await admin.get(`/webhooks/${nobody}/deliveries/${delivery.id}`)).status, 404);
  assert.equal((await admin.get(`/webhooks/${nobody}/deliveries`)).status, 404);
  assert.equal((await house.as("other").get(path)).status, 404);
  assert.equal((await house.as("other").post(`${path}/replay`)).status, 404);

  assert.equal((await admin.post(`${path}/replay`)).status, 200);
  await count(2);
  const range = { from: "2020-01-01T00:00:00Z", to: "2999-01-01T00:00:00Z" };
  const replayed = await admin.post(`/webhooks/${id}/replay`, range);
  assert.equal(replayed.status, 200, replayed.text);
  assert.deepEqual([replayed.body.replayed, replayed.body.more], [1, false]);
  await count(3);
  assert.equal((await admin.post(`/webhooks/${id}/ping`)).status, 204);
  await count(4);
  assert.equal(JSON.parse(receiver.received[3]?.body ?? "{}").type, "webhook.ping");
  assert.equal(new Set(receiver.received.slice(0, 3).map(({ body }) => body)).size, 1);
});
