import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import { buildConnector } from "undici";
import type { Clock } from "../clock.ts";
import {
  canonicalAddress,
  isForeignPort,
  isPrivateName,
  isPublicAddress,
  ownAddresses,
} from "./addresses.ts";
import { outgoingErrors } from "./outgoing-errors.ts";

/**
 * Addresses of a name; `isTrusted` for allow-listed ones, which hosts files and search domains may
 * name.
 */
export type Resolve = (host: string, isTrusted: boolean) => Promise<string[]>;

export interface GuardOptions {
  clock: Clock;
  isAllowed: (host: string, port: number) => boolean;
  resolve?: Resolve;
  /** Addresses of this machine. */
  own?: () => Set<string>;
}

/** Decides where a connection may go. */
export interface Guard {
  /** Looks at host and port alone; throws `ERR_OUTGOING_PRIVATE_ADDRESS` or `_BAD_URL`. */
  checkTarget(host: string, port: number): void;
  /** Addresses that may be connected to, all of them checked. */
  addressesOf(host: string, port: number): Promise<string[]>;
  /** Connects to a checked address, and checks again where the connection leads. */
  connect: buildConnector.connector;
}

const resolveTimeoutMs = 5_000;
const connectTimeoutMs = 5_000;
const maxAddresses = 32;
const maxTriedAddresses = 4;

/**
 * Asks the name servers for names that tenants give, in a way that occupies none of the process's
 * few worker threads, as getaddrinfo would for as long as a slow name server likes.
 */
const resolveByDns: Resolve = async (host, isTrusted) => {
  if (isTrusted) return (await lookup(host, { all: true })).map((one) => one.address);
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  const [failed] = answers.filter((answer) => answer.status === "rejected");
  if (found.length === 0 && failed) throw failed.reason;
  return found;
};

function refused(host: string, why: string) {
  return outgoingErrors.private_address({
    detail: `Requests to ${host} are not allowed: it is not a host on the open network.`,
    cause: new Error(why),
  });
}

/** IPv4 first: where there is no IPv6, an IPv6 address may cost the whole connect timeout. */
function inOrder(addresses: readonly string[]): string[] {
  return [...new Set(addresses)].sort((a, b) => isIP(a) - isIP(b));
}

/** Name servers have their own idea of patience. */
async function inTime<T>(answer: Promise<T>, host: string, clock: Clock): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(resolveTimeoutMs, done.signal).then(() => {
    throw outgoingErrors.timeout({ detail: `The name servers took too long over ${host}.` });
  });
  // Where the answer comes first, the sleep is aborted and rejects with nobody waiting.
  late.catch(() => {});
  try {
    return await Promise.race([answer, late]);
  } finally {
    done.abort();
  }
}

/** Connects to the address instead of the name, and checks where the connection has led. */
function connectTo(
  connector: buildConnector.connector,
  target: buildConnector.Options,
  address: string,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    connector({ ...target, hostname: address }, (error, socket) => {
      if (!socket) return reject(error);
      if (canonicalAddress(socket.remoteAddress ?? "") === canonicalAddress(address)) {
        return resolve(socket);
      }
      socket.destroy();
      reject(refused(target.hostname, "the connection led to another address"));
    });
  });
}

/** Checks targets, names and connections against what may be reached. */
export function createGuard(options: GuardOptions): Guard {
  const { clock, isAllowed, resolve = resolveByDns, own = ownAddresses } = options;
  const connector = buildConnector({ timeout: connectTimeoutMs, maxCachedSessions: 1_000 });

  const isOpen = (address: string, machine: Set<string>) =>
    isPublicAddress(address) && !machine.has(canonicalAddress(address));

  const checkTarget = (host: string, port: number) => {
    if (isAllowed(host, port)) return;
    if (isForeignPort(port)) {
      throw outgoingErrors.bad_url({ detail: `Port ${port} is not one for web requests.` });
    }
    if (isPrivateName(host)) throw refused(host, "the name is a private one");
    if (isIP(host) !== 0 && !isOpen(host, own())) throw refused(host, "the address is private");
  };

  const addressesOf = async (host: string, port: number): Promise<string[]> => {
    checkTarget(host, port);
    if (isIP(host) !== 0) return [host];
    const isTrusted = isAllowed(host, port);
    const addresses = inOrder(await inTime(resolve(host, isTrusted), host, clock));
    if (addresses.length === 0 || addresses.length > maxAddresses) {
      const detail = `${host} has no address, or more than ${maxAddresses}.`;
      throw outgoingErrors.unreachable({ detail });
    }
    const machine = own();
    // One private address among public ones is refused too: nobody answers so by accident.
    if (!isTrusted && !addresses.every((address) => isOpen(address, machine))) {
      throw refused(host, "the name leads to a private address");
    }
    return addresses;
  };

  const connectChecked = async (target: buildConnector.Options): Promise<Socket> => {
    const host = target.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
    const port = Number(target.port) || (target.protocol === "https:" ? 443 : 80);
    const addresses = await addressesOf(host, port);
    let failure: unknown;
    for (const address of addresses.slice(0, maxTriedAddresses)) {
      try {
        return await connectTo(connector, target, address);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  };

  return {
    checkTarget,
    addressesOf,
    connect: (target, callback) => {
      connectChecked(target).then(
        (socket) => callback(null, socket),
        (error: Error) => callback(error, null),
      );
    },
  };
}
