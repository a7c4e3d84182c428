import type { Clock } from "#kernel/clock.ts";
import type { Fault } from "../rules/history.ts";
import { type Link, type LinkState, soundLink } from "./proxy.ts";
import { EngineFault, type FaultSpec } from "./types.ts";

/** What this process is called where a fault names two ends. */
export const clientName = "client";

/** The faults that proxies can do; the others need the machines that the nodes run on. */
export const linkFaults = ["partition", "cut", "delay"] as const satisfies FaultSpec["kind"][];

/** A link by which one node reaches another, where that leads through a proxy of ours. */
export interface PeerLink {
  readonly from: string;
  readonly to: string;
  readonly link: Link;
}

/** The links of a store, and what was done to them. */
export interface Links {
  inject(fault: FaultSpec): void;
  heal(): void;
  faults(): readonly Fault[];
}

interface Done {
  readonly fault: FaultSpec;
  readonly call: number;
  return: number | null;
  readonly isolated: readonly string[];
}

/** From one end to another, one way. */
type Cut = readonly [from: string, to: string];

const faultsAtMost = 1_000;
const delayAtMostMs = 60_000;

/**
 * Faults of a store whose nodes are reached through proxies: `own` has the proxy between this
 * process and each node, `peers` those between nodes, if any are ours.
 */
export function createLinks(
  own: ReadonlyMap<string, Link>,
  peers: readonly PeerLink[],
  nowMs: () => number,
): Links {
  const done: Done[] = [];
  const names = [...own.keys()];

  const spread = () => {
    const active = done.filter((one) => one.return === null).map(({ fault }) => fault);
    const cuts = active.flatMap((fault) => cutsOf(fault, names));
    const isCut = (from: string, to: string) => cuts.some(([a, b]) => a === from && b === to);
    const between = (dials: string, node: string, delayMs: number): LinkState => ({
      ...soundLink,
      isCutToNode: isCut(dials, node),
      isCutFromNode: isCut(node, dials),
      delayMs,
    });
    for (const [name, link] of own) link.set(between(clientName, name, delayOf(active, name)));
    for (const { from, to, link } of peers) link.set(between(from, to, 0));
  };

  return {
    inject(fault) {
      checkFault(fault, names, peers);
      if (done.length >= faultsAtMost) done.splice(0, 1);
      const isolated = isolatedBy(fault, names, peers);
      done.push({ fault, call: nowMs(), return: null, isolated });
      spread();
    },
    heal() {
      for (const one of done) one.return ??= nowMs();
      spread();
    },
    faults: () =>
      done.map(({ fault, call, return: end, isolated }) => ({
        fault: fault.kind,
        call,
        return: end,
        isolated,
      })),
  };
}

function delayOf(faults: readonly FaultSpec[], name: string): number {
  const delays = faults.map((fault) =>
    fault.kind === "delay" && fault.replicas.includes(name) ? fault.delayMs : 0,
  );
  return Math.max(0, ...delays);
}

/** What a fault cuts, whether or not the link leads through one of our proxies. */
function cutsOf(fault: FaultSpec, names: readonly string[]): Cut[] {
  if (fault.kind === "cut") return [[fault.from, fault.to]];
  if (fault.kind !== "partition") return [];
  const sides = sidesOf(fault.groups, names);
  const ends = [clientName, ...names];
  const sideOf = (end: string) => sides.findIndex((side) => side.includes(end));
  return ends.flatMap((from) =>
    ends.filter((to) => sideOf(from) !== sideOf(to)).map((to): Cut => [from, to]),
  );
}

/** The groups, what none of them names as one more, and this process, in the largest by itself. */
function sidesOf(groups: readonly (readonly string[])[], names: readonly string[]): string[][] {
  const rest = names.filter((name) => !groups.some((group) => group.includes(name)));
  const sides = [...groups, rest].filter((side) => side.length > 0).map((side) => [...side]);
  if (sides.some((side) => side.includes(clientName))) return sides;
  const largest = Math.max(...sides.map((side) => side.length));
  sides.find((side) => side.length === largest)?.push(clientName);
  return sides;
}

/** The nodes that this process doesn't reach, and those cut off from the nodes that they follow. */
function isolatedBy(
  fault: FaultSpec,
  names: readonly string[],
  peers: readonly PeerLink[],
): string[] {
  const cuts = cutsOf(fault, names);
  const isCut = (a: string, b: string) => cuts.some(([x, y]) => x === a && y === b);
  const isApart = (a: string, b: string) => isCut(a, b) || isCut(b, a);
  return names.filter(
    (name) =>
      isApart(clientName, name) || peers.some(({ from, to }) => from === name && isApart(from, to)),
  );
}

function checkFault(fault: FaultSpec, names: readonly string[], peers: readonly PeerLink[]): void {
  const ends = [clientName, ...names];
  const known = (name: string) => {
    if (ends.includes(name)) return;
    throw new EngineFault(`There is no replica "${name}"; there are ${names.join(", ")}.`);
  };
  if (fault.kind === "partition") {
    for (const name of fault.groups.flat()) known(name);
  } else if (fault.kind === "delay") {
    for (const name of fault.replicas) known(name);
    if (!(fault.delayMs >= 0 && fault.delayMs <= delayAtMostMs)) {
      throw new EngineFault(`A delay of ${fault.delayMs} ms is not from 0 to ${delayAtMostMs} ms.`);
    }
  } else if (fault.kind === "cut") {
    known(fault.from);
    known(fault.to);
    const joins = ({ from, to }: { from: string; to: string }) =>
      (from === fault.from && to === fault.to) || (from === fault.to && to === fault.from);
    const isOurs = fault.from === clientName || fault.to === clientName || peers.some(joins);
    if (fault.from !== fault.to && isOurs) return;
    throw new EngineFault(
      `The link from ${fault.from} to ${fault.to} is not ours: what can be cut is the link ` +
        `between a replica and "${clientName}", which is this server.`,
    );
  } else {
    throw new EngineFault(
      `A real engine can't do ${fault.kind}: only links are ours; use ${linkFaults.join(", ")}.`,
    );
  }
}

/** Milliseconds since the store was opened, on a clock that never runs backwards. */
export function storeClock(clock: Pick<Clock, "monotonicMs">): () => number {
  const startedMs = clock.monotonicMs();
  return () => clock.monotonicMs() - startedMs;
}
