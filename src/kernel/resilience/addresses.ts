import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";

/**
 * Public by range, yet a machine's own: the address at which Azure serves every virtual machine.
 */
const platformAddresses = ["168.63.129.16"];
const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");

/** Names that mean this machine, its network or its cloud wherever they are asked for. */
const privateDomain =
  /(^|\.)(localhost|localdomain|local|internal|intranet|lan|home|corp|svc|home\.arpa)$/;
const metadataName = /^(metadata|instance-data)(\.|$)/;

/** The ports that browsers refuse (WHATWG Fetch, "bad port"): those of other protocols. */
const foreignPorts = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
  103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
  512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
  995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
  6669, 6679, 6697, 10080,
]);

/** One spelling for each address: IPv4-mapped as IPv4, IPv6 compressed, without a zone. */
export function canonicalAddress(address: string): string {
  const bare = address.replace(/%.*$/, "");
  return isIP(bare) === 0 ? address : ipaddr.process(bare).toString();
}

/**
 * Whether an address belongs to the open network. Everything that is not plainly global unicast is
 * refused, also the IPv6 ranges that carry an IPv4 address inside (mapped, compatible, 6to4, NAT64,
 * Teredo), because what they lead to can't be seen from here. IANA special-purpose registries.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== "unicast" || platformAddresses.includes(parsed.toString())) return false;
  return parsed.kind() === "ipv4" || parsed.match(globalUnicast);
}

/** Addresses of this machine's own interfaces: public ones lead home as well. */
export function ownAddresses(): Set<string> {
  const own = new Set<string>();
  for (const one of Object.values(networkInterfaces()).flat()) {
    if (one) own.add(canonicalAddress(one.address));
  }
  return own;
}

/** A host as `URL` spells it, without brackets and without the root's dot. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}

/** The port that a URL means, also where it says none. */
export function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

/** Whether a name is refused before anybody asks where it leads. */
export function isPrivateName(host: string): boolean {
  return privateDomain.test(host) || metadataName.test(host);
}

/** Whether a port is surely not for web requests. */
export function isForeignPort(port: number): boolean {
  return port === 0 || foreignPorts.has(port);
}

/**
 * Reads entries of `host` or `host:port` and answers whether one of them names a host and port. The
 * match is exact after the spelling that `URL` gives: "127.1" is 127.0.0.1, but "localhost" is not.
 */
export function allowList(entries: readonly string[]): (host: string, port: number) => boolean {
  const allowed = new Set<string>();
  for (const entry of entries) {
    const port = /^(?:\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry)?.[1];
    const name = port === undefined ? entry : entry.slice(0, -port.length - 1);
    const bracketed = isIP(name) === 6 ? `[${name}]` : name;
    if (!URL.canParse(`http://${bracketed}/`)) {
      throw new Error("PLIMSOLL_ALLOW_PRIVATE_HOSTS has an entry that is not host or host:port");
    }
    const host = hostOf(new URL(`http://${bracketed}/`));
    allowed.add(port === undefined ? host : `${host} ${Number(port)}`);
  }
  return (host, port) => allowed.has(host) || allowed.has(`${host} ${port}`);
}
