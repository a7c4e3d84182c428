import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../errors.ts";
import { createLogger, logFor, serializeError } from "./logger.ts";
import { redactLine } from "./redact.ts";

function collect(options: Parameters<typeof createLogger>[0] | object = {}) {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  const log = createLogger({ level: "trace", stream, ...options });
  return { log, lines, last: () => JSON.parse(lines.at(-1) as string) as Record<string, unknown> };
}

const marker = "hunter2-marker";

// Guards against a secret in a log, whatever it is called and however deep it stands.
test("values of secret and personal names are hidden at any depth and by any way", () => {
  const names = [
    "password",
    "newPassword",
    "PASSWORD",
    "password_hash",
    "passphrase",
    "secret",
    "clientSecret",
    "client_secret",
    "token",
    "accessToken",
    "refresh_token",
    "authorization",
    "Authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "apiKey",
    "api_key",
    "x-api-key",
    "X-API-Key",
    "credentials",
    "privateKey",
    "masterKey",
    "webhook-signature",
    "recoveryCodes",
    "email",
    "e-mail",
    "phone",
    "phoneNumber",
    "totp",
    "otp",
    "firstName",
    "last_name",
    "fullName",
    "customerName",
    "street",
    "postalCode",
    "postcode",
    "iban",
    "cardNumber",
    "birthDate",
  ];
  const { log, lines } = collect();
  for (const name of names) {
    const values = [marker, [marker, 1], { inner: { deep: marker } }, `quote " and \\ ${marker}`];
    for (const value of values) {
      log.info({ [name]: value, after: 1 }, "flat");
      log.info({ a: { b: [{ c: { [name]: value } }] } }, "deep");
      log.child({ [name]: value }).info("bound to a child");
      log.info({ body: JSON.stringify({ [name]: value, z: 1 }) }, "JSON in a string");
      log.info({ body: JSON.stringify(JSON.stringify({ [name]: value })) }, "JSON in JSON");
      log.info({ held: { toJSON: () => ({ [name]: value }) } }, "made by toJSON");
      log.info(`said: ${JSON.stringify({ [name]: value })}`);
    }
  }
  for (const line of lines) {
    assert.ok(!line.includes(marker), line);
    assert.doesNotThrow(() => JSON.parse(line), line);
  }
});

// Guards against a hidden neighbour: a log without its facts is no use.
test("what is not secret stays, also beside a secret", () => {
  const { log, last } = collect();
  const facts = {
    tokens: 41,
    tokenCount: 7,
    status: 200,
    code: "ERR_X_Y",
    route: "/a/:id",
    ok: true,
  };
  log.info({ password: "x", ...facts, list: [1, "two"], name: "orders.expire" }, "done");
  const line = last();
  for (const [name, value] of Object.entries(facts)) assert.equal(line[name], value, name);
  assert.deepEqual(line["list"], [1, "two"]);
  assert.equal(line["name"], "orders.expire");
  assert.equal(line["password"], "[redacted]");
  log.info({ phone: 4912345678, totp: 123456, email: null }, "numbers");
  assert.equal(last()["phone"], "[redacted]");
  assert.equal(last()["totp"], "[redacted]");
  assert.equal(last()["email"], null);
});

// Guards against secrets in free text: messages of errors, addresses, headers that were joined.
test("secrets are recognised by their shape in any text", () => {
  const { log, lines } = collect();
  const shapes = [
    "postgres://owner:hunter2-marker@db:5432/x",
    "amqp://hunter2-marker@broker",
    "Bearer hunter2-marker",
    "Basic hunter2-marker=",
    "eyJhbGciOiJFZERTQSJ9.hunter2-marker.c2lnbmF0dXJl",
    "plm_hunter2-marker-0123456789",
    "ghp_hunter2-marker0123456789",
    "sk-live-hunter2-marker-0123456789",
    "whsec_hunter2-marker-0123456789",
    "hunter2-marker@ships.example",
    "-----BEGIN PRIVATE KEY-----\nhunter2-marker\n-----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2-marker cut off",
  ];
  for (const shape of shapes) {
    log.warn(`before ${shape} after`);
    log.warn({ url: shape }, "as a member");
    log.error(new Error(`failed with ${shape}`));
    log.child({ from: shape }).info("bound");
  }
  for (const line of lines) {
    assert.ok(!line.includes(marker), line);
    assert.doesNotThrow(() => JSON.parse(line), line);
  }
  log.warn("before Bearer hunter2-marker after");
  assert.equal(JSON.parse(lines.at(-1) as string).msg, "before [redacted] after");
});

// Guards against rows of customers in the log by way of a database error.
test("a database error keeps where and what, and loses the values", () => {
  const { log, last, lines } = collect();
  const error = Object.assign(new Error('duplicate key value violates unique constraint "u"'), {
    name: "error",
    severity: "ERROR",
    code: "23505",
    detail: `Key (name)=(${marker}) already exists.`,
    where: `unnamed portal parameter $1 = '${marker}'`,
    parameters: [marker],
    internalQuery: `select '${marker}'`,
    table: "product",
    constraint: "u",
  });
  log.error({ err: error }, "under err");
  log.error({ reason: error }, "under another name");
  log.error(error);
  log.error({ err: new Error("outer", { cause: error }) }, "as a cause");
  log.error({ err: new AggregateError([error], "several") });
  const invalid = Object.assign(new Error(`invalid input syntax for type uuid: "${marker}"`), {
    severity: "ERROR",
    code: "22P02",
  });
  log.error(invalid);
  for (const line of lines) assert.ok(!line.includes(marker), line);
  log.error({ err: error });
  const err = last()["err"] as Record<string, unknown>;
  assert.equal(err["code"], "23505");
  assert.equal(err["constraint"], "u");
  assert.match(String(err["message"]), /unique constraint/);
  assert.match(String(err["stack"]), /logger\.test\.ts/);
});

// Guards against a public problem whose private cause is nowhere to be found.
test("a problem is logged with its code and its cause", () => {
  const cause = new Error("connection refused", { cause: new Error("ECONNREFUSED") });
  const problem = new Problem("ERR_X_Y", { status: 503, title: "No" }, { cause });
  const out = serializeError(problem) as Record<string, unknown>;
  assert.equal(out["code"], "ERR_X_Y");
  assert.equal(out["status"], 503);
  const inner = out["cause"] as Record<string, unknown>;
  assert.equal(inner["message"], "connection refused");
  assert.equal((inner["cause"] as Record<string, unknown>)["message"], "ECONNREFUSED");
  let endless: Error = new Error("0");
  for (let depth = 1; depth < 50; depth += 1)
    endless = new Error(String(depth), { cause: endless });
  assert.ok(JSON.stringify(serializeError(endless)).length < 20_000);
});

// Guards against logs that can't be joined with a request, a tenant or a trace.
test("lines have time, level name, message, context and trace", () => {
  const { log, last } = collect({ trace: () => ({ traceId: "abc", spanId: "def" }) });
  logFor(log, { requestId: "r1", tenant: "t1", user: "u1" }).info({ n: 1 }, "hello");
  const line = last();
  assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const { time: _, ...rest } = line;
  assert.deepEqual(rest, {
    level: "info",
    requestId: "r1",
    tenant: "t1",
    user: "u1",
    traceId: "abc",
    spanId: "def",
    n: 1,
    msg: "hello",
  });
});

// Guards against a slow flight whose log line is left out for its length, or fills the disk.
test("of slow statements the first 20 are told, and of each 500 characters", () => {
  const { log, last } = collect();
  const texts = ["select 1", "x".repeat(100_000), ...Array.from({ length: 998 }, () => "select 2")];
  log.warn({ durationMs: 700, statements: texts }, "slow statement");
  const { durationMs, statements } = last() as { durationMs: number; statements: string[] };
  assert.equal(durationMs, 700);
  assert.equal(statements.length, 21);
  assert.equal(statements[0], "select 1");
  assert.equal(statements[1], `${"x".repeat(500)}… and 99500 characters`);
  assert.equal(statements[20], "… and 980 statements");
  log.warn({ statements: ["select 1"] }, "slow statement");
  assert.deepEqual(last()["statements"], ["select 1"]);
});

// Guards against a log line that fills the disk or blocks the process.
test("very long lines are replaced, and long hostile ones cost linear time", () => {
  const { log, last, lines } = collect();
  log.info({ big: "x".repeat(100_000) });
  assert.ok((lines[0] as string).length < 200);
  assert.match(String(last()["msg"]), /A log line of \d+ characters was left out/);
  assert.equal(last()["level"], "info");
  const hostile = [
    "@".repeat(60_000),
    "a".repeat(60_000),
    `${"a.".repeat(30_000)}@`,
    '"password":'.repeat(5_000),
    '\\"password\\":\\"'.repeat(4_000),
    "token".repeat(12_000),
    "eyJ".repeat(20_000),
    "eyJ-".repeat(15_000),
    " eyJaaaaaaaa".repeat(5_000),
    "plm_".repeat(15_000),
    "sk-".repeat(20_000),
    "Bearer ".repeat(8_000),
    "://".repeat(20_000) + "@",
    "-----BEGIN PRIVATE KEY-----".repeat(2_000),
    "\\".repeat(60_000) + '"',
  ];
  for (const text of hostile) {
    const startMs = performance.now();
    redactLine(`{"msg":${JSON.stringify(text)}}\n`);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 1_000, `${text.slice(0, 20)}… took ${tookMs} ms`);
  }
});
