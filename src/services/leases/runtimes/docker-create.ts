import { existsSync } from "node:fs";
import { LRUCache } from "lru-cache";
import { systemClock } from "#kernel/clock.ts";
import { Problem } from "#kernel/errors.ts";
import type { Engine } from "./docker-engine.ts";
import { statusOf, wordsOf } from "./docker-errors.ts";
import { cpusFromRefusal, type EngineFacts, type KeptFacts } from "./docker-facts.ts";
import type { Firewall } from "./docker-firewall.ts";
import { ensureImage } from "./docker-images.ts";
import type { Inspection } from "./docker-isolation.ts";
import { ensureNetwork } from "./docker-network.ts";
import {
  createBody,
  cpusetOf,
  egressOf,
  type ImageFacts,
  identityOf,
  isSame,
  portsOf,
  specFault,
  type Surroundings,
  workspace,
} from "./docker-spec.ts";
import { tarOf } from "./docker-tar.ts";
import { resolveUser } from "./docker-users.ts";
import { runtimeErrors } from "./errors.ts";
import type { ContainerSpec } from "./types.ts";

const createMsMax = 60_000;

/** What making containers needs, and what it learns of the engine on the way. */
export interface Workshop {
  readonly engine: Engine;
  readonly facts: KeptFacts;
  readonly firewall: Firewall;
  readonly learned: {
    /** Counts up, so that containers spread over the processors. */
    turn: number;
    /** Null until the engine has said that its processors are not numbered from 0. */
    cpus: readonly number[] | null;
    canLimitDisk: boolean;
    /** Image and name → numbers. */
    readonly users: Map<string, string>;
    /** What is known of images, for a few seconds: a burst asks for one and the same. */
    readonly images: LRUCache<string, ImageFacts>;
    /** Containers that were made here a moment ago and are to be started. */
    readonly made: LRUCache<string, Inspection>;
  };
}

const imageMsMax = 10_000;
const madeMsMax = 5_000;

/** Nothing is known of the engine yet. */
export const nothingLearned = (): Workshop["learned"] => ({
  turn: 0,
  cpus: null,
  canLimitDisk: true,
  users: new Map(),
  images: new LRUCache({ max: 1_000, ttl: imageMsMax }),
  made: new LRUCache({ max: 1_000, ttl: madeMsMax }),
});

/** What the engine says of a container, by id or name; null where there is none. */
export async function inspectContainer(
  engine: Engine,
  idOrName: string,
  signal?: AbortSignal,
): Promise<Inspection | null> {
  const { status, body } = await engine.ask<Inspection>("look at the container", {
    method: "GET",
    path: `/containers/${encodeURIComponent(idOrName)}/json`,
    accept: [200, 404],
    signal,
  });
  return status === 404 ? null : body;
}

function checkEngine(facts: EngineFacts, { ociRuntime }: ContainerSpec): void {
  if (facts.missingLimits.length > 0) {
    const detail = `The engine can't limit ${facts.missingLimits.join(", ")}.`;
    throw runtimeErrors.refused({ detail });
  }
  if (ociRuntime === null || facts.ociRuntimes.includes(ociRuntime)) return;
  const known = facts.ociRuntimes.join(", ");
  const detail = `The engine has no OCI runtime "${ociRuntime}", only ${known}.`;
  throw runtimeErrors.refused({ detail });
}

/** The container of this name, where it is the one that was asked for. */
async function adopted({ engine }: Workshop, spec: ContainerSpec, signal: AbortSignal) {
  const there = await inspectContainer(engine, spec.name, signal);
  if (there === null) return null;
  const identity = identityOf(there.Config.Labels, spec.name);
  if (identity !== null && isSame(identity, spec.identity)) return there;
  const detail = `Another container has the name ${spec.name} already. Remove it or wait.`;
  throw runtimeErrors.conflict({ detail });
}

/** Asks the engine to create; null where there is one of this name. */
async function post(
  { engine }: Workshop,
  spec: ContainerSpec,
  around: Surroundings,
  signal: AbortSignal,
): Promise<string | null> {
  const { status, body } = await engine.ask<{ Id: string }>("create the container", {
    method: "POST",
    path: "/containers/create",
    query: { name: spec.name },
    body: createBody(spec, around),
    accept: [201, 409],
    deadlineMs: createMsMax,
    lane: "making",
    signal,
  });
  return status === 201 ? body.Id : null;
}

/** As `post`; learns from a refusal what the engine lacks, and asks once more without it. */
async function postLearning(
  shop: Workshop,
  spec: ContainerSpec,
  around: Omit<Surroundings, "cpuset" | "canLimitDisk">,
  signal: AbortSignal,
): Promise<string | null> {
  const { learned } = shop;
  learned.turn += 1;
  const { cpus } = await shop.facts.get();
  for (let attempt = 0; ; attempt += 1) {
    const cpuset = cpusetOf(spec.cpuMillis, learned.cpus ?? cpus, learned.turn);
    try {
      const { canLimitDisk } = learned;
      return await post(shop, spec, { ...around, cpuset, canLimitDisk }, signal);
    } catch (error) {
      const words = statusOf(error) === null ? "" : causeOf(error);
      const others = cpusFromRefusal(words);
      if (/storage-opt/i.test(words) && learned.canLimitDisk) learned.canLimitDisk = false;
      else if (others.length > 0 && attempt < 2) learned.cpus = others;
      else throw error;
    }
  }
}

const causeOf = (error: unknown): string =>
  wordsOf((error as { options?: { cause?: unknown } }).options?.cause ?? error);

/** A writable container's workspace is a folder of its own layer, open to whoever runs in it. */
async function prepareWorkspace({ engine }: Workshop, id: string, signal: AbortSignal) {
  await engine.ask("make the workspace", {
    method: "PUT",
    path: `/containers/${id}/archive`,
    query: { path: "/" },
    archive: tarOf([{ name: `${workspace.slice(1)}/`, content: null, mode: 0o1777 }]),
    signal,
  });
}

async function make(
  shop: Workshop,
  spec: ContainerSpec,
  image: ImageFacts,
  signal: AbortSignal,
): Promise<string | null> {
  const { engine, firewall } = shop;
  const network = await ensureNetwork(engine, firewall, spec);
  const asked = { asked: spec.user, image };
  const user = await resolveUser(engine, asked, shop.learned.users, signal);
  const { nameServers = ["1.1.1.1", "9.9.9.9"] } = engine.options;
  const hasIpv6 = existsSync("/proc/sys/net/ipv6");
  return postLearning(shop, spec, { image, user, network, nameServers, hasIpv6 }, signal);
}

const registerMsMax = 30_000;

/**
 * Makes it, and finds by that whether it is there already. Until it can be seen: the engine refuses
 * a name from the moment somebody asks for it, and shows the container a little later, or never
 * where that somebody failed.
 */
async function makeOrMeet(
  shop: Workshop,
  spec: ContainerSpec,
  image: ImageFacts,
  signal: AbortSignal,
): Promise<Inspection> {
  const startMs = performance.now();
  for (;;) {
    const id = await make(shop, spec, image, signal);
    const container = id
      ? await inspectContainer(shop.engine, id, signal)
      : await adopted(shop, spec, signal);
    if (container !== null) {
      if (id) shop.learned.made.set(id, container);
      return container;
    }
    if (performance.now() - startMs > registerMsMax) {
      throw runtimeErrors.conflict({
        detail: `The engine keeps the name ${spec.name} for itself.`,
      });
    }
    await systemClock.sleep(50, signal);
  }
}

/**
 * Makes a container, or finds the one of this name where its labels say that it is the same. It is
 * not started. A container of this name that is somebody else's is a conflict.
 */
export async function createContainer(
  shop: Workshop,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<Inspection> {
  const container = await makeNew(shop, spec, signal).catch(async (error: unknown) => {
    // What has become impossible may have been done before.
    const there = impossible.has(codeOf(error)) ? await adopted(shop, spec, signal) : null;
    if (there === null) throw error;
    return there;
  });
  // Repeated for a container that was found: whoever made it may have ended before this.
  if (spec.writable && container.State.Status === "created") {
    await prepareWorkspace(shop, container.Id, signal);
  }
  return container;
}

const impossible = new Set<string>([runtimeErrors.image_missing.code, runtimeErrors.refused.code]);

const codeOf = (error: unknown): string => (error instanceof Problem ? error.code : "");

async function makeNew(
  shop: Workshop,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<Inspection> {
  const image = await factsOfImage(shop, spec.image, signal);
  const known = await shop.facts.get();
  const isKnown = spec.ociRuntime === null || known.ociRuntimes.includes(spec.ociRuntime);
  checkEngine(isKnown ? known : await shop.facts.fresh(), spec);
  const fault = specFault(spec, image);
  if (fault !== null) throw runtimeErrors.refused({ detail: `It can't be created: ${fault}.` });
  try {
    return await makeOrMeet(shop, spec, image, signal);
  } catch (error) {
    // It may have been of an image that is gone since it was looked up.
    if (statusOf(error) !== 404 || !shop.learned.images.delete(spec.image)) throw error;
    return makeOrMeet(shop, spec, await factsOfImage(shop, spec.image, signal), signal);
  }
}

async function factsOfImage({ engine, learned }: Workshop, image: string, signal: AbortSignal) {
  const known = learned.images.get(image);
  if (known) return known;
  const facts = await ensureImage(engine, image, signal);
  learned.images.set(image, facts);
  return facts;
}

/** Starts a container whose network is there; done where it runs. */
async function beginContainer(engine: Engine, { Id }: Pick<Inspection, "Id">): Promise<void> {
  await engine.ask("start the container", {
    method: "POST",
    path: `/containers/${Id}/start`,
    accept: [204, 304],
    deadlineMs: createMsMax,
    lane: "work",
  });
}

/**
 * Starts a container that was made here a moment ago, which needs no look at it first; false for
 * any other one, and where something of it is gone already.
 */
export async function startMade({ engine, learned }: Workshop, id: string): Promise<boolean> {
  const made = learned.made.get(id);
  learned.made.delete(id);
  if (!made) return false;
  try {
    await beginContainer(engine, made);
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

/** Starts a container; done where it runs. Its network may have been removed since it was made. */
export async function startContainer(
  { engine, firewall }: Workshop,
  container: Inspection,
): Promise<void> {
  const labels = container.Config.Labels;
  const identity = identityOf(labels, container.Name.replace(/^\//, ""));
  const spec = { egress: egressOf(labels), ports: portsOf(labels) };
  if (identity !== null && container.State.Status !== "running") {
    await ensureNetwork(engine, firewall, { identity, ...spec });
  }
  await beginContainer(engine, container);
}
