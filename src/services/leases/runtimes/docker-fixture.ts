import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { systemRandom } from "#kernel/random.ts";
import { createPolicies } from "#kernel/resilience/policies.ts";
import { createLogger } from "#kernel/telemetry/logger.ts";
import { createMetrics } from "#kernel/telemetry/metrics.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import { dockerRuntime } from "./docker.ts";
import { connectEngine, type DockerOptions, type Engine } from "./docker-engine.ts";
import type { Container, ContainerSpec, ExecRequest, Runtime } from "./types.ts";

type Overrides = Partial<ContainerSpec> & {
  readonly tenantId?: string;
  readonly generation?: number;
};

/** A real engine with an installation of the test's own, all of which is removed after the test. */
export interface DockerHouse {
  readonly host: string;
  readonly installId: string;
  readonly image: string;
  readonly runtime: Runtime;
  /** For what the runtime does not offer: looking at it from behind, and doing it harm. */
  readonly engine: Engine;
  /** What the runtimes have logged, parsed. */
  readonly logs: Record<string, unknown>[];
  /** Another runtime for the same installation, as a second server would have it. */
  another(host?: string): Runtime;
  spec(overrides?: Overrides): ContainerSpec;
  /** Creates and starts. */
  run(overrides?: Overrides): Promise<Container>;
  /** Runs a line of shell in a container. */
  sh(id: string, script: string, request?: Partial<ExecRequest>): Promise<ShellResult>;
}

export interface ShellResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly truncated: boolean;
}

const never = new AbortController().signal;

function around() {
  const logs: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void logs.push(JSON.parse(line)) };
  const log = createLogger({ level: "info", stream });
  const clock = systemClock;
  const random = systemRandom(clock);
  const fresh = () => createPolicies({ clock, random, log, metrics: createMetrics() });
  return { logs, log, random, fresh };
}

async function removeAll(runtime: Runtime, engine: Engine, installId: string): Promise<void> {
  for (const { id } of await runtime.list()) await runtime.remove(id);
  const filters = JSON.stringify({ label: [`plimsoll.install=${installId}`] });
  const networks = await engine.ask<{ Id: string }[]>("list networks", {
    method: "GET",
    path: "/networks",
    query: { filters },
  });
  for (const { Id } of networks.body) {
    await engine.ask("remove a network", { method: "DELETE", path: `/networks/${Id}` });
  }
  const images = await engine.ask<{ RepoTags: string[] | null }[]>("list images", {
    method: "GET",
    path: "/images/json",
    query: { filters: JSON.stringify({ reference: [`plimsoll/${installId}/*/*`] }) },
  });
  for (const tag of images.body.flatMap(({ RepoTags }) => RepoTags ?? [])) {
    const path = `/images/${tag}`;
    await engine.ask("remove an image", { method: "DELETE", path, query: { force: true } });
  }
}

/** Null where there is no engine; the test is then skipped and has to return. */
export async function dockerHouse(
  t: TestContext,
  options: Partial<DockerOptions> = {},
): Promise<DockerHouse | null> {
  const host = await requireService(t, "docker");
  if (host === null) return null;
  const image = testImage();
  const { logs, log, random, fresh } = around();
  const installId = `test${random.bytes(5).toString("hex")}`;
  const base = { installId, random, log, ...options };
  const runtimes: Runtime[] = [];
  const another = (at = host) => {
    const made = dockerRuntime({ ...base, host: at, policies: fresh() });
    runtimes.push(made);
    return made;
  };
  const runtime = another();
  const engine = connectEngine({ ...base, host, policies: fresh() });
  t.after(async () => {
    await removeAll(another(), engine, installId);
    for (const each of runtimes) await each.close();
    engine.close();
  });
  const spec = (overrides: Overrides = {}): ContainerSpec => {
    const { tenantId = "tenant-a", generation = 1, ...rest } = overrides;
    const identity = { installId, tenantId, leaseId: random.id(), generation };
    return {
      name: `plm-${installId}-${identity.leaseId}-${generation}`,
      identity,
      image,
      command: ["sleep", "600"],
      env: {},
      cpuMillis: 1_000,
      memoryMb: 128,
      diskMb: null,
      pidsMax: 64,
      user: null,
      writable: false,
      egress: "none",
      ociRuntime: null,
      ports: [],
      ...rest,
    };
  };
  return {
    host,
    installId,
    image,
    runtime,
    engine,
    logs,
    another,
    spec,
    async run(overrides) {
      const { id } = await runtime.create(spec(overrides), never);
      return runtime.start(id);
    },
    async sh(id, script, request = {}) {
      const limits = { stdin: null, timeoutMs: 20_000, outputBytesMax: 1_000_000 };
      const command = ["sh", "-c", script];
      const { stdout, stderr, ...rest } = await runtime.exec(id, {
        command,
        ...limits,
        ...request,
      });
      return { ...rest, stdout: stdout.toString(), stderr: stderr.toString() };
    },
  };
}

/** The engine behind a socket that a test can break, as an engine breaks that others use too. */
export interface Breakable {
  readonly host: string;
  /** Breaks every connection and refuses new ones: an engine that was killed. */
  cut(): void;
  /** Answers nothing any more, on old connections and new ones: an engine that hangs. */
  freeze(): void;
  mend(): void;
}

/** Stands between a runtime and the engine at `host`, which must be a Unix socket. */
export async function breakable(t: TestContext, host: string): Promise<Breakable> {
  const folder = mkdtempSync(join(tmpdir(), "plimsoll-docker-"));
  const path = join(folder, "engine.sock");
  const target = host.replace("unix://", "");
  const sockets = new Set<Socket>();
  let state: "whole" | "cut" | "frozen" = "whole";
  const pass = (from: Socket, to: Socket) => {
    sockets.add(from);
    from.on("error", () => {});
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
    from.on("end", () => to.end());
    from.on("data", (chunk) => {
      if (to.write(chunk)) return;
      from.pause();
      to.once("drain", () => state === "whole" && from.resume());
    });
    if (state === "frozen") from.pause();
  };
  const server = createServer({ allowHalfOpen: true }, (inside) => {
    if (state === "cut") return void inside.destroy();
    const outside = connect({ path: target, allowHalfOpen: true });
    pass(inside, outside);
    pass(outside, inside);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const cut = () => {
    state = "cut";
    for (const socket of sockets) socket.destroy();
  };
  t.after(() => {
    cut();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    host: `unix://${path}`,
    cut,
    freeze: () => {
      state = "frozen";
      for (const socket of sockets) socket.pause();
    },
    mend: () => {
      state = "whole";
      for (const socket of sockets) socket.resume();
    },
  };
}
