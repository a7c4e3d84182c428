import { type Gateway, openGateway } from "./etcd-gateway.ts";
import { createEtcdNode, type EtcdNode } from "./etcd-node.ts";
import { type Address, closeLinks, openLinks } from "./proxy.ts";
import { addressOf } from "./real-address.ts";
import type { Backend, RealAround, RealEngine } from "./real-backend.ts";
import { assembleReal } from "./real-engine.ts";
import { createLinks, storeClock } from "./real-links.ts";
import { EngineFault, type StoreSpec } from "./types.ts";

const nodesAtMost = 9;

/** Opens a store on the members of an etcd cluster. */
export async function createEtcdEngine(spec: StoreSpec, around: RealAround): Promise<RealEngine> {
  const addresses = addressesOf(spec);
  const names = [...addresses.keys()];
  const nowMs = storeClock(around.clock);
  const proxies = await openLinks(addresses, around);
  const failures = Object.fromEntries(names.map((name) => [name, 0]));
  const gateways = new Map<string, Gateway>();
  const nodes = new Map<string, EtcdNode>();
  const majority = (names.length >> 1) + 1;
  for (const [name, link] of proxies) {
    const { host, port } = addresses.get(name)!;
    const gateway = openGateway({
      link,
      host: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
      timeoutMs: spec.operationTimeoutMs,
      onFailure: () => {
        failures[name]! += 1;
      },
    });
    gateways.set(name, gateway);
    nodes.set(name, createEtcdNode(gateway, around.storeId, majority));
  }
  const backend = createBackend(nodes, failures, async () => {
    await Promise.all([...gateways.values()].map((gateway) => gateway.close()));
    await closeLinks(proxies);
  });
  const links = createLinks(proxies, around.peers ?? [], nowMs);
  return assembleReal({ backend, links, spec, clock: around.clock, nowMs });
}

function createBackend(
  nodes: ReadonlyMap<string, EtcdNode>,
  failures: Readonly<Record<string, number>>,
  close: () => Promise<void>,
): Backend {
  const names = [...nodes.keys()];
  // Any member can answer for the majority; who did goes on doing so until it fails.
  let [preferred, turn] = [0, 0];
  const from = (at: number) => [...names.slice(at), ...names.slice(0, at)];
  return {
    name: "etcd",
    nodes: names,
    newest: () => from(preferred),
    anywhere() {
      turn = (turn + 1) % names.length;
      return from(turn);
    },
    readNewest: (node, key, signal) => nodes.get(node)!.read(key, true, signal),
    readHere: (node, key, _token, signal) => nodes.get(node)!.read(key, false, signal),
    position: async (node, signal) => (await nodes.get(node)!.read("", true, signal)).position,
    write: (node, ask, _deadlineMs, signal) => nodes.get(node)!.write(ask, signal),
    state: (node, signal) => nodes.get(node)!.state(signal),
    onTrouble(node) {
      if (names[preferred] === node) preferred = (preferred + 1) % names.length;
    },
    connectionFailures: () => ({ ...failures }),
    close,
  };
}

function addressesOf({ topology }: StoreSpec): Map<string, Address> {
  if (topology.kind !== "etcd") throw new EngineFault("The topology is not one of etcd.");
  const { endpoints } = topology;
  if (endpoints.length === 0 || endpoints.length > nodesAtMost) {
    const detail = `An etcd store has 1 to ${nodesAtMost} endpoints, not ${endpoints.length}.`;
    throw new EngineFault(detail);
  }
  return new Map(endpoints.map((text, at) => [`n${at + 1}`, addressOf(text, ["http"], 2_379)]));
}
