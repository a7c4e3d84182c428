import { type ChildProcess, spawn } from "node:child_process";
import { on, once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { runtimeErrors } from "./errors.ts";
import { enterNetworkCommand, hostEnv } from "./process-chain.ts";
import type { Running } from "./process-exec.ts";

const program = fileURLToPath(new URL("./process-relay.ts", import.meta.url));
const host = "127.0.0.1";
const deadlineMs = 10_000;

interface Relay {
  readonly child: ChildProcess;
  /** The port on the host for each port in the container; a promise while it is being opened. */
  readonly opened: Map<number, Promise<number>>;
}

export interface Ports {
  /** The port on the host's loopback behind which the container's port is. */
  open(running: Running, port: number): Promise<{ host: string; port: number }>;
  /** Ends what a container's ports are reached by. */
  forget(id: string): void;
  close(): void;
}

function startRelay({ kept, live }: Running): Relay {
  const command = [process.execPath, program, JSON.stringify(live.init)];
  const entered = enterNetworkCommand(kept.way, live, command);
  const child = spawn(entered.program, [...entered.args], {
    env: hostEnv,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  // It must not keep a server from ending; without one it ends itself.
  child.unref();
  child.channel?.unref();
  return { child, opened: new Map() };
}

async function openPort({ child }: Relay, port: number): Promise<number> {
  const signal = AbortSignal.timeout(deadlineMs);
  const server = createServer();
  try {
    await once(server.listen(0, host), "listening", { signal });
    const { port: open } = server.address() as AddressInfo;
    const ended = new AbortController();
    child.once("exit", () => ended.abort());
    const answers = on(child, "message", { signal: AbortSignal.any([signal, ended.signal]) });
    child.send({ port }, server);
    for await (const [answer] of answers) if (answer.port === port) break;
    return open;
  } catch (error) {
    const detail = `Port ${port} of the container can't be reached from the host.`;
    throw runtimeErrors.unavailable({ detail, cause: error });
  } finally {
    // The relay has a descriptor of its own.
    server.close();
  }
}

/**
 * The ways to the ports of containers with a network of their own: one helper per container whose
 * port was asked for, which ends with the container or the server.
 */
export function processPorts(): Ports {
  const relays = new Map<string, Relay>();
  const forget = (id: string) => {
    relays.get(id)?.child.kill("SIGKILL");
    relays.delete(id);
  };
  const relayOf = (running: Running): Relay => {
    const { id } = running.kept;
    const existing = relays.get(id);
    if (existing) return existing;
    const relay = startRelay(running);
    relays.set(id, relay);
    const drop = () => {
      if (relays.get(id) === relay) relays.delete(id);
    };
    relay.child.once("exit", drop).once("error", drop);
    return relay;
  };
  return {
    async open(running, port) {
      const relay = relayOf(running);
      const opening = relay.opened.get(port) ?? openPort(relay, port);
      relay.opened.set(port, opening);
      opening.catch(() => relay.opened.delete(port));
      return { host, port: await opening };
    },
    forget,
    close() {
      for (const id of relays.keys()) forget(id);
    },
  };
}
