import { LRUCache } from "lru-cache";
import type { Clock } from "#kernel/clock.ts";
import type { Environment } from "#kernel/config.ts";
import { leasesErrors } from "../errors.ts";
import type { LeasesConfig } from "../rules/config.ts";
import type { Runtime, RuntimeInfo, RuntimeName } from "../runtimes/types.ts";
import type { Chosen, Fleet, RuntimeWish } from "../types.ts";

/** Opens a runtime; `place` is a tenant's own engine, or empty for the installation's. */
export type OpenRuntime = (name: RuntimeName, place: string) => Runtime;

export interface FleetOptions {
  readonly open: OpenRuntime;
  readonly leases: Pick<LeasesConfig, "kubeconfig">;
  readonly env: Environment;
  readonly clock: Clock;
}

/** Engines of tenants' own; the least used are closed when there are more. */
const placesMost = 100;
/** How long it is believed that an engine is there, and that none is. */
const goodMs = 30_000;
const badMs = 3_000;

interface Remembered {
  readonly chosen: Chosen | null;
  readonly notes: readonly string[];
  readonly untilMs: number;
}

/** What is tried for a wish, the best first. */
function candidatesFor(
  { runtime, dockerHost, kubeconfig }: RuntimeWish,
  { leases, env }: Pick<FleetOptions, "leases" | "env">,
): { name: RuntimeName; place: string }[] {
  const docker = { name: "docker", place: dockerHost ?? "" } as const;
  const kubernetes = { name: "kubernetes", place: kubeconfig ?? "" } as const;
  const process = { name: "process", place: "" } as const;
  if (runtime === "docker") return [docker];
  if (runtime === "kubernetes") return [kubernetes];
  if (runtime === "process") return [process];
  const isOnKubernetes = (kubeconfig ?? leases.kubeconfig) !== null;
  return [
    docker,
    ...(isOnKubernetes ? [kubernetes] : []),
    // By itself never in production: it isolates too little.
    ...(env === "production" ? [] : [process]),
  ];
}

/** The runtimes of this process, opened when they are first needed. */
export function createFleet(options: FleetOptions): Fleet {
  const { open, clock } = options;
  const closing: Promise<void>[] = [];
  const listeners: (() => void)[] = [];
  const runtimes = new LRUCache<string, { runtime: Runtime; place: string }>({
    max: placesMost,
    dispose: ({ runtime }) => void closing.push(runtime.close()),
  });
  const remembered = new LRUCache<string, Promise<Remembered>>({ max: placesMost });

  const get = (name: RuntimeName, place: string): Runtime => {
    const key = `${name} ${place}`;
    const known = runtimes.get(key);
    if (known) return known.runtime;
    const runtime = open(name, place);
    runtimes.set(key, { runtime, place });
    for (const listen of listeners) listen();
    return runtime;
  };

  const find = async (wish: RuntimeWish): Promise<Remembered> => {
    const notes: string[] = [];
    for (const { name, place } of candidatesFor(wish, options)) {
      const info = await infoOf(() => get(name, place));
      if (typeof info === "string") notes.push(info);
      else if (info.available) {
        const chosen = { runtime: get(name, place), place, info };
        return { chosen, notes: [...notes, ...info.notes], untilMs: clock.monotonicMs() + goodMs };
      } else notes.push(...info.notes);
    }
    return { chosen: null, notes, untilMs: clock.monotonicMs() + badMs };
  };

  const look = async (wish: RuntimeWish): Promise<Remembered> => {
    const key = JSON.stringify([wish.runtime, wish.dockerHost, wish.kubeconfig]);
    const known = await remembered.get(key);
    if (known && clock.monotonicMs() < known.untilMs) return known;
    const fresh = find(wish);
    remembered.set(key, fresh);
    return fresh;
  };

  return {
    look,
    async choose(wish) {
      const { chosen, notes } = await look(wish);
      if (chosen) return chosen;
      throw leasesErrors.no_runtime({
        detail: notes.join(" ") || "Set LEASES_RUNTIME, or install Docker.",
        headers: { "retry-after": "10" },
      });
    },
    at: ({ runtime, runtimePlace }) => get(runtime, runtimePlace),
    opened: () => [...runtimes.values()],
    onOpen: (listen) => void listeners.push(listen),
    async close() {
      runtimes.clear();
      await Promise.all(closing);
    },
  };
}

/** What a runtime says of itself; a text where it can't even be asked. */
async function infoOf(get: () => Runtime): Promise<RuntimeInfo | string> {
  try {
    return await get().info();
  } catch (error) {
    return error instanceof Error ? error.message : "It can't be asked.";
  }
}
