import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestResponse } from "#kernel/testing/client.ts";
import { startTestApp } from "#kernel/testing.ts";
import { refusal } from "./fixture.ts";
import {
  appSecret,
  countRows,
  delivery,
  number,
  openDeli,
  sign,
  start,
  text,
  verifyToken,
} from "./fixtures/whatsapp.ts";
import { orders } from "./service.ts";

// Guards against anybody else than Meta placing orders.
test("what is not signed with the app's secret is refused, and nothing is kept", async (t) => {
  const house = await start(t, { worker: false });
  await openDeli(house, "shared");
  const body = delivery([text(house, "1 flat white")]);
  const bytes = JSON.stringify(body);
  const forged: Record<string, string>[] = [
    { "x-hub-signature-256": "" },
    { "x-hub-signature-256": "sha256=" },
    { "x-hub-signature-256": sign(bytes, "another secret of somebody's") },
    { "x-hub-signature-256": sign(bytes, "") },
    { "x-hub-signature-256": sign(`${bytes} `) },
    { "x-hub-signature-256": sign("") },
    { "x-hub-signature-256": sign(bytes).slice(0, -1) },
    { "x-hub-signature-256": `${sign(bytes)}00` },
    { "x-hub-signature-256": sign(bytes).replace("sha256=", "") },
    { "x-hub-signature-256": sign(bytes, appSecret, "sha1") },
    { "x-hub-signature-256": sign(bytes, appSecret, "sha1").replace("sha256", "sha1") },
    { "x-hub-signature-256": "", "x-hub-signature": sign(bytes, appSecret, "sha1") },
  ];
  for (const headers of forged) {
    const answer = await house.deliver(bytes, headers);
    assert.equal(refusal(answer), "401 ERR_ORDERS_WHATSAPP_UNVERIFIED", JSON.stringify(headers));
  }
  const other = JSON.stringify(delivery([text(house, "9 flat white")]));
  const tampered = await house.deliver(other, { "x-hub-signature-256": sign(bytes) });
  assert.equal(refusal(tampered), "401 ERR_ORDERS_WHATSAPP_UNVERIFIED");
  // The bytes are signed, not what they mean.
  const spaced = JSON.stringify(body, null, 1);
  assert.equal((await house.deliver(spaced, { "x-hub-signature-256": sign(bytes) })).status, 401);
  assert.equal((await house.as().raw("POST", "/api/v1/webhooks/whatsapp")).status, 401);
  assert.deepEqual(await house.rows("shared", countRows), [
    { messages: 0, orders: 0, customers: 0 },
  ]);
  const upper = sign(spaced).toUpperCase().replace("SHA256", "sha256");
  assert.equal((await house.deliver(spaced, { "x-hub-signature-256": upper })).status, 200);
});

// Guards against one tenant's messages reaching another, and against taking over its number.
test("a number's messages are those of its one tenant", async (t) => {
  const house = await start(t, { worker: false });
  await openDeli(house, "ada");
  await openDeli(house, "bob-dedicated", "206540352242922");
  const taken = { "orders.whatsapp_phone_number_id": number };
  await assert.rejects(house.choose("bob-dedicated", taken), {
    code: "ERR_ORDERS_WHATSAPP_NUMBER_TAKEN",
  });
  const [to, from] = [delivery([text(house, "1 flat white")]), delivery([], "206540352242922")];
  const two = { ...to, entry: [...to.entry, ...from.entry] };
  const nobody = await house.deliver(delivery([text(house, "1 flat white")], "999"));
  assert.deepEqual([nobody.status, nobody.body], [200, { messages: 0 }]);
  assert.equal((await house.deliver(two)).body.messages, 1);
  const countOf = async (slug: string) => (await house.rows(slug, countRows))[0]?.messages;
  assert.deepEqual([await countOf("ada"), await countOf("bob-dedicated")], [1, 0]);

  await house.choose("ada", { "orders.whatsapp_phone_number_id": null });
  assert.equal((await house.deliver(delivery([text(house, "1 x")]))).body.messages, 0);
  await house.choose("bob-dedicated", taken);
  assert.equal((await house.deliver(delivery([text(house, "1 x")]))).body.messages, 1);
  assert.deepEqual([await countOf("ada"), await countOf("bob-dedicated")], [1, 1]);
  // Its old number is nobody's by now.
  const old = await house.deliver(delivery([text(house, "1 x")], "206540352242922"));
  assert.equal(old.body.messages, 0);
});

const handshake = (token: string, challenge = "1158201444") =>
  `/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=${challenge}` +
  `&hub.verify_token=${encodeURIComponent(token)}`;

// Guards against an address that Meta can't confirm, and one that anybody can.
test("the handshake gives the challenge back to whoever knows the token", async (t) => {
  const { as } = await start(t, { worker: false });
  const shown = await as().get(handshake(verifyToken));
  assert.deepEqual([shown.status, shown.text], [200, "1158201444"]);
  assert.match(shown.headers["content-type"] ?? "", /^text\/plain/);
  const wrong = "403 ERR_ORDERS_WHATSAPP_WRONG_TOKEN";
  assert.equal(refusal(await as().get(handshake("another"))), wrong);
  assert.equal(refusal(await as().get(handshake(appSecret))), wrong);
  const other = handshake(verifyToken).replace("subscribe", "unsubscribe");
  assert.equal(refusal(await as().get(other)), wrong);
  assert.equal((await as().get(handshake(verifyToken, "<b>"))).status, 422);
  assert.equal((await as().get("/webhooks/whatsapp")).status, 422);
  const { paths } = (await as().get("/openapi.json")).body;
  const statuses = (method: string) =>
    Object.keys(paths["/api/v1/webhooks/whatsapp"][method].responses);
  for (const status of ["200", "403", "404"]) assert.ok(statuses("get").includes(status), status);
  for (const status of ["200", "401", "404"]) assert.ok(statuses("post").includes(status), status);
});

// Guards against a door that stands open, or that shows itself, where nobody has asked for it.
test("without configuration it answers like an unknown address", async (t) => {
  const { as } = await startTestApp(t, { services: [orders] });
  const same = { "x-request-id": "same", "content-type": "application/json" };
  const body = JSON.stringify(delivery([]));
  const anonymous = ({ status, text: said }: TestResponse, path: string) =>
    `${status} ${said.replaceAll(path, "<path>")}`;
  const signed = { ...same, "x-hub-signature-256": sign(body) };
  for (const method of ["GET", "POST"]) {
    const payload = method === "POST" ? body : undefined;
    const headers = method === "POST" ? signed : { "x-request-id": "same" };
    const ask = async (path: string) =>
      anonymous(await as().raw(method, `/api/v1${path}`, payload, headers), path);
    assert.equal(await ask("/webhooks/whatsapp"), await ask("/no/such/address"), method);
  }
});

// Guards against half a configuration that is found out when the first message is lost.
test("half a configuration stops the boot, by name and without its values", async (t) => {
  const boot = (env: Record<string, string>) => startTestApp(t, { services: [orders], env });
  const secret = "too-short-marker";
  await assert.rejects(
    boot({ WHATSAPP_APP_SECRET: appSecret }),
    /WHATSAPP_VERIFY_TOKEN is missing/,
  );
  await assert.rejects(
    boot({ WHATSAPP_APP_SECRET: "short-marker", WHATSAPP_VERIFY_TOKEN: verifyToken }),
    (error: Error) =>
      /WHATSAPP_APP_SECRET must have/.test(error.message) && !/marker/.test(error.message),
  );
  await assert.rejects(
    boot({
      WHATSAPP_APP_SECRET: secret,
      WHATSAPP_VERIFY_TOKEN: verifyToken,
      WHATSAPP_GRAPH_URL: "ftp://x",
    }),
    /WHATSAPP_GRAPH_URL must be an http/,
  );
});
