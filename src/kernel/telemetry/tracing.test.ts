import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import fastify from "fastify";
import { manualClock } from "../clock.ts";
import { seededRandom } from "../random.ts";
import { createPolicies } from "../resilience/policies.ts";
import { createLogger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";
import { startTracing } from "./tracing.ts";

interface Span {
  traceId: string;
  spanId: string;
  parentId: string;
  name: string;
  attributes: Record<string, string>;
  failed: boolean;
}

/** Fields of a protobuf message by number: bytes for strings and messages, numbers for the rest. */
function fields(bytes: Buffer): Map<number, (Buffer | number)[]> {
  const found = new Map<number, (Buffer | number)[]>();
  let at = 0;
  const varint = () => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at] as number;
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, wire] = [Math.floor(tag / 8), tag % 8];
    let value: Buffer | number;
    if (wire === 0) value = varint();
    else {
      const length = wire === 2 ? varint() : wire === 1 ? 8 : 4;
      value = bytes.subarray(at, at + length);
      at += length;
    }
    found.set(field, [...(found.get(field) ?? []), value]);
  }
  return found;
}

const nested = (message: Map<number, (Buffer | number)[]>, field: number) =>
  (message.get(field) ?? []).map((one) => fields(one as Buffer));
const text = (message: Map<number, (Buffer | number)[]>, field: number) =>
  String(message.get(field)?.[0] ?? "");
const hex = (message: Map<number, (Buffer | number)[]>, field: number) =>
  ((message.get(field)?.[0] ?? Buffer.alloc(0)) as Buffer).toString("hex");

/** ExportTraceServiceRequest of OTLP, as far as a test wants to know. */
function spansOf(body: Buffer): Span[] {
  return nested(fields(body), 1)
    .flatMap((resource) => nested(resource, 2))
    .flatMap((scope) => nested(scope, 2))
    .map((span) => ({
      traceId: hex(span, 1),
      spanId: hex(span, 2),
      parentId: hex(span, 4),
      name: text(span, 5),
      attributes: Object.fromEntries(
        nested(span, 9).map((one) => [
          text(one, 1),
          nested(one, 2)
            .map((value) => text(value, 1))
            .join(),
        ]),
      ),
      failed: nested(span, 15).some((status) => status.get(3)?.[0] === 2),
    }));
}

async function receiver(t: TestContext, status = 200) {
  const spans: Span[] = [];
  const raw: Buffer[] = [];
  const seen: { url?: string; type?: string }[] = [];
  const server = createServer((request, reply) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      seen.push({ url: request.url, type: request.headers["content-type"] });
      raw.push(body);
      spans.push(...spansOf(body));
      reply.writeHead(status).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, spans, raw, seen };
}

// Guards against start-up time and memory that everybody pays for traces that nobody wants.
test("without an endpoint nothing of OpenTelemetry is loaded", async () => {
  const tracing = await startTracing({ serviceVersion: "0" });
  assert.equal(tracing.current(), null);
  assert.equal(await tracing.span("x", {}, async () => 7), 7);
  tracing.record("x", 1, {});
  await tracing.stop();
  const tracingUrl = new URL("./tracing.ts", import.meta.url).href;
  const loadedWith = (options: string) => {
    const script = `
      import { registerHooks } from "node:module";
      let loaded = 0;
      registerHooks({
        load(url, context, next) {
          if (url.includes("opentelemetry") || url.includes("@fastify/otel")) loaded += 1;
          return next(url, context);
        },
      });
      const { startTracing } = await import(${JSON.stringify(tracingUrl)});
      const tracing = await startTracing(${options});
      await tracing.stop();
      console.log(loaded);`;
    const argv = ["--input-type=module", "-e", script];
    return Number(execFileSync(process.execPath, argv, { encoding: "utf8" }));
  };
  assert.equal(loadedWith("{ serviceVersion: '0' }"), 0);
  assert.ok(loadedWith("{ serviceVersion: '0', endpoint: 'http://127.0.0.1:1' }") > 10);
});

// Guards against traces that break at our door, miss parts, or carry what people entered.
test("a request's trace reaches the receiver, with its caller's and what it led to", async (t) => {
  const { endpoint, spans, raw, seen } = await receiver(t);
  const tracing = await startTracing({ endpoint, serviceVersion: "1.2.3" });
  const lines: string[] = [];
  const log = createLogger({
    level: "info",
    stream: { write: (line) => void lines.push(line) },
    trace: tracing.current,
  });
  const app = fastify();
  app.get("/api/v1/orders/:id", async () => {
    log.info("inside");
    await tracing.span("decide", { step: "one" }, async () => {
      tracing.record("db flight", 2.5, { statement: "orders.find" });
    });
    const fails = tracing.span("fails", {}, () => Promise.reject(new Error("hunter2-marker")));
    await assert.rejects(fails);
    return { ok: true };
  });
  app.get("/boom", async () => {
    throw new Error("hunter2-marker");
  });
  app.get("/health", async () => "ok");
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
  await app.inject({ url: "/api/v1/orders/7?token=hunter2-marker", headers });
  await app.inject({ url: "/boom" });
  await app.inject({ url: "/health" });
  await app.close();
  log.info("outside");
  await tracing.stop();
  assert.deepEqual(seen[0], { url: "/v1/traces", type: "application/x-protobuf" });
  const named = (name: string) => spans.find((span) => span.name === name) as Span;
  const request = named("GET /api/v1/orders/:id");
  assert.equal(request.traceId, traceId);
  assert.equal(request.parentId, "b7ad6b7169203331");
  assert.equal(request.attributes["http.route"], "/api/v1/orders/:id");
  assert.equal(request.attributes["url.path"], "/api/v1/orders/7");
  const decide = named("decide");
  const flight = named("db flight");
  assert.equal(decide.traceId, traceId);
  assert.equal(decide.attributes["step"], "one");
  assert.equal(flight.parentId, decide.spanId);
  assert.equal(named("fails").failed, true);
  assert.equal(decide.failed, false);
  assert.notEqual(named("GET /boom").traceId, traceId);
  assert.ok(!spans.some((span) => span.attributes["http.route"] === "/health"));
  assert.ok(!Buffer.concat(raw).includes("hunter2-marker"), "nothing that people entered");
  const [inside, outside] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(inside?.["traceId"], traceId);
  assert.equal(outside?.["traceId"], undefined);
});

// Guards against a receiver that is gone and is asked for ever, unseen by whoever runs the house.
test("spans go through the policy, whose breaker opens where nobody takes them", async (t) => {
  const { endpoint, spans } = await receiver(t);
  for (const [place, state, taken] of [
    ["http://127.0.0.1:1", "OPEN", 0],
    [endpoint, "CLOSED", 1],
  ] as const) {
    const clock = manualClock();
    const metrics = createMetrics({ processMetrics: false });
    const log = createLogger({ level: "silent" });
    const around = { clock, log, metrics, random: seededRandom(clock, 1) };
    const policies = createPolicies(around);
    const breaker = { consecutiveFailures: 1 };
    const tracing = await startTracing({ endpoint: place, serviceVersion: "0" });
    tracing.protect(policies.for("otlp", { timeoutMs: 6_000, breaker }));
    await tracing.span("work", {}, async () => "done");
    await tracing.stop();
    assert.deepEqual(
      policies.list().map((one) => [one.name, one.state]),
      [["otlp", state]],
    );
    assert.equal(spans.length, taken);
  }
});

// Guards against a receiver in trouble that keeps the process from stopping, or takes it down.
test("a receiver that refuses or is gone loses spans and nothing else", async (t) => {
  const refusing = await receiver(t, 400);
  for (const endpoint of [refusing.endpoint, "http://127.0.0.1:1"]) {
    const tracing = await startTracing({ endpoint, serviceVersion: "0" });
    assert.equal(await tracing.span("work", {}, async () => "done"), "done");
    await tracing.stop();
  }
});
