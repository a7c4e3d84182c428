import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isSame } from "./docker-spec.ts";
import { runtimeErrors } from "./errors.ts";
import { filesOf, streamsOf } from "./process-access.ts";
import { hostEnv } from "./process-chain.ts";
import {
  type Context,
  describe,
  find,
  need,
  type ProcessRuntimeOptions,
  waitForState,
} from "./process-context.ts";
import { makeContainer, type Places, sweepDrafts } from "./process-create.ts";
import { processEvents } from "./process-events.ts";
import { containerFolders } from "./process-folder.ts";
import { processPorts } from "./process-ports.ts";
import { childrenOf, freeze, procOf, signalProc, thaw } from "./process-proc.ts";
import { removeContainer, sweepGone } from "./process-remove.ts";
import { findTools, possibleModes, type Tools } from "./process-tools.ts";
import { look } from "./process-view.ts";
import type { Container, ContainerSpec, ContainerState, Runtime, RuntimeInfo } from "./types.ts";

const supervisor = fileURLToPath(new URL("./process-supervisor.ts", import.meta.url));
const startDeadlineMs = 20_000;
const endDeadlineMs = 10_000;
/** A process that waits for its disk stops only after that. */
const freezeDeadlineMs = 5_000;
const pollMs = 10;

const weak = "Development only: weak isolation.";
const notInProduction =
  "Plain processes are no isolation for production: use Docker or Kubernetes, " +
  "or set LEASES_PROCESS_IN_PRODUCTION=1.";

async function info({ tools, options }: Context): Promise<RuntimeInfo> {
  const found = await tools();
  const isRefused = options.isProduction && !options.isAllowedInProduction;
  const notes = [
    weak,
    ...(isRefused ? [notInProduction] : []),
    ...(found.mode === null ? [found.why] : []),
    ...(found.mode !== null && !found.ownNetwork
      ? ["The kernel refuses networks of their own: leases reach what the host reaches."]
      : []),
    ...(found.mode !== null && !found.canTerminal ? ["No terminals: `script` is missing."] : []),
    ...(found.mode !== null && !found.canTar ? ["No snapshots: `tar` is missing."] : []),
    ...(found.mode === "root" ? ["No user namespaces: the kernel refuses them."] : []),
  ];
  return {
    name: "process",
    version: found.version,
    available: found.mode !== null && !isRefused,
    strength: "weak",
    ociRuntimes: [],
    canSnapshot: found.canTar,
    canPause: true,
    notes,
  };
}

async function create(context: Context, spec: ContainerSpec, signal: AbortSignal) {
  const { options, places, tools } = context;
  if (options.isProduction && !options.isAllowedInProduction) {
    throw runtimeErrors.refused({ detail: notInProduction });
  }
  const found = await tools();
  if (found.mode === null) throw runtimeErrors.unavailable({ detail: found.why });
  signal.throwIfAborted();
  const isMade =
    find(context, spec.name) === null &&
    (await makeContainer(places, found, spec, options.clock, options.random));
  const seen = find(context, spec.name);
  if (seen === null || !isSame(seen.kept.spec.identity, spec.identity)) {
    const detail = `The name "${spec.name}" belongs to another container.`;
    throw runtimeErrors.conflict({ detail });
  }
  if (isMade && signal.aborted) await remove(context, seen.kept.id);
  signal.throwIfAborted();
  return describe(context, seen);
}

function spawnSupervisor(folder: string): void {
  const log = openSync(join(folder, "supervisor.log"), "a", 0o600);
  try {
    const args = ["--max-old-space-size=64", "--no-warnings", supervisor, folder];
    // In a session of its own: what ends the server does not end the containers.
    const child = spawn(process.execPath, args, {
      cwd: "/",
      env: hostEnv,
      detached: true,
      stdio: ["ignore", "ignore", log],
    });
    child.on("error", () => {
      // Whoever waits for its first word gives up at the deadline.
    });
    child.unref();
  } finally {
    closeSync(log);
  }
}

async function start(context: Context, id: string): Promise<Container> {
  const { clock } = context.options;
  const seen = need(context, id);
  if (seen.state === "created" && seen.run === null) spawnSupervisor(seen.folder);
  const deadlineMs = clock.monotonicMs() + startDeadlineMs;
  for (;;) {
    const now = need(context, id);
    if (now.end !== null && now.end.failure !== null) {
      throw runtimeErrors.unavailable({ detail: `It could not be started: ${now.end.failure}` });
    }
    if (now.state !== "created") return describe(context, now);
    if (clock.monotonicMs() > deadlineMs) {
      const detail = `It was not started within ${startDeadlineMs} ms.`;
      throw runtimeErrors.unavailable({ detail });
    }
    await clock.sleep(pollMs);
  }
}

async function list(context: Context): Promise<Container[]> {
  const { places, options } = context;
  sweepDrafts(places.containers, options.clock);
  await sweepGone(places.containers, options.clock);
  const seen = containerFolders(places.containers).flatMap((folder) => {
    return look(folder, options.installId) ?? [];
  });
  return Promise.all(seen.map((each) => describe(context, each)));
}

async function pause(context: Context, id: string): Promise<void> {
  const { live, state } = need(context, id);
  if (state === "paused") return;
  if (state !== "running" || live === null) {
    throw runtimeErrors.conflict({
      detail: `The container is ${state}; only a running one pauses.`,
    });
  }
  await freeze(live.init, context.options.clock);
  if (await waitForState(context, id, (now) => now !== "running", freezeDeadlineMs)) return;
  throw runtimeErrors.unavailable({ detail: "The container could not be brought to a stand." });
}

async function resume(context: Context, id: string): Promise<void> {
  const { live, state } = need(context, id);
  if (live === null || (state !== "paused" && state !== "running")) {
    throw runtimeErrors.conflict({
      detail: `The container is ${state}; only a paused one resumes.`,
    });
  }
  // One that is running may have been left half paused.
  thaw(live.init);
  await waitForState(context, id, (now) => now !== "paused", freezeDeadlineMs);
}

async function stop(context: Context, id: string, graceMs: number): Promise<void> {
  const { live, state } = need(context, id);
  if (live === null || state === "exited") return;
  // The oldest child is the program itself; those who lost their parents come after it.
  const program = procOf(childrenOf(live.init.pid)[0] ?? 0);
  if (program !== null) signalProc(program, "SIGTERM");
  thaw(live.init);
  const isOver = (now: ContainerState) => now === "exited";
  if (await waitForState(context, id, isOver, graceMs)) return;
  signalProc(live.init, "SIGKILL");
  if (await waitForState(context, id, isOver, endDeadlineMs)) return;
  throw runtimeErrors.unavailable({
    detail: `The container did not end within ${endDeadlineMs} ms.`,
  });
}

async function remove(context: Context, id: string): Promise<void> {
  const { places, options, ports } = context;
  const seen = find(context, id);
  ports.forget(seen?.kept.id ?? id);
  if (seen === null) return sweepGone(places.containers, options.clock, id);
  await removeContainer(places.containers, seen.folder, seen.kept.id, options.clock);
}

function placesOf({ folder, hidden }: ProcessRuntimeOptions): Places {
  const containers = join(folder, "containers");
  const snapshots = join(folder, "snapshots");
  for (const each of [containers, snapshots]) mkdirSync(each, { recursive: true, mode: 0o700 });
  const all = [folder, process.cwd(), ...hidden].filter((each) => existsSync(each));
  const real = all.map((each) => realpathSync(each));
  return { containers: realpathSync(containers), snapshots, hidden: real };
}

function toolsOf(
  { containers }: Places,
  { random, modes }: ProcessRuntimeOptions,
): () => Promise<Tools> {
  let finding: Promise<Tools> | null = null;
  return async () => {
    finding ??= findTools(containers, modes ?? possibleModes(), random);
    try {
      const found = await finding;
      if (found.mode === null) finding = null;
      return found;
    } catch (error) {
      finding = null;
      throw error;
    }
  };
}

/**
 * Containers as processes in namespaces of their own, for trying things where no engine is. Each
 * has a folder, in which its supervisor, a small program that outlives the server, writes what
 * becomes of it: whoever comes later finds it there. It sees the host's programs, `/workspace` and
 * `/tmp`.
 */
export function processRuntime(options: ProcessRuntimeOptions): Runtime {
  const places = placesOf(options);
  const tools = toolsOf(places, options);
  const context: Context = { options, places, ports: processPorts(), tools };
  return {
    name: "process",
    info: () => info(context),
    create: (spec, signal) => create(context, spec, signal),
    start: (id) => start(context, id),
    inspect: async (id) => {
      const seen = find(context, id);
      return seen === null ? null : describe(context, seen);
    },
    list: () => list(context),
    pause: (id) => pause(context, id),
    resume: (id) => resume(context, id),
    stop: (id, graceMs) => stop(context, id, graceMs),
    remove: (id) => remove(context, id),
    ...streamsOf(context),
    ...filesOf(context),
    events: (signal) => processEvents(places.containers, options.installId, signal),
    close: async () => context.ports.close(),
  };
}
