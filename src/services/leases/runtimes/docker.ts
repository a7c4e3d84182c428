import { connect } from "node:net";
import { LRUCache } from "lru-cache";
import { systemClock } from "#kernel/clock.ts";
import {
  createContainer,
  nothingLearned,
  startContainer,
  startMade,
  type Workshop,
} from "./docker-create.ts";
import { connectEngine, type DockerOptions, type Engine } from "./docker-engine.ts";
import { endOverfull } from "./docker-disk.ts";
import { isUnavailable } from "./docker-errors.ts";
import { watchEvents } from "./docker-events.ts";
import { runExec } from "./docker-exec.ts";
import { keptFacts, notesOn, strengthOf } from "./docker-facts.ts";
import { readFile, writeFile } from "./docker-files.ts";
import { createFirewall } from "./docker-firewall.ts";
import { containerOf, type Inspection } from "./docker-isolation.ts";
import { findOwn, getOwn, removeContainer, setPaused, stopContainer } from "./docker-lifecycle.ts";
import { readLogs } from "./docker-logs.ts";
import { removeIdleNetworks } from "./docker-network.ts";
import { dropSnapshot, listKept, removeNameless, takeSnapshot } from "./docker-snapshot.ts";
import { installLabel, portsOf } from "./docker-spec.ts";
import { type EngineStats, statsOf } from "./docker-stats.ts";
import { openTerminal } from "./docker-terminal.ts";
import { removeLookups } from "./docker-users.ts";
import type { Container, Runtime, RuntimeInfo } from "./types.ts";

const lookedAtAtOnce = 8;
const diskAgeMsMax = 30_000;
const probeMsMax = 1_000;

/** Calls for each, a few at once, and gives what came in order. */
async function mapSome<From, To>(
  items: readonly From[],
  each: (item: From) => Promise<To>,
): Promise<To[]> {
  const results: To[] = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await each(items[index] as From);
    }
  };
  await Promise.all(Array.from({ length: lookedAtAtOnce }, work));
  return results;
}

/** Whether something listens there, by connecting once. */
function isListening(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: probeMsMax });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => settle(true));
    socket.once("timeout", () => settle(false));
    socket.once("error", () => settle(false));
  });
}

async function describe(engine: Engine, facts: Workshop["facts"]): Promise<RuntimeInfo> {
  const base = { name: "docker", canSnapshot: true, canPause: true } as const;
  try {
    const known = await facts.fresh();
    return {
      ...base,
      version: known.version,
      available: known.missingLimits.length === 0,
      strength: strengthOf(known.defaultRuntime, known),
      ociRuntimes: known.ociRuntimes,
      notes: notesOn(known),
    };
  } catch (error) {
    const isAbsent = isUnavailable(error);
    const absent = `No Docker Engine answers at ${engine.options.host}.`;
    const notes = [isAbsent ? absent : (error as Error).message];
    return { ...base, version: "", available: false, strength: "weak", ociRuntimes: [], notes };
  }
}

/**
 * A writable container's own files on the disk; the engine walks them all, so it is asked rarely.
 */
function diskUse(engine: Engine) {
  const kept = new LRUCache<string, { bytes: number }>({ max: 10_000, ttl: diskAgeMsMax });
  return async ({ Id, HostConfig }: Inspection): Promise<number | null> => {
    if (HostConfig.ReadonlyRootfs) return null;
    const known = kept.get(Id);
    if (known !== undefined) return known.bytes;
    const { body } = await engine.ask<{ SizeRw?: number }>("measure the container", {
      method: "GET",
      path: `/containers/${Id}/json`,
      query: { size: true },
      deadlineMs: 30_000,
    });
    const bytes = body.SizeRw ?? 0;
    kept.set(Id, { bytes });
    return bytes;
  };
}

/** Makes what the engine says into what the service sees. */
function viewOf({ facts, firewall }: Workshop) {
  const unguarded = "The host's firewall rules for it are not in force.";
  const notes = async ({ HostConfig }: Inspection): Promise<string[]> => {
    if (HostConfig.NetworkMode === "none") return [];
    return (await firewall.isInForce()) ? [] : [unguarded];
  };
  return async (seen: Inspection): Promise<Container | null> => {
    const container = containerOf(seen, await facts.get());
    if (container === null) return null;
    const { isolation } = container;
    const all = [...isolation.notes, ...(await notes(seen))];
    return { ...container, isolation: { ...isolation, notes: all } };
  };
}

type View = ReturnType<typeof viewOf>;

async function listOwn(engine: Engine, view: View): Promise<Container[]> {
  const { body } = await engine.ask<{ Id: string }[]>("list its containers", {
    method: "GET",
    path: "/containers/json",
    query: {
      all: true,
      filters: JSON.stringify({ label: [installLabel(engine.options.installId)] }),
    },
  });
  const found = await mapSome(body, async ({ Id }) => {
    const seen = await findOwn(engine, Id);
    return seen === null ? null : view(seen);
  });
  return found.filter((container) => container !== null);
}

async function tidyUp(
  { engine, firewall }: Workshop,
  view: View,
  idleSinceMs: Map<string, number>,
) {
  await endOverfull(engine);
  const used = new Set((await listOwn(engine, view)).map(({ isolation }) => isolation.network));
  used.delete("none");
  // Whoever reloads the host's firewall throws our rules away.
  if (used.size > 0) await firewall.ensure();
  await removeIdleNetworks(engine, used, idleSinceMs, performance.now());
  const nowSeconds = systemClock.nowMs() / 1_000;
  await removeNameless(engine, nowSeconds);
  await removeLookups(engine, nowSeconds);
}

/** The calls that look at containers and change their state. */
function lifecycleOf(shop: Workshop) {
  const { engine } = shop;
  const view = viewOf(shop);
  const shown = async (seen: Inspection) => (await view(seen)) as Container;
  const idleSinceMs = new Map<string, number>();
  return {
    create: async (...[spec, signal]: Parameters<Runtime["create"]>) =>
      shown(await createContainer(shop, spec, signal)),
    async start(id: string) {
      if (!(await startMade(shop, id))) await startContainer(shop, await getOwn(engine, id));
      return shown(await getOwn(engine, id));
    },
    async inspect(id: string) {
      const seen = await findOwn(engine, id);
      return seen === null ? null : view(seen);
    },
    list: () => listOwn(engine, view),
    pause: (id: string) => setPaused(engine, id, true),
    resume: (id: string) => setPaused(engine, id, false),
    stop: (id: string, graceMs: number) => stopContainer(engine, id, graceMs),
    remove: (id: string) => removeContainer(engine, id),
    tidy: () => tidyUp(shop, view, idleSinceMs),
  };
}

async function addressOf(engine: Engine, id: string, port: number) {
  const { Config, NetworkSettings, State } = await getOwn(engine, id);
  const [network] = Object.values(NetworkSettings.Networks ?? {});
  const host = network?.IPAddress ?? "";
  if (State.Status !== "running" || host === "" || !portsOf(Config.Labels).includes(port)) {
    return null;
  }
  return (await isListening(host, port)) ? { host, port } : null;
}

/**
 * Containers of a Docker Engine, 20.10 or newer. Ports and egress to the internet are had where
 * this process is root in the engine's own network, because only there it can keep containers from
 * what they must not reach; elsewhere both are refused. Nothing is connected before the first call.
 */
export function dockerRuntime(options: DockerOptions): Runtime {
  const engine = connectEngine(options);
  const facts = keptFacts(engine);
  const shop: Workshop = {
    engine,
    facts,
    firewall: createFirewall(systemClock),
    learned: nothingLearned(),
  };
  const measure = diskUse(engine);
  return {
    name: "docker",
    info: () => describe(engine, facts),
    ...lifecycleOf(shop),
    exec: (id, request) => runExec(engine, id, request),
    terminal: (id, size, command) => openTerminal(engine, id, size, command),
    logs: (id, request) => readLogs(engine, id, request),
    async stats(id) {
      const seen = await getOwn(engine, id);
      const { body } = await engine.ask<EngineStats>("measure the container", {
        method: "GET",
        path: `/containers/${seen.Id}/stats`,
        query: { stream: false, "one-shot": true },
      });
      return statsOf(body, await measure(seen));
    },
    putFile: (id, path, content, sizeBytesMax) =>
      writeFile(engine, id, path, content, sizeBytesMax),
    getFile: (id, path) => readFile(engine, id, path),
    portAddress: (id, port) => addressOf(engine, id, port),
    snapshot: async (id, request) =>
      takeSnapshot(engine, await facts.get(), await getOwn(engine, id), request),
    removeSnapshot: (image) => dropSnapshot(engine, image),
    keptImages: () => listKept(engine),
    events: (signal) => watchEvents(engine, signal),
    async close() {
      engine.close();
    },
  };
}
