/** A place in the code that can be told to go wrong. */
export interface FaultPoint {
  /** What goes wrong there, and what must hold all the same. */
  readonly title: string;
  /** Data passes here that "corruption" can change; without it that kind is refused. */
  readonly corrupts?: true;
}

/** Places by name: "feeds.page.commit". */
export type FaultPoints = Readonly<Record<string, FaultPoint>>;

const namePattern = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+){1,6}$/;
const nameCharsMost = 100;

/**
 * Declares fault points; a service's begin with its name. Put one where a crash, an error or a
 * delay would be worst: on either side of what must not be half done. Throws for a bad name.
 */
export function defineFaultPoints<const Points extends FaultPoints>(points: Points): Points {
  for (const name of Object.keys(points)) {
    if (!namePattern.test(name) || name.length > nameCharsMost) {
      throw new Error(`Fault point "${name}" must be dotted words like "feeds.page.commit"`);
    }
  }
  return points;
}

/** The kernel's own. */
export const kernelFaultPoints = defineFaultPoints({
  "events.publish.confirmed": {
    title: "The broker has an event and we have not noted it: it comes again under the same id",
  },
  "events.relay.commit": {
    title: "Events are about to be handed out: all of the batch are, once, or none",
  },
  "jobs.task.done": {
    title: "A job's work is done and its end not noted: it runs again, to the same effect",
  },
  "jobs.task.run": { title: "A job begins: it fails and is tried again" },
  "mutate.after_commit": {
    title: "A change is made and its answer not sent: the same Idempotency-Key gets that answer",
  },
  "mutate.before_commit": {
    title: "A change is worked out and not committed: nothing of it remains",
  },
  "outgoing.request": { title: "A request to another server goes out: it fails or is slow" },
  "redis.command": { title: "Redis is asked: rate limits become the process's own" },
  "webhooks.send": {
    title: "A webhook goes out: it is sent again later; a changed body fails its signature",
    corrupts: true,
  },
  "webhooks.settle": {
    title: "A receiver has answered and we have not noted it: it is sent again under the same id",
  },
});

/** A point with the service that declares it; the kernel's are "kernel". */
export interface PlacedPoint extends FaultPoint {
  readonly service: string;
}

/** The kernel's points and every service's, by name. Throws for one not called like its service. */
export function mergeFaultPoints(
  services: readonly { name: string; faultPoints?: FaultPoints | undefined }[],
): ReadonlyMap<string, PlacedPoint> {
  const merged = new Map<string, PlacedPoint>();
  const add = (service: string, points: FaultPoints) => {
    for (const [name, point] of Object.entries(defineFaultPoints(points))) {
      if (merged.has(name)) throw new Error(`Fault point "${name}" is declared twice`);
      merged.set(name, { ...point, service });
    }
  };
  add("kernel", kernelFaultPoints);
  for (const { name: service, faultPoints = {} } of services) {
    const stranger = Object.keys(faultPoints).find((name) => !name.startsWith(`${service}.`));
    if (stranger) throw new Error(`Fault point "${stranger}" must begin with "${service}."`);
    add(service, faultPoints);
  }
  return new Map([...merged].sort(([a], [b]) => (a < b ? -1 : 1)));
}
