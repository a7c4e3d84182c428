import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { type DockerHouse, dockerHouse } from "./docker-fixture.ts";
import { missingRules } from "./docker-firewall.ts";
import { freeSubnet, networkNames, removeIdleNetworks, routesIn } from "./docker-network.ts";
import type { Container } from "./types.ts";

const never = new AbortController().signal;
const code = (name: string) => ({ code: `ERR_LEASES_RUNTIME_${name}` });

// Guards against two tenants in one range, and ranges that cut the host off from its own network.
test("a tenant's network is a free part of the pool, wherever the search begins", () => {
  const pool = "10.192.0.0/10";
  assert.equal(freeSubnet(pool, [], 0), "10.192.0.0/22");
  assert.equal(freeSubnet(pool, [], 4_097), "10.192.4.0/22");
  assert.equal(freeSubnet(pool, ["10.192.0.0/16"], 0), "10.193.0.0/22");
  assert.equal(freeSubnet(pool, ["10.192.7.9/32", "fd00::/8", ""], 1), "10.192.8.0/22");
  assert.equal(freeSubnet(pool, ["10.0.0.0/8"], 5), null);
  assert.equal(freeSubnet("10.192.0.0/22", ["10.192.3.255/32"], 0), null);
  assert.throws(() => freeSubnet("fd00::/8", [], 0), /no IPv4 range/);
  const table =
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" +
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" +
    "tun0\t0000C00A\t00000000\t0001\t0\t0\t0\t0000FCFF\t0\t0\t0\n";
  assert.deepEqual(routesIn(table), ["192.0.2.0/24", "10.192.0.0/14"]);
});

// Guards against a bridge whose name the rules don't know, or that two tenants share.
test("a network's bridge follows from installation, tenant and egress, and fits", () => {
  const names = [
    networkNames("i", "a", "none"),
    networkNames("i", "a", "internet"),
    networkNames("i", "b", "none"),
    networkNames("j", "a", "none"),
  ];
  assert.equal(new Set(names.map(({ bridge }) => bridge)).size, names.length);
  for (const { bridge } of names) assert.match(bridge, /^plm[ni][0-9a-f]{11}$/);
  assert.deepEqual(networkNames("i", "a", "none"), names[0]);
});

const listing = (...lines: string[]) =>
  ["-P INPUT ACCEPT", "-P FORWARD DROP", "-A FORWARD -j DOCKER-USER", ...lines].join("\n");

// Guards against rules that are there but not passed, because another comes first.
test("rules count as in force when they are whole and first", () => {
  const wanted = missingRules(listing()) ?? "";
  assert.match(wanted, /^\*filter\n:PLIMSOLL-INPUT - /);
  assert.match(wanted, /-A PLIMSOLL-FORWARD -d 169\.254\.0\.0\/16 -i plmi\+ -j DROP\n/);
  assert.match(
    wanted,
    /\n-I INPUT 1 -j PLIMSOLL-INPUT\n-I DOCKER-USER 1 -j PLIMSOLL-FORWARD\nCOMMIT/,
  );
  const rules = wanted.split("\n").filter((line) => line.startsWith("-A"));
  const jumps = ["-A INPUT -j PLIMSOLL-INPUT", "-A DOCKER-USER -j PLIMSOLL-FORWARD"];
  const others = ["-A INPUT -j ACCEPT", "-A DOCKER-USER -j RETURN"];
  assert.equal(missingRules(listing(...rules, ...jumps, ...others)), null);
  assert.notEqual(missingRules(listing(...rules, ...others, ...jumps)), null);
  assert.notEqual(missingRules(listing(...rules.slice(1), ...jumps)), null);
  assert.notEqual(missingRules(listing(...rules, ...jumps.slice(1))), null);
  const again = missingRules(listing(...rules, ...others, ...jumps)) ?? "";
  assert.match(again, /-D INPUT -j PLIMSOLL-INPUT\n-I INPUT 1/);
  assert.throws(() => missingRules("-P FORWARD ACCEPT"), /DOCKER-USER/);
});

/** Null, with the test skipped, where nobody could set the host's rules. */
async function rootHouse(t: TestContext): Promise<DockerHouse | null> {
  const house = await dockerHouse(t);
  if (house === null || process.getuid?.() === 0) return house;
  t.skip("needs root, to set the host's firewall rules");
  return null;
}

const ip = (...args: string[]) => execFileSync("ip", args, { stdio: "pipe" });
const world = { open: "45.33.32.156", lan: "10.250.77.77", local: "169.254.77.77" } as const;
const worldPort = 8_080;

/**
 * A machine out there: one address of the open internet, one of a private network, one link-local.
 */
async function startWorld(t: TestContext, house: DockerHouse): Promise<string> {
  const namespace = `plimsoll-${house.installId}`;
  const [outer, inner] = [`w${house.installId.slice(4, 12)}`, `x${house.installId.slice(4, 12)}`];
  // A run that was killed has left its own behind, with the same addresses.
  for (const [left] of String(ip("netns", "list")).matchAll(/^plimsoll-test\w+/gm)) {
    ip("netns", "del", left);
  }
  ip("netns", "add", namespace);
  t.after(() => ip("netns", "del", namespace));
  const within = (...args: string[]) => ip("-n", namespace, ...args);
  ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace);
  ip("addr", "add", "45.33.32.155/32", "dev", outer);
  ip("link", "set", outer, "up");
  within("link", "set", inner, "up");
  within("link", "set", "lo", "up");
  for (const address of Object.values(world)) {
    within("addr", "add", `${address}/32`, "dev", inner);
    ip("route", "add", `${address}/32`, "dev", outer, "src", "45.33.32.155");
  }
  within("route", "add", "45.33.32.155/32", "dev", inner);
  within("route", "add", "default", "via", "45.33.32.155");
  const script = `require("node:net").createServer((s) => s.end("hello")).listen(${worldPort})`;
  const args = ["netns", "exec", namespace, process.execPath, "-e", `${script}; console.log("up")`];
  // With nothing of ours in its hands: a run of tests would wait for whoever holds its output.
  const server = spawn("ip", args, { stdio: ["ignore", "pipe", "ignore"] });
  process.once("exit", () => server.kill());
  t.after(async () => {
    server.kill();
    await once(server, "exit");
  });
  await once(server.stdout, "data");
  return namespace;
}

/** What a connection from this host says; null where none comes about. */
function call(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect({ host, port, timeout: 2_000 });
    socket.on("data", (chunk) => {
      heard += chunk.toString();
    });
    socket.once("timeout", () => socket.destroy());
    socket.once("error", () => {});
    socket.once("close", () => resolve(heard === "" ? null : heard));
  });
}

const serve = ["sh", "-c", "while :; do echo served | nc -l -p 80; done"];

/** What containers hear at an address; empty where nothing answers. */
async function hear(
  house: DockerHouse,
  { id }: Container,
  host: string,
  port: number,
): Promise<string> {
  const { stdout } = await house.sh(id, `timeout 1 nc ${host} ${port} </dev/null 2>/dev/null`);
  return stdout;
}

async function addressOf({ runtime }: DockerHouse, { id }: Container) {
  for (;;) {
    const found = await runtime.portAddress(id, 80);
    if (found !== null) return found;
  }
}

// Guards against containers that reach neighbours, the host, its network or its cloud.
test("a container reaches what it may, and only the host its ports", async (t) => {
  const house = await rootHouse(t);
  if (!house) return;
  const namespace = await startWorld(t, house);
  for (const address of Object.values(world)) assert.equal(await call(address, worldPort), "hello");
  const host = createServer((socket) => socket.end("the host")).listen(0);
  await once(host, "listening");
  t.after(() => host.close());
  const hostPort = (host.address() as { port: number }).port;
  const base = { ports: [80], command: serve };
  const [open, closed, neighbour, foreign] = await Promise.all([
    house.run({ ...base, egress: "internet" }),
    house.run(base),
    house.run({ ...base, egress: "internet" }),
    house.run({ ...base, egress: "internet", tenantId: "tenant-b" }),
  ]);
  const all = [open, closed, neighbour, foreign];
  const addresses = await Promise.all(all.map((each) => addressOf(house, each)));
  // Between two connections nobody listens for a moment.
  for (const { host: at, port } of addresses) while ((await call(at, port)) !== "served\n");
  assert.equal(await hear(house, open, world.open, worldPort), "hello");
  const gateways = addresses.map((each) => each.host.replace(/\d+$/, "1"));
  const targets: [string, number][] = [
    ...[world.lan, world.local].map((each) => [each, worldPort] as [string, number]),
    ...addresses.map((each) => [each.host, each.port] as [string, number]),
    ...[...gateways, "45.33.32.155"].map((each) => [each, hostPort] as [string, number]),
  ];
  for (const [index, from] of [open, closed].entries()) {
    const forbidden = targets.filter(([at]) => at !== addresses[index]?.host);
    const heard: string[] = await Promise.all(
      forbidden.map(([at, port]) => hear(house, from, at, port)),
    );
    assert.deepEqual(
      heard,
      forbidden.map(() => ""),
      JSON.stringify(forbidden),
    );
  }
  assert.equal(await hear(house, closed, world.open, worldPort), "");
  for (const { host: at } of addresses) {
    const args = ["netns", "exec", namespace, process.execPath, "-e"];
    const dial = `require("node:net").connect(80, "${at}").on("connect", () => process.exit(9))`;
    const tried = spawnSync("ip", [...args, `${dial}; setTimeout(() => process.exit(0), 500)`]);
    assert.equal(tried.status, 0, "from outside, through the host");
  }
  const six = await house.sh(open.id, "cat /proc/sys/net/ipv6/conf/all/disable_ipv6; ip -6 addr");
  assert.match(six.stdout, /^(1\n)?$/);
  assert.deepEqual(
    [open, closed].map(({ isolation }) => [
      isolation.egress,
      isolation.notes.some((note) => /firewall/.test(note)),
    ]),
    [
      ["internet", false],
      ["none", false],
    ],
  );
});

// Guards against questions for names by which a container without egress talks to the world.
test("without egress nobody is asked for names; without ports there is no network", async (t) => {
  const house = await rootHouse(t);
  if (!house) return;
  const [closed, alone] = [await house.run({ ports: [80] }), await house.run()];
  const asked = await house.sh(closed.id, "timeout 2 nslookup example.com 2>&1");
  assert.doesNotMatch(asked.stdout, /Address.*: *(?!127\.0\.0\.11)\d+\.\d+\.\d+\.\d+/);
  assert.notEqual(asked.exitCode, 0);
  const { stdout } = await house.sh(alone.id, "ls /sys/class/net; cat /proc/net/route");
  assert.match(stdout, /^lo\nIface[^\n]*\n$/);
  assert.equal(alone.isolation.network, "none");
  assert.equal(await house.runtime.portAddress(alone.id, 80), null);
});

// Guards against a proxy that connects to what is not the lease's port.
test("a port has an address while something listens on it and it was asked for", async (t) => {
  const house = await rootHouse(t);
  if (!house) return;
  const { runtime } = house;
  const quiet = await house.run({ ports: [80, 81] });
  assert.equal(await runtime.portAddress(quiet.id, 80), null);
  const serving = await house.run({ ports: [80], command: serve });
  const address = await addressOf(house, serving);
  assert.match(address.host, /^10\.\d+\.\d+\.\d+$/);
  assert.equal(await runtime.portAddress(serving.id, 8_080), null);
  await runtime.stop(serving.id, 0);
  assert.equal(await runtime.portAddress(serving.id, 80), null);
});

// Guards against two networks of one tenant, and containers that can't start for want of one.
test("a tenant has one network per kind, made once and again where it is gone", async (t) => {
  const house = await rootHouse(t);
  if (!house) return;
  const { runtime, engine } = house;
  const other = house.another();
  const specs = [0, 1, 2, 3].map(() => house.spec({ ports: [80] }));
  const made = await Promise.all(
    specs.map((spec, index) => (index % 2 ? other : runtime).create(spec, never)),
  );
  const filters = JSON.stringify({ label: [`plimsoll.install=${house.installId}`] });
  const networks = async () => {
    const request = { method: "GET", path: "/networks", query: { filters } } as const;
    return (await engine.ask<{ Id: string; Name: string }[]>("list", request)).body;
  };
  const [only, ...more] = await networks();
  assert(only && more.length === 0);
  assert.equal(only.Name, `plm-${house.installId}-tenant-a-none`);
  await engine.ask("remove", { method: "DELETE", path: `/networks/${only.Id}` });
  const [first] = made;
  assert(first);
  assert.equal((await runtime.start(first.id)).state, "running");
  const [anew] = await networks();
  assert(anew && anew.Id !== only.Id);
  const idle = new Map<string, number>();
  const used = new Set([only.Name]);
  await removeIdleNetworks(engine, used, idle, 0);
  await removeIdleNetworks(engine, new Set(), idle, 1_000);
  await removeIdleNetworks(engine, new Set(), idle, 600_000);
  assert.equal((await networks()).length, 1);
  // The engine keeps what a running container uses, whatever we believe.
  await removeIdleNetworks(engine, new Set(), idle, 601_001);
  assert.equal((await networks()).length, 1);
  for (const { id } of made) await runtime.remove(id);
  await removeIdleNetworks(engine, new Set(), idle, 601_002);
  assert.equal((await networks()).length, 0);
});

// Guards against egress that nothing limits, because the rules are on another host.
test("with an engine in another network, ports and the internet are refused", async (t) => {
  const house = await rootHouse(t);
  if (!house) return;
  const namespace = `plimsoll-${house.installId}`;
  // A run that was killed has left its own behind, with the same addresses.
  for (const [left] of String(ip("netns", "list")).matchAll(/^plimsoll-test\w+/gm)) {
    ip("netns", "del", left);
  }
  ip("netns", "add", namespace);
  t.after(() => ip("netns", "del", namespace));
  const url = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
  const script = `
    const { dockerRuntime } = await import(${url("./docker.ts")});
    const log = { info() {}, warn() {} };
    const policies = { for: () => ({ execute: (call) => call(new AbortController().signal) }) };
    const random = { id: () => "id" };
    const runtime = dockerRuntime({ ...JSON.parse(process.argv[1]), random, policies, log });
    const never = new AbortController().signal;
    for (const spec of JSON.parse(process.argv[2])) {
      const outcome = await runtime.create(spec, never).then(({ state }) => state, (e) => e.code);
      console.log(outcome);
    }
    await runtime.close();`;
  const { host, installId } = house;
  const specs = [house.spec(), house.spec({ ports: [80] }), house.spec({ egress: "internet" })];
  const args = ["--input-type=module", "-e", script, JSON.stringify({ host, installId })];
  const command = ["netns", "exec", namespace, process.execPath, ...args, JSON.stringify(specs)];
  const { stdout, stderr } = spawnSync("ip", command, { encoding: "utf8", timeout: 60_000 });
  const refused = code("REFUSED").code;
  assert.equal(stdout, `created\n${refused}\n${refused}\n`, stderr);
});

// Guards against rules that somebody flushed while everybody believes in them.
test("rules that are gone are noted, and set again by whoever comes next", async (t) => {
  const house = await rootHouse(t);
  if (!house) return;
  const { id } = await house.run({ ports: [80] });
  const flush = () => execFileSync("iptables", ["-w", "5", "-F", "PLIMSOLL-FORWARD"]);
  const isNoted = async () => {
    const seen = await house.another().inspect(id);
    return seen?.isolation.notes.some((note) => /firewall rules/.test(note));
  };
  assert.equal(await isNoted(), false);
  flush();
  assert.equal(await isNoted(), true);
  await house.run({ ports: [80] });
  assert.equal(await isNoted(), false);
  flush();
  await house.runtime.tidy?.();
  assert.equal(await isNoted(), false);
});
