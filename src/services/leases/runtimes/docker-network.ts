import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";
import type { Engine } from "./docker-engine.ts";
import { statusOf, wordsOf } from "./docker-errors.ts";
import { bridgePrefix, type Firewall } from "./docker-firewall.ts";
import { runtimeErrors } from "./errors.ts";
import type { ContainerSpec, Egress } from "./types.ts";

/** Large enough for a burst of a thousand leases of one tenant, small enough for 4,096 networks. */
const networkBits = 22;
const defaultPool = "10.192.0.0/10";
const attemptsMax = 64;
/**
 * A network without containers is kept for this long, because making one takes a tenth of a second.
 */
const idleMsMin = 600_000;

interface Range {
  readonly first: number;
  readonly last: number;
}

function numberOf(address: string): number {
  return ipaddr.IPv4.parse(address).octets.reduce((sum, octet) => sum * 256 + octet, 0);
}

function addressOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
}

/** The addresses of an IPv4 range such as 10.0.0.0/8; null for what is none. */
function rangeOf(cidr: string): Range | null {
  if (!ipaddr.IPv4.isValidCIDR(cidr)) return null;
  const [address, bits] = ipaddr.IPv4.parseCIDR(cidr);
  const size = 2 ** (32 - bits);
  const first = Math.floor(numberOf(address.toString()) / size) * size;
  return { first, last: first + size - 1 };
}

/**
 * A part of the pool that overlaps with nothing that is taken; null where the pool is full. `seed`
 * says where to begin, so that two servers that look at once don't meet at the same one.
 */
export function freeSubnet(pool: string, taken: readonly string[], seed: number): string | null {
  const whole = rangeOf(pool);
  if (whole === null) throw new Error(`The pool of subnets "${pool}" is no IPv4 range`);
  const used = taken.map(rangeOf).filter((range) => range !== null);
  const size = 2 ** (32 - networkBits);
  const count = Math.floor((whole.last - whole.first + 1) / size);
  for (let index = 0; index < count; index += 1) {
    const first = whole.first + ((seed + index) % count) * size;
    const last = first + size - 1;
    if (used.every((range) => range.last < first || range.first > last)) {
      return `${addressOf(first)}/${networkBits}`;
    }
  }
  return null;
}

/**
 * The destinations in the text of /proc/net/route, which has them as hexadecimal from the right.
 */
export function routesIn(text: string): string[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, destination = "", , , , , , mask = ""] = line.split("\t");
      if (!/^[0-9A-F]{8}$/.test(destination) || !/^[0-9A-F]{8}$/.test(mask)) return [];
      const octets = (hex: string) => [...Buffer.from(hex, "hex")].reverse();
      const bits = octets(mask).reduce(
        (sum, octet) => sum + octet.toString(2).split("1").length - 1,
        0,
      );
      return bits === 0 ? [] : [`${octets(destination).join(".")}/${bits}`];
    });
}

/** What this host reaches already; an engine elsewhere looks after its own. */
function hostRanges(): string[] {
  const own = Object.values(networkInterfaces())
    .flat()
    .flatMap((one) => (one?.family === "IPv4" && one.cidr ? [one.cidr] : []));
  const path = "/proc/net/route";
  return existsSync(path) ? [...own, ...routesIn(readFileSync(path, "utf8"))] : own;
}

interface NamedNetwork {
  readonly name: string;
  readonly bridge: string;
  readonly seed: number;
}

/**
 * What a tenant's network is called. Names of networks need not be unique for the engine, names of
 * bridges are: with one that follows from the name, two servers can't make a network twice.
 */
export function networkNames(installId: string, tenantId: string, egress: Egress): NamedNetwork {
  const name = `plm-${installId}-${tenantId}-${egress}`;
  const digest = createHash("sha256").update(name).digest();
  const prefix = bridgePrefix[egress];
  const bridge = prefix + digest.toString("hex").slice(0, 15 - prefix.length);
  return { name, bridge, seed: digest.readUInt32BE(8) };
}

interface NetworkEntry {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Internal: boolean;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly Options?: Readonly<Record<string, string>> | null;
  readonly IPAM?: { readonly Config?: readonly { readonly Subnet?: string }[] | null } | null;
}

const bridgeOption = "com.docker.network.bridge.name";

const list = async (engine: Engine): Promise<NetworkEntry[]> => {
  const request = { method: "GET", path: "/networks" } as const;
  return (await engine.ask<NetworkEntry[]>("list its networks", request)).body;
};

function bodyOf({ name, bridge }: NamedNetwork, egress: Egress, subnet: string, labels: object) {
  return {
    Name: name,
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: egress === "none",
    EnableIPv6: false,
    IPAM: { Config: [{ Subnet: subnet }] },
    Labels: labels,
    Options: {
      [bridgeOption]: bridge,
      "com.docker.network.bridge.enable_icc": "false",
    },
  };
}

/** Makes the network, or finds it made by somebody else meanwhile. */
async function make(engine: Engine, names: NamedNetwork, tenantId: string, egress: Egress) {
  const { installId, subnetPool = defaultPool } = engine.options;
  const labels = { "plimsoll.install": installId, "plimsoll.tenant": tenantId };
  const refused: string[] = hostRanges();
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const networks = await list(engine);
    const there = networks.find(({ Name }) => Name === names.name);
    if (there !== undefined) return there;
    const taken = networks.flatMap(({ IPAM }) =>
      (IPAM?.Config ?? []).map(({ Subnet = "" }) => Subnet),
    );
    const subnet = freeSubnet(subnetPool, [...taken, ...refused], names.seed + attempt);
    if (subnet === null) break;
    try {
      await engine.ask("make a tenant's network", {
        method: "POST",
        path: "/networks/create",
        body: bodyOf(names, egress, subnet, labels),
        deadlineMs: 30_000,
        lane: "making",
      });
    } catch (error) {
      if (statusOf(error) === null) throw error;
      // Somebody was quicker with the name or the range: the next look shows which.
      const words = wordsOf((error as { options: { cause: unknown } }).options.cause);
      if (!/already exists|same bridge name|overlaps/i.test(words)) throw error;
      if (/overlaps/i.test(words)) refused.push(subnet);
    }
  }
  const detail = `There is no free range for another tenant's network in ${subnetPool}.`;
  throw runtimeErrors.refused({ detail });
}

/** Refuses a network of this name that somebody made with other properties. */
function check(network: NetworkEntry, names: NamedNetwork, egress: Egress): void {
  const isOurs =
    network.Driver === "bridge" &&
    network.Internal === (egress === "none") &&
    network.Options?.[bridgeOption] === names.bridge &&
    network.Options["com.docker.network.bridge.enable_icc"] === "false";
  if (isOurs) return;
  const detail = `The engine has a network ${names.name} that was not made for this. Remove it.`;
  throw runtimeErrors.conflict({ detail });
}

/** Whether the engine's bridges are in this process's own network, as its rules then are. */
function checkNearness(bridge: string): void {
  if (existsSync(`/sys/class/net/${bridge}`)) return;
  const detail =
    "Ports and egress to the internet need an engine whose network the server shares, so that it " +
    "can guard it. This engine is elsewhere: lease without ports and with egress none.";
  throw runtimeErrors.refused({ detail });
}

/** What a container of this kind is connected to; null where it is to nothing. */
export function neededNetwork({
  identity,
  egress,
  ports,
}: Pick<ContainerSpec, "identity" | "egress" | "ports">): NamedNetwork | null {
  if (egress === "none" && ports.length === 0) return null;
  return networkNames(identity.installId, identity.tenantId, egress);
}

/**
 * The name of the tenant's network, made where it is not there, with the host's rules in force;
 * null for a container that needs none. Refused where the rules can't be had.
 */
export async function ensureNetwork(
  engine: Engine,
  firewall: Firewall,
  spec: Pick<ContainerSpec, "identity" | "egress" | "ports">,
): Promise<string | null> {
  const names = neededNetwork(spec);
  if (names === null) return null;
  const { egress, identity } = spec;
  check(await make(engine, names, identity.tenantId, egress), names, egress);
  checkNearness(names.bridge);
  // After making it, because the engine puts its own rules first when it makes a network.
  await firewall.ensure();
  return names.name;
}

/**
 * Removes this installation's networks that no container has used for ten minutes. `idleSinceMs`
 * remembers between calls when a network was first seen unused.
 */
export async function removeIdleNetworks(
  engine: Engine,
  used: ReadonlySet<string>,
  idleSinceMs: Map<string, number>,
  nowMs: number,
): Promise<void> {
  const { installId } = engine.options;
  const ours = (await list(engine)).filter(
    ({ Name, Labels }) => Labels?.["plimsoll.install"] === installId && Name.startsWith("plm-"),
  );
  const present = new Set(ours.map(({ Id }) => Id));
  for (const id of idleSinceMs.keys()) if (!present.has(id)) idleSinceMs.delete(id);
  for (const { Id, Name } of ours) {
    if (used.has(Name)) {
      idleSinceMs.delete(Id);
      continue;
    }
    const sinceMs = idleSinceMs.get(Id) ?? nowMs;
    idleSinceMs.set(Id, sinceMs);
    if (nowMs - sinceMs < idleMsMin) continue;
    // 403: a container came meanwhile.
    const accept = [204, 403, 404];
    const path = `/networks/${Id}`;
    await engine.ask("remove an idle network", { method: "DELETE", path, accept });
  }
}
