import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { manualClock, systemClock } from "../clock.ts";
import type { Clock } from "../clock.ts";
import { Problem } from "../errors.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { Resolve } from "./connect.ts";
import { createOutgoing } from "./outgoing.ts";
import type { OutgoingInit } from "./outgoing.ts";

const hasCode = (code: string) => (error: unknown) =>
  error instanceof Problem && error.code === `ERR_OUTGOING_${code}`;

interface Setup {
  allow?: string[];
  resolve?: Resolve;
  clock?: Clock;
  own?: () => Set<string>;
}

function start(t: TestContext, { allow = [], resolve, clock, own }: Setup = {}) {
  const metrics = createMetrics({ processMetrics: false });
  const outgoing = createOutgoing({
    allowPrivateHosts: allow,
    clock: clock ?? systemClock,
    log: createLogger({ level: "silent" }),
    metrics,
    resolve,
    ownAddresses: own ?? (() => new Set()),
  });
  t.after(() => outgoing.close());
  return { outgoing, metrics };
}

/** A real server on loopback that remembers who came. */
async function serve(t: TestContext, listener: RequestListener, host = "127.0.0.1") {
  let connections = 0;
  const requests: {
    method: string;
    url: string;
    headers: IncomingMessage["headers"];
    body: string;
  }[] = [];
  const server = createServer((request, reply) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      requests.push({ method, url, headers, body });
      listener(request, reply);
    });
  });
  server.on("connection", () => {
    connections += 1;
  });
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, requests, connections: () => connections };
}

const hello: RequestListener = (_, reply) => void reply.end("hello");

/** Ways to write or reach an address that is not on the open network; PORT is a listening one. */
const forbidden: [string, string][] = [
  ["loopback", "http://127.0.0.1:PORT/"],
  ["loopback, another of its range", "http://127.255.254.253:PORT/"],
  ["loopback over https", "https://127.0.0.1:PORT/"],
  ["decimal", "http://2130706433:PORT/"],
  ["hexadecimal", "http://0x7f000001:PORT/"],
  ["hexadecimal by octet", "http://0x7f.0x0.0x0.0x1:PORT/"],
  ["octal", "http://0177.0.0.1:PORT/"],
  ["octal whole", "http://017700000001:PORT/"],
  ["octal with leading zeros", "http://0000177.0000.0000.01:PORT/"],
  ["mixed notation", "http://0x7f.1:PORT/"],
  ["short, two parts", "http://127.1:PORT/"],
  ["short, three parts", "http://127.0.1:PORT/"],
  ["trailing dot", "http://127.0.0.1.:PORT/"],
  ["percent-encoded digits", "http://%31%32%37.0.0.1:PORT/"],
  ["full-width digits", "http://１２７.０.０.１:PORT/"],
  ["circled digits", "http://①②⑦.⓪.⓪.①:PORT/"],
  ["ideographic full stops", "http://127。0。0。1:PORT/"],
  ["unspecified", "http://0.0.0.0:PORT/"],
  ["unspecified, short", "http://0:PORT/"],
  ["this network", "http://0.1.2.3:PORT/"],
  ["private 10/8", "http://10.0.0.1:PORT/"],
  ["private 172.16/12", "http://172.16.0.1:PORT/"],
  ["private 172.31", "http://172.31.255.255:PORT/"],
  ["private 192.168/16", "http://192.168.1.1:PORT/"],
  ["carrier-grade NAT", "http://100.64.0.1:PORT/"],
  ["carrier-grade NAT, Alibaba metadata", "http://100.100.100.200/latest/meta-data/"],
  ["link-local, cloud metadata", "http://169.254.169.254/latest/meta-data/"],
  ["cloud metadata, decimal", "http://2852039166/latest/meta-data/"],
  ["cloud metadata, hexadecimal", "http://0xa9fea9fe/latest/meta-data/"],
  ["cloud metadata, octal", "http://0251.0376.0251.0376/latest/meta-data/"],
  ["ECS task metadata", "http://169.254.170.2/v2/credentials"],
  ["Azure platform", "http://168.63.129.16/machine?comp=goalstate"],
  ["Oracle metadata", "http://192.0.0.192/opc/v1/instance/"],
  ["documentation", "http://192.0.2.1:PORT/"],
  ["documentation 2", "http://198.51.100.1:PORT/"],
  ["documentation 3", "http://203.0.113.1:PORT/"],
  ["benchmarking", "http://198.18.0.1:PORT/"],
  ["6to4 relay", "http://192.88.99.1:PORT/"],
  ["multicast", "http://224.0.0.1:PORT/"],
  ["multicast, SSDP", "http://239.255.255.250:PORT/"],
  ["reserved", "http://240.0.0.1:PORT/"],
  ["broadcast", "http://255.255.255.255:PORT/"],
  ["IPv6 loopback", "http://[::1]:PORT/"],
  ["IPv6 loopback, written out", "http://[0:0:0:0:0:0:0:1]:PORT/"],
  ["IPv6 unspecified", "http://[::]:PORT/"],
  ["IPv4-mapped", "http://[::ffff:127.0.0.1]:PORT/"],
  ["IPv4-mapped, hexadecimal", "http://[::ffff:7f00:1]:PORT/"],
  ["IPv4-mapped, written out", "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/"],
  ["IPv4-mapped metadata", "http://[::ffff:169.254.169.254]/"],
  ["IPv4-mapped private", "http://[::ffff:10.0.0.1]/"],
  ["IPv4-translated", "http://[::ffff:0:127.0.0.1]:PORT/"],
  ["IPv4-compatible", "http://[::127.0.0.1]:PORT/"],
  ["IPv4-compatible, a public one", "http://[::8.8.8.8]:PORT/"],
  ["NAT64 of loopback", "http://[64:ff9b::127.0.0.1]:PORT/"],
  ["NAT64 of metadata", "http://[64:ff9b::a9fe:a9fe]/"],
  ["NAT64, local prefix", "http://[64:ff9b:1::a00:1]/"],
  ["6to4 of loopback", "http://[2002:7f00:1::]:PORT/"],
  ["6to4 of private", "http://[2002:a00:1::1]:PORT/"],
  ["Teredo", "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]:PORT/"],
  ["unique local", "http://[fd12:3456:789a::1]:PORT/"],
  ["unique local fc00", "http://[fc00::1]:PORT/"],
  ["AWS metadata over IPv6", "http://[fd00:ec2::254]/latest/meta-data/"],
  ["GCP metadata over IPv6", "http://[fd20:ce::254]/"],
  ["IPv6 link-local", "http://[fe80::1]:PORT/"],
  ["IPv6 site-local", "http://[fec0::1]:PORT/"],
  ["IPv6 multicast", "http://[ff02::1]:PORT/"],
  ["IPv6 documentation", "http://[2001:db8::1]:PORT/"],
  ["IPv6 documentation 2", "http://[3fff::1]:PORT/"],
  ["IPv6 discard", "http://[100::1]:PORT/"],
  ["IPv6 ORCHID", "http://[2001:20::1]:PORT/"],
  ["IPv6 segment routing", "http://[5f00::1]:PORT/"],
  ["IPv6 outside global unicast", "http://[4000::1]:PORT/"],
  ["localhost", "http://localhost:PORT/"],
  ["localhost in capitals", "http://LOCALHOST:PORT/"],
  ["localhost with a trailing dot", "http://localhost.:PORT/"],
  ["below localhost", "http://anything.localhost:PORT/"],
  ["localhost.localdomain", "http://localhost.localdomain:PORT/"],
  ["mDNS name", "http://printer.local:PORT/"],
  ["internal name", "http://db.internal:PORT/"],
  ["Kubernetes service", "http://kubernetes.default.svc/"],
  ["Kubernetes service, whole", "http://kubernetes.default.svc.cluster.local/"],
  ["GCP metadata name", "http://metadata.google.internal/computeMetadata/v1/"],
  ["metadata, short", "http://metadata/computeMetadata/v1/"],
  ["EC2 metadata name", "http://instance-data/latest/meta-data/"],
  ["full-width localhost", "http://ｌｏｃａｌｈｏｓｔ:PORT/"],
  ["name that leads to loopback", "http://to-127.0.0.1.example.com:PORT/"],
  ["name that leads to metadata", "http://to-169.254.169.254.example.com/"],
  ["name that leads to IPv6 loopback", "http://to-::1.example.com:PORT/".replace("::1", "v6")],
  ["name with a public and a private address", "http://mixed.example.com:PORT/"],
  ["name that leads to a mapped address", "http://mapped.example.com:PORT/"],
  ["name that leads to a link-local address with zone", "http://zone.example.com:PORT/"],
];

const names: Record<string, string[]> = {
  "to-127.0.0.1.example.com": ["127.0.0.1"],
  "to-169.254.169.254.example.com": ["169.254.169.254"],
  "to-v6.example.com": ["::1"],
  "mixed.example.com": ["93.184.215.14", "127.0.0.1"],
  "mapped.example.com": ["::ffff:127.0.0.1"],
  "zone.example.com": ["fe80::1%lo"],
};

const resolveNames: Resolve = async (host) => names[host] ?? [];

// Guards against a tenant's webhook or feed that makes this server talk to its own network.
test(`${forbidden.length} ways to name a private address reach nobody`, async (t) => {
  assert.ok(forbidden.length >= 60);
  const victim = await serve(t, hello);
  const { outgoing, metrics } = start(t, { resolve: resolveNames });
  for (const [name, template] of forbidden) {
    const url = template.replace("PORT", String(victim.port));
    await assert.rejects(outgoing.fetch(url), hasCode("PRIVATE_ADDRESS"), `fetch: ${name}`);
    await assert.rejects(outgoing.assertAllowed(url), hasCode("PRIVATE_ADDRESS"), name);
  }
  assert.equal(victim.connections(), 0);
  const { text } = await metrics.expose();
  assert.match(text, new RegExp(`outcome="private_address"\\} ${forbidden.length * 2}\\n`));
});

// Guards against an answer that tells a tenant what a private name resolves to.
test("the refusal does not say which address it was", async (t) => {
  const { outgoing } = start(t, { resolve: resolveNames });
  const error = await outgoing
    .fetch("http://to-127.0.0.1.example.com/")
    .catch((one: unknown) => one);
  assert.ok(error instanceof Problem);
  const shown = JSON.stringify([error.message, error.options.extensions, error.options.errors]);
  assert.ok(!shown.replaceAll("to-127.0.0.1.example.com", "").includes("127.0.0.1"), shown);
});

// Guards against other schemes, credentials in addresses and other protocols' ports.
test("addresses that are no web addresses are refused", async (t) => {
  const { outgoing } = start(t, { resolve: async () => ["93.184.215.14"] });
  for (const url of [
    "",
    "not an address",
    "//example.com/",
    "/path",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://example.com:70/_x",
    "dict://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "ws://example.com/",
    "unix:/var/run/docker.sock",
    "http://",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://:password@example.com/",
    "http://127.0.0.1:x@example.com/",
    "http://example.com:0/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:99999/",
    "http://[::1%25lo]/",
    "http://exa mple.com/",
    `http://example.com/${"a".repeat(5_000)}`,
  ]) {
    await assert.rejects(outgoing.fetch(url), hasCode("BAD_URL"), url.slice(0, 60));
  }
});

// Guards against a name that answers with a public address when checked and a private one when used.
test("rebinding gains nothing: the connection goes to a checked address", async (t) => {
  const victim = await serve(t, hello);
  let asked = 0;
  const rebinding: Resolve = async () => {
    asked += 1;
    return asked % 2 === 1 ? ["93.184.215.14"] : ["127.0.0.1"];
  };
  const { outgoing } = start(t, { resolve: rebinding });
  const url = `http://rebind.example.com:${victim.port}/`;
  const { addresses } = await outgoing.assertAllowed(url);
  assert.deepEqual(addresses, ["93.184.215.14"]);
  await assert.rejects(outgoing.fetch(url), hasCode("PRIVATE_ADDRESS"));
  assert.equal(asked, 2, "a connection resolves once and uses what it checked");
  assert.equal(victim.connections(), 0);
});

// Guards against this machine's own services reached by its public address.
test("this machine's own addresses are refused although they are public", async (t) => {
  const own = () => new Set(["93.184.215.14", "2606:4700::1"]);
  const { outgoing } = start(t, { own, resolve: async () => ["93.184.215.14"] });
  await assert.rejects(outgoing.fetch("http://93.184.215.14/"), hasCode("PRIVATE_ADDRESS"));
  await assert.rejects(outgoing.fetch("http://[2606:4700:0::1]/"), hasCode("PRIVATE_ADDRESS"));
  await assert.rejects(outgoing.fetch("http://me.example.com/"), hasCode("PRIVATE_ADDRESS"));
});

// Guards against a public server that redirects this one into its own network.
test("a redirect to a private address is refused, and nobody is reached", async (t) => {
  const victim = await serve(t, hello);
  const targets = [
    `http://127.0.0.1:${victim.port}/`,
    `http://localhost:${victim.port}/`,
    `http://[::ffff:127.0.0.1]:${victim.port}/`,
    `//2130706433:${victim.port}/`,
    `http://to-127.0.0.1.example.com:${victim.port}/`,
  ];
  for (const status of [301, 302, 303, 307, 308]) {
    for (const location of targets) {
      const front = await serve(t, (_, reply) => void reply.writeHead(status, { location }).end());
      const allow = [`public.example.com:${front.port}`];
      const resolve: Resolve = async (host) =>
        host === "public.example.com" ? ["127.0.0.1"] : (names[host] ?? []);
      const { outgoing } = start(t, { allow, resolve });
      const call = outgoing.fetch(`http://public.example.com:${front.port}/`);
      await assert.rejects(call, hasCode("PRIVATE_ADDRESS"), `${status} ${location}`);
      assert.equal(front.connections(), 1);
    }
  }
  assert.equal(victim.connections(), 0);
});

// Guards against redirects in a circle, and against one to another scheme.
test("redirects end after so many hops, and stay on the web", async (t) => {
  const circle = await serve(t, (request, reply) => {
    reply
      .writeHead(302, { location: request.url === "/file" ? "file:///etc/passwd" : "/again" })
      .end();
  });
  const { outgoing } = start(t, { allow: ["127.0.0.1"] });
  const url = `http://127.0.0.1:${circle.port}/`;
  await assert.rejects(outgoing.fetch(url), hasCode("TOO_MANY_REDIRECTS"));
  assert.equal(circle.requests.length, 6);
  await assert.rejects(outgoing.fetch(`${url}file`), hasCode("BAD_URL"));
  const answer = await outgoing.fetch(url, { maxRedirects: 0 });
  assert.equal(answer.status, 302);
  assert.equal(answer.headers["location"], "/again");
  answer.discard();
});

// Guards against a token or a signature that a redirect carries to a stranger.
test("credentials stay with their origin; method and body follow the redirect's kind", async (t) => {
  const stranger = await serve(t, hello);
  const first = await serve(t, (request, reply) => {
    const [, status = "302", where = ""] = (request.url ?? "").split("/");
    const location = where === "here" ? "/end" : `http://127.0.0.1:${stranger.port}/end`;
    if (request.url === "/end") reply.end("here");
    else reply.writeHead(Number(status), { location }).end();
  });
  const { outgoing } = start(t, { allow: ["127.0.0.1"] });
  const init: OutgoingInit = {
    method: "POST",
    body: '{"a":1}',
    headers: {
      Authorization: "Bearer secret",
      cookie: "session=secret",
      "X-Api-Key": "secret",
      "webhook-signature": "v1,secret",
      "content-type": "application/json",
      accept: "application/json",
    },
  };
  const go = async (path: string) => {
    const answer = await outgoing.fetch(`http://127.0.0.1:${first.port}/${path}`, init);
    await answer.text();
    return answer.url;
  };
  assert.equal(await go("302/away"), `http://127.0.0.1:${stranger.port}/end`);
  await go("307/away");
  assert.deepEqual(
    stranger.requests.map((one) => [one.method, one.body]),
    [
      ["GET", ""],
      ["POST", '{"a":1}'],
    ],
  );
  for (const { headers } of stranger.requests) {
    assert.ok(!JSON.stringify(headers).includes("secret"), JSON.stringify(headers));
    assert.equal(headers["accept"], "application/json");
  }
  await go("308/here");
  const kept = first.requests.at(-1);
  assert.equal(kept?.headers["authorization"], "Bearer secret");
  assert.equal(kept?.body, '{"a":1}');
});

// Guards against an allow-list that opens more than it says.
test("the allow-list opens exactly the host and port it names", async (t) => {
  const open = await serve(t, hello);
  const closed = await serve(t, hello);
  const { outgoing } = start(t, { allow: [`127.1:${open.port}`] });
  assert.equal(await (await outgoing.fetch(`http://127.0.0.1:${open.port}/`)).text(), "hello");
  assert.equal(await (await outgoing.fetch(`http://2130706433:${open.port}/`)).text(), "hello");
  await assert.rejects(
    outgoing.fetch(`http://127.0.0.1:${closed.port}/`),
    hasCode("PRIVATE_ADDRESS"),
  );
  await assert.rejects(
    outgoing.fetch(`http://localhost:${open.port}/`),
    hasCode("PRIVATE_ADDRESS"),
  );
  await assert.rejects(
    outgoing.fetch(`http://127.0.0.2:${open.port}/`),
    hasCode("PRIVATE_ADDRESS"),
  );
  assert.equal(closed.connections(), 0);
  const whole = start(t, { allow: ["localhost", "[::1]:81"] }).outgoing;
  assert.equal(await (await whole.fetch(`http://LOCALHOST:${closed.port}/`)).text(), "hello");
  await assert.rejects(whole.fetch("http://[::1]:82/"), hasCode("PRIVATE_ADDRESS"));
});

// Guards against an answer that fills memory, plain, compressed, or announced.
test("bodies larger than allowed break off, also those that decompress to more", async (t) => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  const layered = brotliCompressSync(Buffer.alloc(50_000_000));
  const nothing = gzipSync("");
  const server = await serve(t, (request, reply) => {
    if (request.url === "/announced") reply.writeHead(200, { "content-length": "5000000" });
    if (request.url === "/gzip") reply.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
    else if (request.url === "/br") reply.writeHead(200, { "content-encoding": "br" }).end(layered);
    else if (request.url === "/empty") {
      reply.writeHead(200, { "content-encoding": "gzip" });
      const more = () => {
        while (!reply.destroyed && reply.write(nothing));
        reply.once("drain", more);
      };
      more();
    } else {
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        while (!reply.destroyed && reply.write(chunk));
        reply.once("drain", more);
      };
      more();
    }
  });
  const { outgoing } = start(t, { allow: ["127.0.0.1"] });
  for (const path of ["endless", "gzip", "br", "empty", "announced"]) {
    const call = async () => {
      const answer = await outgoing.fetch(`http://127.0.0.1:${server.port}/${path}`, {
        maxBytes: 1_000_000,
      });
      return answer.bytes();
    };
    const code = path === "empty" ? "BAD_RESPONSE" : "TOO_LARGE";
    await assert.rejects(call(), hasCode(code), path);
  }
});

// Guards against servers that drip, stall or never answer.
test("the deadline covers headers, redirects and body", async (t) => {
  const server = await serve(t, (request, reply) => {
    if (request.url === "/headers") return;
    reply.writeHead(200);
    reply.write("beginning");
  });
  for (const path of ["headers", "body"]) {
    const clock = manualClock();
    const { outgoing } = start(t, { allow: ["127.0.0.1"], clock });
    const before = server.requests.length;
    const call = outgoing
      .fetch(`http://127.0.0.1:${server.port}/${path}`, { timeoutMs: 5_000 })
      .then((answer) => answer.text());
    const refused = assert.rejects(call, hasCode("TIMEOUT"), path);
    while (server.requests.length === before) await new Promise((done) => setImmediate(done));
    for (let turn = 0; turn < 50; turn += 1) await new Promise((done) => setImmediate(done));
    clock.advance(4_999);
    clock.advance(1);
    await refused;
  }
  const clock = manualClock();
  const { outgoing } = start(t, { allow: ["127.0.0.1"], clock });
  const unread = await outgoing.fetch(`http://127.0.0.1:${server.port}/body`);
  clock.advance(30_000);
  await new Promise((done) => setImmediate(done));
  await assert.rejects(unread.text(), hasCode("TIMEOUT"), "a body that nobody read");
  const abort = new AbortController();
  const given = outgoing.fetch(`http://127.0.0.1:${server.port}/headers`, { signal: abort.signal });
  abort.abort(new Error("caller left"));
  await assert.rejects(given, /caller left/);
});

// Guards against broken answers that come back as a success or as our own failure.
test("what can't be reached or read is said so", async (t) => {
  const server = await serve(t, (request, reply) => {
    if (request.url === "/gzip")
      reply.writeHead(200, { "content-encoding": "gzip" }).end("no gzip");
    else if (request.url === "/two")
      reply.writeHead(200, { "content-encoding": "gzip, br" }).end("x");
    else if (request.url === "/cut") {
      reply.writeHead(200, { "content-length": "100" });
      reply.write("half", () => reply.destroy());
    } else if (request.url === "/garbage") request.socket.end("SMTP ready\r\n\r\n");
    else reply.end("<html>");
  });
  const base = `http://127.0.0.1:${server.port}`;
  const { outgoing } = start(t, {
    allow: ["127.0.0.1", "gone.example.com"],
    resolve: async () => [],
  });
  const get = async (path: string) => (await outgoing.fetch(base + path)).text();
  await assert.rejects(get("/gzip"), hasCode("BAD_RESPONSE"));
  await assert.rejects(get("/two"), hasCode("BAD_RESPONSE"));
  await assert.rejects(get("/cut"), hasCode("UNREACHABLE"));
  await assert.rejects(get("/garbage"), hasCode("BAD_RESPONSE"));
  await assert.rejects((await outgoing.fetch(base)).json(), hasCode("NOT_JSON"));
  await assert.rejects(outgoing.fetch("http://127.0.0.1:1/"), hasCode("UNREACHABLE"));
  await assert.rejects(outgoing.fetch("http://gone.example.com/"), hasCode("UNREACHABLE"));
});

// Guards against headers by which a tenant could steer the connection or smuggle a request.
test("methods and headers that steer the connection are refused", async (t) => {
  const server = await serve(t, hello);
  const { outgoing } = start(t, { allow: ["127.0.0.1"] });
  const url = `http://127.0.0.1:${server.port}/`;
  for (const name of [
    "Host",
    "connection",
    "Transfer-Encoding",
    "content-length",
    "Proxy-Authorization",
  ]) {
    const call = outgoing.fetch(url, { headers: { [name]: "x" } });
    await assert.rejects(call, hasCode("BAD_REQUEST"), name);
  }
  const smuggled = { "x-a": "b\r\nHost: 169.254.169.254" };
  await assert.rejects(outgoing.fetch(url, { headers: smuggled }), hasCode("BAD_REQUEST"));
  for (const method of ["CONNECT", "TRACE", "GET / HTTP/1.1\r\nX:"]) {
    await assert.rejects(outgoing.fetch(url, { method }), hasCode("BAD_REQUEST"), method);
  }
  assert.equal(server.requests.length, 0);
});

// Guards against plain use that doesn't work.
test("an allowed request answers status, headers, text, JSON, bytes and stream", async (t) => {
  const server = await serve(t, (request, reply) => {
    if (request.url === "/gzip") {
      reply.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("größer"));
    } else if (request.url === "/br") {
      reply.writeHead(200, { "content-encoding": "br" }).end(brotliCompressSync('{"a":1}'));
    } else if (request.url === "/cookies") {
      reply
        .writeHead(
          404,
          [
            ["set-cookie", "a=1"],
            ["set-cookie", "b=2"],
          ].flat(),
        )
        .end();
    } else reply.end(request.method === "HEAD" ? undefined : "plain");
  });
  const base = `http://127.0.0.1:${server.port}`;
  const { outgoing, metrics } = start(t, { allow: ["127.0.0.1"] });
  assert.equal(await (await outgoing.fetch(`${base}/gzip`)).text(), "größer");
  assert.deepEqual(await (await outgoing.fetch(`${base}/br`)).json(), { a: 1 });
  const missing = await outgoing.fetch(`${base}/cookies`);
  assert.deepEqual([missing.ok, missing.status], [false, 404]);
  assert.equal(missing.headers["set-cookie"], "a=1, b=2");
  missing.discard();
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await outgoing.fetch(base)).stream()) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), "plain");
  const head = await outgoing.fetch(base, { method: "HEAD" });
  assert.equal((await head.bytes()).length, 0);
  const put = await outgoing.fetch(base, { method: "put", body: Buffer.from([1, 2, 3]) });
  put.discard();
  assert.equal(server.requests.at(-1)?.method, "PUT");
  assert.match((await metrics.expose()).text, /outcome="answered"\} 6/);
});
