import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../errors.ts";
import type { Resolve } from "./connect.ts";
import { hasCode, hello, serve, startOutgoing } from "./outgoing-fixture.ts";

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
  const { outgoing, metrics } = startOutgoing(t, { resolve: resolveNames });
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
  const { outgoing } = startOutgoing(t, { resolve: resolveNames });
  const error = await outgoing
    .fetch("http://to-127.0.0.1.example.com/")
    .catch((one: unknown) => one);
  assert.ok(error instanceof Problem);
  const shown = JSON.stringify([error.message, error.options.extensions, error.options.errors]);
  assert.ok(!shown.replaceAll("to-127.0.0.1.example.com", "").includes("127.0.0.1"), shown);
});

// Guards against other schemes, credentials in addresses and other protocols' ports.
test("addresses that are no web addresses are refused", async (t) => {
  const { outgoing } = startOutgoing(t, { resolve: async () => ["93.184.215.14"] });
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

// Guards against a name that answers with a public address when checked and a private one when
// used.
test("rebinding gains nothing: the connection goes to a checked address", async (t) => {
  const victim = await serve(t, hello);
  let asked = 0;
  const rebinding: Resolve = async () => {
    asked += 1;
    return asked % 2 === 1 ? ["93.184.215.14"] : ["127.0.0.1"];
  };
  const { outgoing } = startOutgoing(t, { resolve: rebinding });
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
  const { outgoing } = startOutgoing(t, { own, resolve: async () => ["93.184.215.14"] });
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
      const { outgoing } = startOutgoing(t, { allow, resolve });
      const call = outgoing.fetch(`http://public.example.com:${front.port}/`);
      await assert.rejects(call, hasCode("PRIVATE_ADDRESS"), `${status} ${location}`);
      assert.equal(front.connections(), 1);
    }
  }
  assert.equal(victim.connections(), 0);
});
