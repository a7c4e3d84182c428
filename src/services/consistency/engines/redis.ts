import { isNewer } from "../engine/protocol.ts";
import type { Fork } from "../rules/history.ts";
import { type Address, closeLinks, type Link, openLinks } from "./proxy.ts";
import { addressOf } from "./real-address.ts";
import type { Backend, RealAround, RealEngine } from "./real-backend.ts";
import { assembleReal, budgetOf } from "./real-engine.ts";
import { inTime, Late } from "./real-guard.ts";
import { createLinks, storeClock } from "./real-links.ts";
import { openRedisLink } from "./redis-link.ts";
import { createRedisNode, type RedisNode } from "./redis-node.ts";
import { keysOf } from "./redis-scripts.ts";
import { EngineFault, type StoreSpec } from "./types.ts";

/** A Redis primary with its replicas. What it promises is checked, not guaranteed. */
export interface RedisEngine extends RealEngine {
  readonly name: "redis";
  /** The node that writes go to. */
  primary(): string;
  /**
   * Makes a replica the primary, as a failover does, and has the other nodes that are reachable
   * follow it. What the old primary had acknowledged and the new one never got is lost. While
   * `meanwhile` runs both are primaries and this store still writes to the old one, as clients do
   * who have not heard of a failover. Concerns the whole servers, not only this store's keys.
   * Throws EngineFault where it can't be done.
   */
  promote(replica: string, meanwhile?: () => Promise<void>): Promise<void>;
  /** Where later terms took over, as the history's `forks` say it. */
  forks(): Promise<readonly Fork[]>;
}

const nodesAtMost = 9;
const lookAgainMs = 500;
const settleRounds = 20;
const settlePauseMs = 200;
const connectTimeoutAtMostMs = 2_000;

/** Opens a store on Redis; nodes that can't be reached yet are tried again and again. */
export async function createRedisEngine(spec: StoreSpec, around: RealAround): Promise<RedisEngine> {
  const addresses = addressesOf(spec);
  const names = [...addresses.keys()];
  const nowMs = storeClock(around.clock);
  const proxies = await openLinks(addresses, around);
  const failures = Object.fromEntries(names.map((name) => [name, 0]));
  const nodes = new Map<string, RedisNode>();
  for (const [name, { host, port }] of proxies) {
    const open = () =>
      openRedisLink({
        host,
        port,
        password: spec.topology.kind === "redis" ? spec.topology.password : null,
        clock: around.clock,
        random: around.random,
        nowMs,
        connectTimeoutMs: Math.min(connectTimeoutAtMostMs, spec.operationTimeoutMs),
        onFailure: () => {
          failures[name]! += 1;
        },
      });
    nodes.set(name, createRedisNode(keysOf(around.storeId), open, nowMs));
  }
  await Promise.all([...nodes.values()].map((node) => node.attempted));
  const parts = { spec, around, addresses, nodes, proxies, failures, nowMs };
  return assemble(parts);
}

interface Parts {
  readonly spec: StoreSpec;
  readonly around: RealAround;
  readonly addresses: ReadonlyMap<string, Address>;
  readonly nodes: ReadonlyMap<string, RedisNode>;
  readonly proxies: ReadonlyMap<string, Link>;
  readonly failures: Readonly<Record<string, number>>;
  readonly nowMs: () => number;
}

function assemble(parts: Parts): RedisEngine {
  const { spec, around, nodes, proxies, failures, nowMs } = parts;
  const names = [...nodes.keys()];
  const majorityCopies = names.length >> 1;
  const lead = createLead(parts);
  let turn = 0;
  const backend: Backend = {
    name: "redis",
    nodes: names,
    newest: () => [lead.primary()],
    anywhere() {
      const replicas = names.filter((name) => name !== lead.primary());
      turn = (turn + 1) % Math.max(1, replicas.length);
      return [...replicas.slice(turn), ...replicas.slice(0, turn)];
    },
    readNewest: (node, key) => nodes.get(node)!.read(key, null, true),
    readHere: (node, key, token) => nodes.get(node)!.read(key, token, false),
    position: async (node) => (await nodes.get(node)!.read("", null, true)).position,
    write: (node, ask, deadlineMs) => nodes.get(node)!.write(ask, majorityCopies, deadlineMs),
    state: (node) => nodes.get(node)!.state(),
    onTrouble(node, error, startedMs) {
      if (error instanceof Late) nodes.get(node)!.doubt(startedMs);
      if (node === lead.primary()) lead.lookAgain();
    },
    connectionFailures: () => ({ ...failures }),
    async close() {
      for (const node of nodes.values()) node.close();
      await closeLinks(proxies);
    },
  };
  const links = createLinks(proxies, around.peers ?? [], nowMs);
  const engine = assembleReal({ backend, links, spec, clock: around.clock, nowMs });
  return {
    ...engine,
    name: "redis",
    primary: lead.primary,
    promote: lead.promote,
    async heal() {
      await engine.heal();
      await lead.settle();
    },
    forks: async () => {
      const read = () => nodes.get(lead.primary())!.forks();
      try {
        return await inTime(around.clock, budgetOf(spec), read);
      } catch (error) {
        throw new EngineFault(`${lead.primary()} can't be asked: ${(error as Error).message}.`);
      }
    },
  };
}

const inBudget = <Result>({ spec, around }: Parts, work: () => Promise<Result>) =>
  inTime(around.clock, budgetOf(spec), work);

/** Has the other nodes follow the primary; those that can't be reached are tried again. */
async function follow(parts: Parts, primary: string, rounds: number): Promise<void> {
  const { nodes, addresses, around } = parts;
  const { host, port } = addresses.get(primary)!;
  let left = [...nodes.keys()].filter((name) => name !== primary);
  for (let round = 1; left.length > 0 && round <= rounds; round += 1) {
    if (round > 1) await around.clock.sleep(settlePauseMs);
    const tell = (name: string) => inBudget(parts, () => nodes.get(name)!.follow(host, port));
    const ends = await Promise.allSettled(left.map(tell));
    left = left.filter((_, at) => ends[at]!.status === "rejected");
  }
}

/** Which node is the primary, and how that changes. */
function createLead(parts: Parts) {
  const { nodes, nowMs } = parts;
  const names = [...nodes.keys()];
  let primary = names[0]!;
  let lookedMs = Number.NEGATIVE_INFINITY;
  /** After a promotion of ours a second primary may be left, to be made a replica when healed. */
  let isPromoted = false;
  const stateOf = async (name: string) => {
    try {
      return await inBudget(parts, () => nodes.get(name)!.state());
    } catch {
      // Who can't be asked is no candidate.
      return null;
    }
  };

  /** Follows a failover that somebody else has made: of those that say so, the newest primary. */
  async function look(): Promise<void> {
    const before = primary;
    const states = await Promise.all(names.map(stateOf));
    if (primary !== before) return;
    const isPrimary = (name: string) => states[names.indexOf(name)]?.role === "primary";
    if (isPrimary(primary)) return;
    const able = names.filter(isPrimary);
    const positionOf = (name: string) => states[names.indexOf(name)]!.position;
    able.sort((a, b) => (isNewer(positionOf(a), positionOf(b)) ? -1 : 1));
    primary = able[0] ?? primary;
  }

  return {
    primary: () => primary,
    lookAgain() {
      if (nowMs() - lookedMs < lookAgainMs) return;
      lookedMs = nowMs();
      void look();
    },
    settle: async () => {
      if (isPromoted) await follow(parts, primary, settleRounds);
    },
    async promote(replica: string, meanwhile?: () => Promise<void>): Promise<void> {
      const node = nodes.get(replica);
      if (!node || replica === primary) {
        const others = names.filter((name) => name !== primary);
        throw new EngineFault(`"${replica}" is no replica; there are ${others.join(", ")}.`);
      }
      try {
        await inBudget(parts, () => node.becomePrimary());
      } catch (error) {
        throw new EngineFault(`${replica} can't be promoted: ${(error as Error).message}.`);
      }
      isPromoted = true;
      try {
        await meanwhile?.();
      } finally {
        primary = replica;
        await follow(parts, primary, 1);
      }
    },
  };
}

function addressesOf({ topology }: StoreSpec): Map<string, Address> {
  if (topology.kind !== "redis") throw new EngineFault("The topology is not one of Redis.");
  const texts = [topology.primary, ...topology.replicas];
  if (texts.length > nodesAtMost) {
    throw new EngineFault(`A Redis store has at most ${nodesAtMost} nodes, not ${texts.length}.`);
  }
  return new Map(texts.map((text, at) => [`n${at + 1}`, addressOf(text, ["redis"], 6_379)]));
}
