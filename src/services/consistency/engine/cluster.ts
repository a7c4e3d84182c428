import type { Fault, Version } from "../rules/history.ts";
import { emptyApDurable } from "./ap-log.ts";
import { createApMember } from "./ap.ts";
import { type Chance, createChance } from "./chance.ts";
import { createDisk, type Disk } from "./disk.ts";
import { type Member, type MemberStatus, refusal } from "./member.ts";
import { createNetwork, type Network, type Weather } from "./network.ts";
import { type Protocol, soundProtocol } from "./protocol.ts";
import { createRaftMember, emptyDurable } from "./raft.ts";
import { microseconds } from "./recorder.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Answer, Ask, Cell, Env, Settings } from "./types.ts";

/** CP: one log that a majority holds. AP: each replica accepts writes by itself. */
export type Mode = "CP" | "AP";

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly mode: Mode;
  readonly seed: number;
  readonly settings: Settings;
  readonly scheduler: Scheduler;
  /** What the replicas' clocks on the wall show at the start. */
  readonly wallMs: number;
  readonly protocol?: Protocol;
}

/** A replica set. Its replicas are numbered from 0 and named from n1. */
export interface Cluster {
  ask(replica: number, ask: Ask, done: (answer: Answer) => void): void;
  /** Stops a replica; who waits for it hears so at once. */
  crash(replica: number): void;
  restart(replica: number): void;
  cut(from: number, to: number, isCut: boolean): void;
  /**
   * Cuts every link between two replicas that no group has both of; those that none names are a
   * group of their own.
   */
  part(...groups: (readonly number[])[]): void;
  setWeather(weather: Weather): void;
  /** Makes everything that a replica sends to others arrive so much later. */
  setLag(replica: number, lagMs: number): void;
  /** Loses so many of the messages from and to a replica. */
  setLoss(replica: number, ratio: number): void;
  setSyncMs(replica: number, fromMs: number, toMs: number): void;
  /** Moves a replica's clock on the wall. */
  jump(replica: number, ms: number): void;
  /** Mends links, weather, disks and starts what was stopped; clocks stay where they are. */
  heal(): void;
  status(): readonly MemberStatus[];
  /** Whether a replica is up and would answer the read at once. */
  mayRead(replica: number, ask: Ask): boolean;
  cellOf(replica: number, key: string): Cell | null;
  versionOf(write: string): Version | null;
  /** When replicas were kept from a majority; of an AP store, when they were down. */
  faults(): readonly Fault[];
}

/** How a network is where nothing is wrong with it. */
export const fairWeather: Weather = {
  delayMinMs: 1,
  delayMaxMs: 8,
  lossRatio: 0,
  duplicateRatio: 0,
};
const fairSyncMs = [0.1, 2] as const;
/** The oldest are forgotten. */
const outagesAtMost = 500;

/** The name of a replica. */
export const replicaName = (replica: number): string => `n${replica + 1}`;

interface Part {
  readonly members: readonly Member<never>[];
  readonly disks: readonly Disk<unknown>[];
  readonly network: Omit<Network<unknown>, "send" | "sent" | "lost">;
}

/** A cluster in the time of its scheduler; the seed decides everything that chance decides. */
export function createCluster(options: ClusterOptions): Cluster {
  const { mode, settings, scheduler } = options;
  const replicas = Array.from({ length: settings.replicas }, (_, at) => at);
  const chance = createChance(options.seed);
  const offsets = replicas.map(() => chance.between(-20, 20));
  const { members, disks, network } = assemble(options, chance, offsets);
  const waiting = replicas.map(() => new Map<string, { ask: Ask; done: (a: Answer) => void }>());
  const outages = createOutages(scheduler, () => outcasts(mode, members, network));
  return {
    ask(replica, ask, done) {
      const member = members[replica]!;
      const { isUp, held } = member.status();
      if (!isUp) {
        return done(refusal("refused", `Replica ${replicaName(replica)} is down.`, ask.token));
      }
      // Everything that was committed before the write was asked for has another position.
      const write = ask.write && { ...ask.write, since: ask.write.since ?? held };
      const open = { ask, done };
      waiting[replica]!.set(ask.id, open);
      member.ask({ ...ask, write }, (answer) => {
        if (waiting[replica]!.get(ask.id) !== open) return;
        waiting[replica]!.delete(ask.id);
        done(answer);
      });
    },
    crash(replica) {
      if (!members[replica]!.status().isUp) return;
      members[replica]!.crash();
      outages.note();
      const left = [...waiting[replica]!.values()];
      waiting[replica]!.clear();
      for (const { ask, done } of left) {
        const reason = `Replica ${replicaName(replica)} crashed before it answered.`;
        done(refusal(ask.write ? "unknown" : "refused", reason, ask.token));
      }
    },
    restart(replica) {
      if (!members[replica]!.status().isUp) members[replica]!.restart();
      outages.note();
    },
    cut(from, to, isCut) {
      network.cut(from, to, isCut);
      outages.note();
    },
    part(...groups) {
      for (const [from, to] of linksBetween(groups, replicas)) network.cut(from, to, true);
      outages.note();
    },
    setWeather: network.setWeather,
    setLag: network.setLag,
    setLoss: network.setLoss,
    setSyncMs: (replica, fromMs, toMs) => disks[replica]!.setSyncMs(fromMs, toMs),
    jump: (replica, ms) => void (offsets[replica]! += ms),
    heal() {
      network.heal();
      network.setWeather(fairWeather);
      for (const replica of replicas) {
        disks[replica]!.setSyncMs(...fairSyncMs);
        if (!members[replica]!.status().isUp) members[replica]!.restart();
      }
      outages.note();
    },
    status: () => members.map((member) => member.status()),
    mayRead: (replica, ask) => members[replica]!.status().isUp && members[replica]!.mayRead(ask),
    cellOf: (replica, key) => members[replica]!.cellOf(key),
    versionOf: (write) =>
      members.map((member) => member.versionOf(write)).find((version) => version !== null) ?? null,
    faults: () => outages.list(),
  };
}

/** The links of which no group has both ends; whom none names are a group of their own. */
function linksBetween(groups: readonly (readonly number[])[], replicas: readonly number[]) {
  const all = [...groups, replicas.filter((one) => !groups.flat().includes(one))];
  const isParted = (from: number, to: number) =>
    !all.some((group) => group.includes(from) && group.includes(to));
  return replicas.flatMap((from) =>
    replicas.flatMap((to) => (isParted(from, to) ? [[from, to] as const] : [])),
  );
}

function assemble(options: ClusterOptions, chance: Chance, offsets: readonly number[]): Part {
  const { mode, settings, scheduler, wallMs } = options;
  const kit = <Message, Image>(
    create: (env: Env<Message>, id: number, disk: Disk<Image>) => Member<Message>,
    empty: () => Image,
  ): Part => {
    const members: Member<Message>[] = [];
    const network = createNetwork<Message>(
      scheduler,
      chance,
      settings.replicas,
      fairWeather,
      (to, from, message) => members[to]!.receive(from, message),
    );
    const env: Env<Message> = {
      settings,
      protocol: options.protocol ?? soundProtocol,
      chance,
      nowMs: scheduler.nowMs,
      wallMs: (replica) => wallMs + scheduler.nowMs() + offsets[replica]!,
      after: scheduler.after,
      send: network.send,
    };
    const disks = offsets.map(() => createDisk(scheduler, chance, empty(), fairSyncMs));
    disks.forEach((disk, id) => members.push(create(env, id, disk)));
    return {
      members,
      disks,
      network,
    };
  };
  if (mode === "AP") return kit(createApMember, () => emptyApDurable(settings.replicas));
  return kit(createRaftMember, emptyDurable);
}

/**
 * The replicas through which no answer of a majority can come: they reach none both ways, and reach
 * nobody who does. In AP only who is down can't answer.
 */
function outcasts(mode: Mode, members: Part["members"], { isCut }: Part["network"]): number[] {
  const isUp = members.map((member) => member.status().isUp);
  const all = members.map((_, at) => at);
  if (mode === "AP") return all.filter((at) => !isUp[at]);
  const meets = (a: number, b: number) =>
    isUp[a]! && isUp[b]! && (a === b || !(isCut(a, b) || isCut(b, a)));
  const majority = (members.length >> 1) + 1;
  const hasMajority = all.map((at) => all.filter((other) => meets(at, other)).length >= majority);
  return all.filter((at) => !all.some((other) => meets(at, other) && hasMajority[other]));
}

function createOutages({ nowMs }: Scheduler, find: () => number[]) {
  const past: Fault[] = [];
  let [since, now]: [number, number[]] = [0, []];
  const record = (end: number | null): Fault => ({
    fault: "isolation",
    call: microseconds(since),
    return: end === null ? null : microseconds(end),
    isolated: now.map(replicaName),
  });
  return {
    note(): void {
      const next = find();
      if (next.join() === now.join()) return;
      if (now.length > 0 && nowMs() > since) past.push(record(nowMs()));
      if (past.length > outagesAtMost) past.shift();
      [since, now] = [nowMs(), next];
    },
    list: (): Fault[] => (now.length > 0 ? [...past, record(null)] : [...past]),
  };
}
