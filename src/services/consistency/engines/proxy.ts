import { connect, createServer, type Socket } from "node:net";
import type { Clock } from "#kernel/clock.ts";
import { createPipe, type Pipe } from "./proxy-pipe.ts";

/** What a link does to what passes over it. */
export interface LinkState {
  /** New connections are reset at once, and so are those that there are. */
  readonly isRefusing: boolean;
  /** What is sent to the node vanishes. */
  readonly isCutToNode: boolean;
  /** What the node sends vanishes. */
  readonly isCutFromNode: boolean;
  /** Each way, on top of what the network takes. */
  readonly delayMs: number;
}

/** A link that does nothing to what passes. */
export const soundLink: LinkState = {
  isRefusing: false,
  isCutToNode: false,
  isCutFromNode: false,
  delayMs: 0,
};

/** Where a node is. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * Gives the address to dial for a host that a tenant named, or rejects where it must not be
 * dialled. It is asked for each connection, so that a name can't lead elsewhere later.
 */
export type Allow = (host: string, port: number) => Promise<string>;

/** A TCP proxy in front of one node. */
export interface Link {
  readonly host: string;
  readonly port: number;
  state(): LinkState;
  set(state: LinkState): void;
  connections(): number;
  /**
   * A connection through the proxy that has reached the node; rejects where it is not reached in
   * time. What fails before that was never sent.
   */
  connect(timeoutMs: number): Promise<Socket>;
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

const connectionsAtMost = 256;
const dialTimeoutMs = 5_000;
const loopback = "127.0.0.1";

/** A client's connection, and the one to the node that was made for it. */
interface Pair {
  readonly client: Socket;
  /** Of the client's end. */
  readonly clientPort: number;
  node: Socket | null;
  toNode: Pipe | null;
  fromNode: Pipe | null;
  /** Bytes vanished, or the connection began in a cut: it can't go on when the cut is mended. */
  isHoled: boolean;
}

/** The connections of a proxy. */
interface Pairs {
  readonly all: ReadonlySet<Pair>;
  begin(client: Socket): Pair;
  /** Ends both sides, at once. */
  drop(pair: Pair): void;
  /** Ends the pair when one of its sockets breaks. */
  watch(pair: Pair, socket: Socket): void;
  join(pair: Pair, node: Socket): void;
  /** Resolves when the connection from this port has reached the node. */
  arrivalOf(clientPort: number): PromiseWithResolvers<void>;
  forget(clientPort: number): void;
}

function createPairs(clock: Clock, state: () => LinkState): Pairs {
  const all = new Set<Pair>();
  const arrivals = new Map<number, PromiseWithResolvers<void>>();
  const remove = (pair: Pair): boolean => {
    arrivals.delete(pair.clientPort);
    return all.delete(pair);
  };
  const drop = (pair: Pair) => {
    if (!remove(pair)) return;
    pair.toNode?.stop();
    pair.fromNode?.stop();
    pair.client.resetAndDestroy();
    pair.node?.resetAndDestroy();
  };
  const arrivalOf = (clientPort: number) => {
    const arrival = arrivals.get(clientPort) ?? Promise.withResolvers<void>();
    arrivals.set(clientPort, arrival);
    return arrival;
  };
  return {
    all,
    drop,
    arrivalOf,
    forget: (clientPort) => void arrivals.delete(clientPort),
    begin(client) {
      const none = { node: null, toNode: null, fromNode: null };
      const pair = { client, clientPort: client.remotePort ?? 0, ...none, isHoled: false };
      all.add(pair);
      return pair;
    },
    watch(pair, socket) {
      socket.on("error", () => drop(pair));
      // What was sent before an orderly end may still be on its way.
      socket.on("close", () => socket.readableEnded || drop(pair));
    },
    join(pair, node) {
      pair.node = node;
      const pipe = (from: Socket, to: Socket, isLost: () => boolean) =>
        createPipe(from, to, {
          clock,
          delayMs: () => state().delayMs,
          isLost,
          onLoss: () => {
            pair.isHoled = true;
          },
          onEnd: () => pair.toNode?.isDone() && pair.fromNode?.isDone() && remove(pair),
        });
      pair.toNode = pipe(pair.client, node, () => state().isCutToNode);
      pair.fromNode = pipe(node, pair.client, () => state().isCutFromNode);
      arrivalOf(pair.clientPort).resolve();
    },
  };
}

/**
 * Opens a proxy to `node` on a port of the loopback that the system chooses. A cut is silence, as
 * in a network that drops packets: connections stay open and nothing arrives. What was sent
 * meanwhile never arrives: when the cut is mended, connections that missed something are reset,
 * instead of bringing after all what was lost (as a stopped process that goes on would).
 */
export async function openLink(
  node: Address,
  { clock, allow = async (host) => host }: { clock: Clock; allow?: Allow },
): Promise<Link> {
  let state = soundLink;
  const pairs = createPairs(clock, () => state);
  const isCut = () => state.isCutToNode || state.isCutFromNode;
  const accept = async (client: Socket) => {
    const pair = pairs.begin(client);
    pairs.watch(pair, client);
    // Whoever gives up while cut off is not waited for until the cut is mended.
    client.on("end", () => isCut() && pairs.drop(pair));
    if (state.isRefusing) return pairs.drop(pair);
    if (isCut()) {
      // A handshake takes both ways, so one way alone being cut keeps it from ending.
      pair.isHoled = true;
      client.resume();
      return;
    }
    try {
      const socket = await dial(node, allow);
      pairs.watch(pair, socket);
      if (pairs.all.has(pair)) pairs.join(pair, socket);
      else socket.resetAndDestroy();
    } catch {
      // Whoever connected learns of it as of a node that is not there.
      pairs.drop(pair);
    }
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.maxConnections = connectionsAtMost;
  server.on("connection", (client) => void accept(client));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, loopback, resolve);
  });
  const { port } = server.address() as { port: number };

  return {
    host: loopback,
    port,
    connect: (timeoutMs) => connectThrough(port, timeoutMs, pairs),
    state: () => state,
    set(next) {
      const isMended =
        (state.isCutToNode && !next.isCutToNode) || (state.isCutFromNode && !next.isCutFromNode);
      state = next;
      for (const pair of pairs.all) {
        if (state.isRefusing || (isMended && pair.isHoled)) pairs.drop(pair);
      }
    },
    connections: () => pairs.all.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const pair of pairs.all) pairs.drop(pair);
      }),
  };
}

/** Opens a proxy in front of each node; all or none. */
export async function openLinks(
  nodes: ReadonlyMap<string, Address>,
  around: { clock: Clock; allow?: Allow },
): Promise<Map<string, Link>> {
  const links = new Map<string, Link>();
  try {
    for (const [name, address] of nodes) links.set(name, await openLink(address, around));
    return links;
  } catch (error) {
    await closeLinks(links);
    throw error;
  }
}

/** Closes them all. */
export async function closeLinks(links: ReadonlyMap<string, Link>): Promise<void> {
  await Promise.all([...links.values()].map((link) => link.close()));
}

/** Connects to the proxy and waits until that has reached its node. */
function connectThrough(
  port: number,
  timeoutMs: number,
  { arrivalOf, forget }: Pick<Pairs, "arrivalOf" | "forget">,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: loopback, port, noDelay: true });
    let own = 0;
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(timeoutMs, () => fail(new Error(`no connection in ${timeoutMs} ms`)));
    socket.once("error", fail);
    socket.once("close", () => {
      forget(own);
      reject(new Error("the node can't be reached"));
    });
    const arrive = () => {
      socket.setTimeout(0);
      socket.removeListener("error", fail);
      resolve(socket);
    };
    socket.once("connect", () => {
      own = socket.localPort ?? 0;
      void arrivalOf(own).promise.then(arrive);
    });
  });
}

async function dial({ host, port }: Address, allow: Allow): Promise<Socket> {
  const address = await allow(host, port);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(dialTimeoutMs, () => fail(new Error(`no connection in ${dialTimeoutMs} ms`)));
    socket.once("error", fail);
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.removeListener("error", fail);
      resolve(socket);
    });
  });
}
