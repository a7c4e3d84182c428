import type { Chance } from "./chance.ts";
import { type Cluster, fairWeather } from "./cluster.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Settings } from "./types.ts";

interface Nemesis {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly cluster: Cluster;
  readonly settings: Settings;
  readonly untilMs: number;
}

type Trouble = (nemesis: Nemesis) => void;

const victim = ({ chance, settings }: Nemesis): number => chance.below(settings.replicas);

/** Some replicas, one at least and not all. */
function group({ chance, settings }: Nemesis): number[] {
  const all = Array.from({ length: settings.replicas }, (_, at) => at);
  const size = 1 + chance.below(settings.replicas - 1);
  const first = chance.below(settings.replicas);
  return all.filter((at) => (at - first + settings.replicas) % settings.replicas < size);
}

/** The replica that leads, or any. */
function leaderOf(nemesis: Nemesis): number {
  const at = nemesis.cluster.status().findIndex(({ role, isUp }) => isUp && role === "leader");
  return at < 0 ? victim(nemesis) : at;
}

function blink({ cluster, scheduler, chance }: Nemesis, replica: number): void {
  cluster.crash(replica);
  scheduler.after(chance.between(1, 30), () => cluster.restart(replica));
}

const troubles: Record<string, Trouble> = {
  part: (nemesis) => nemesis.cluster.part(group(nemesis)),
  partLeader: (nemesis) => nemesis.cluster.part([leaderOf(nemesis)]),
  pair(nemesis) {
    const [a, b] = [victim(nemesis), victim(nemesis)];
    nemesis.cluster.cut(a, b, true);
    nemesis.cluster.cut(b, a, true);
  },
  oneWay: (nemesis) => nemesis.cluster.cut(victim(nemesis), victim(nemesis), true),
  deafLeader(nemesis) {
    const leader = leaderOf(nemesis);
    for (let from = 0; from < nemesis.settings.replicas; from += 1) {
      if (from !== leader) nemesis.cluster.cut(from, leader, true);
    }
  },
  crash: (nemesis) => nemesis.cluster.crash(victim(nemesis)),
  crashLeader: (nemesis) => nemesis.cluster.crash(leaderOf(nemesis)),
  blink: (nemesis) => blink(nemesis, victim(nemesis)),
  /** Replicas that forget what they had not synced, one soon after the other. */
  flicker(nemesis) {
    for (let times = 0; times < 6; times += 1) {
      const replica = victim(nemesis);
      nemesis.scheduler.after(nemesis.chance.between(0, 300), () => blink(nemesis, replica));
    }
  },
  blackout(nemesis) {
    for (let at = 0; at < nemesis.settings.replicas; at += 1) nemesis.cluster.crash(at);
    nemesis.scheduler.after(nemesis.chance.between(1, 20), () => nemesis.cluster.heal());
  },
  storm: ({ cluster, chance }) =>
    cluster.setWeather({
      delayMinMs: 1,
      delayMaxMs: chance.isHit(0.5) ? chance.between(20, 150) : chance.between(200, 900),
      lossRatio: chance.between(0, 0.3),
      duplicateRatio: chance.between(0, 0.3),
    }),
  slowLeader: (nemesis) =>
    nemesis.cluster.setLag(leaderOf(nemesis), nemesis.chance.between(100, 500)),
  /** Two replicas that don't hear each other stand for election, while their voters forget. */
  rivals(nemesis) {
    const { cluster, chance, scheduler, settings } = nemesis;
    const first = victim(nemesis);
    const second = (first + 1 + chance.below(settings.replicas - 1)) % settings.replicas;
    cluster.cut(first, second, true);
    cluster.cut(second, first, true);
    cluster.setLag(first, chance.between(20, 200));
    for (let voter = 0; voter < settings.replicas; voter += 1) {
      if (voter === first || voter === second) continue;
      for (let times = 0; times < 6; times += 1) {
        scheduler.after(chance.between(0, 500), () => blink(nemesis, voter));
      }
    }
  },
  slowDisk: (nemesis) => nemesis.cluster.setSyncMs(victim(nemesis), 5, 40),
  jump: (nemesis) => nemesis.cluster.jump(victim(nemesis), nemesis.chance.between(-400, 400)),
};

/**
 * Troubles a cluster until a moment: each trouble lasts a while, some overlap, then all is
 * mended.
 */
export function runNemesis(nemesis: Nemesis): void {
  const { scheduler, chance, cluster, untilMs } = nemesis;
  const names = Object.keys(troubles);
  const next = () => {
    if (scheduler.nowMs() >= untilMs) {
      cluster.setWeather(fairWeather);
      cluster.heal();
      return;
    }
    if (chance.isHit(0.35)) cluster.heal();
    else troubles[names[chance.below(names.length)]!]!(nemesis);
    scheduler.after(chance.between(20, 350), next);
  };
  scheduler.after(chance.between(50, 400), next);
}
