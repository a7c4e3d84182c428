import type { Chance } from "./chance.ts";
import type { Scheduler } from "./scheduler.ts";

/** How messages travel between two replicas, in one direction. */
export interface Weather {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** How many of the messages are lost, and how many come twice. */
  readonly lossRatio: number;
  readonly duplicateRatio: number;
}

/** Messages between the replicas of one cluster; the number of a replica is its address. */
export interface Network<Message> {
  send(from: number, to: number, message: Message): void;
  /** Cuts or mends the way from one replica to another; what is under way then is lost as well. */
  cut(from: number, to: number, isCut: boolean): void;
  isCut(from: number, to: number): boolean;
  setWeather(weather: Weather): void;
  /** Makes everything that a replica sends arrive so much later. */
  setLag(from: number, lagMs: number): void;
  /** How many of the messages from and to a replica are lost, if the weather does not lose more. */
  setLoss(replica: number, ratio: number): void;
  /** Mends every cut, and lets nobody lag or lose. */
  heal(): void;
  readonly sent: number;
  readonly lost: number;
}

/** A network that delays, loses, doubles and cuts by chance; messages may overtake each other. */
export function createNetwork<Message>(
  { after }: Pick<Scheduler, "after">,
  chance: Chance,
  size: number,
  fair: Weather,
  deliver: (to: number, from: number, message: Message) => void,
): Network<Message> {
  const cuts = new Uint8Array(size * size);
  const lags = new Float64Array(size);
  const losses = new Float64Array(size);
  let weather = fair;
  let [sent, lost] = [0, 0];
  const arrive = (from: number, to: number, message: Message) => {
    if (cuts[from * size + to]) lost += 1;
    else deliver(to, from, message);
  };
  const travel = (from: number, to: number, message: Message) => {
    const delayMs = chance.between(weather.delayMinMs, weather.delayMaxMs) + lags[from]!;
    after(delayMs, () => arrive(from, to, message));
  };
  return {
    send(from, to, message) {
      sent += 1;
      const lossRatio = Math.max(weather.lossRatio, losses[from]!, losses[to]!);
      if (cuts[from * size + to] || chance.isHit(lossRatio)) {
        lost += 1;
        return;
      }
      travel(from, to, message);
      if (weather.duplicateRatio > 0 && chance.isHit(weather.duplicateRatio)) {
        travel(from, to, message);
      }
    },
    cut: (from, to, isCut) => void (cuts[from * size + to] = isCut ? 1 : 0),
    isCut: (from, to) => cuts[from * size + to] === 1,
    setWeather: (next) => void (weather = next),
    setLag: (from, lagMs) => void (lags[from] = lagMs),
    setLoss: (replica, ratio) => void (losses[replica] = ratio),
    heal() {
      cuts.fill(0);
      lags.fill(0);
      losses.fill(0);
    },
    get sent() {
      return sent;
    },
    get lost() {
      return lost;
    },
  };
}
