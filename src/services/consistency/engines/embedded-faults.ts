import { type Cluster, replicaName } from "../engine/cluster.ts";
import { microseconds } from "../engine/recorder.ts";
import type { Fault } from "../rules/history.ts";
import { EngineFault, type FaultSpec } from "./types.ts";

/** Troubles a cluster and remembers how. */
export interface Troubles {
  inject(fault: FaultSpec): void;
  heal(): void;
  /** What was injected, and which replicas it kept from a majority meanwhile; the oldest first. */
  list(): Fault[];
}

const keptAtMost = 1_000;
const msAtMost = 86_400_000;

/** No trouble yet; `nowMs` is the time of the cluster. */
export function createTroubles(cluster: Cluster, replicas: number, nowMs: () => number): Troubles {
  const names = Array.from({ length: replicas }, (_, at) => replicaName(at));
  const injected: Fault[] = [];
  const numberOf = (name: string): number => {
    const replica = names.indexOf(name);
    if (replica >= 0) return replica;
    throw new EngineFault(`There is no replica ${name}; the store has ${names.join(", ")}.`);
  };
  const remember = (fault: string) => {
    injected.push({ fault, call: microseconds(nowMs()), return: null, isolated: [] });
    if (injected.length > keptAtMost) injected.shift();
  };
  return {
    inject(fault) {
      apply(cluster, fault, numberOf);
      remember(textOf(fault));
    },
    heal() {
      cluster.heal();
      const now = microseconds(nowMs());
      injected.forEach((one, at) => {
        if (one.return === null) injected[at] = { ...one, return: now };
      });
    },
    list: () =>
      [...injected, ...cluster.faults()].toSorted((a, b) => a.call - b.call).slice(-keptAtMost),
  };
}

function textOf(fault: FaultSpec): string {
  const { kind } = fault;
  if (kind === "partition")
    return `${kind} ${fault.groups.map((one) => one.join(" ")).join(" | ")}`;
  if (kind === "cut") return `${kind} ${fault.from} to ${fault.to}`;
  const where = `${kind} ${fault.replicas.join(" ")}`;
  if (kind === "crash") return where;
  if (kind === "loss") return `${where} ${Math.round(fault.ratio * 100)} %`;
  return `${where} ${kind === "clock_jump" ? fault.jumpMs : fault.delayMs} ms`;
}

/** Refuses first, so that a fault is injected as a whole or not at all. */
function apply(cluster: Cluster, fault: FaultSpec, numberOf: (name: string) => number): void {
  if (fault.kind === "partition") {
    return cluster.part(...fault.groups.map((group) => group.map(numberOf)));
  }
  if (fault.kind === "cut") {
    const [from, to] = [numberOf(fault.from), numberOf(fault.to)];
    if (from === to)
      throw new EngineFault(`${fault.from} has no link to itself that could be cut.`);
    return cluster.cut(from, to, true);
  }
  const replicas = fault.replicas.map(numberOf);
  const each = (trouble: (replica: number) => void) => replicas.forEach(trouble);
  switch (fault.kind) {
    case "delay":
      within("delayMs", fault.delayMs, 0, msAtMost);
      return each((replica) => cluster.setLag(replica, fault.delayMs));
    case "loss":
      within("ratio", fault.ratio, 0, 1);
      return each((replica) => cluster.setLoss(replica, fault.ratio));
    case "crash":
      return each((replica) => cluster.crash(replica));
    case "clock_jump":
      within("jumpMs", fault.jumpMs, -msAtMost, msAtMost);
      return each((replica) => cluster.jump(replica, fault.jumpMs));
    case "slow_disk":
      within("delayMs", fault.delayMs, 0, msAtMost);
      return each((replica) => cluster.setSyncMs(replica, fault.delayMs, fault.delayMs));
  }
}

function within(name: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw new EngineFault(`${name} is ${value}; it must be from ${least} to ${most}.`);
}
