import { connect, type Socket } from "node:net";
import type { Clock } from "#kernel/clock.ts";
import { leasesErrors } from "../errors.ts";
import type { Runtime } from "../runtimes/types.ts";

const connectMs = 5_000;

/** A port of a lease's container. */
export interface PortTarget {
  readonly runtime: Runtime;
  readonly containerId: string;
  readonly port: number;
}

/**
 * Connects to a port of a container. The address is the runtime's word for a container of ours and
 * never anything that somebody has typed, so the guard of outgoing requests, which refuses private
 * addresses, has nothing to guard here; and it is asked for each time, since a container that ends
 * gives its address to another one, perhaps another tenant's. For the same reason the container is
 * looked at again once the connection stands: it is never started twice, so that one which runs now
 * has had its address all the while. Throws `port_silent` and `port_late`.
 */
export async function connectToPort(
  { runtime, containerId, port }: PortTarget,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<Socket> {
  const found = await runtime.portAddress(containerId, port);
  if (!found) throw silent(port);
  const socket = await dial(found, port, { clock, signal });
  // Where the engine can't say, nothing is sent.
  const container = await runtime.inspect(containerId).catch(() => null);
  if (container?.state === "running" && !signal.aborted) return socket;
  socket.destroy();
  throw silent(port);
}

async function dial(
  address: { host: string; port: number },
  port: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<Socket> {
  const socket = connect({ ...address, noDelay: true });
  const done = new AbortController();
  try {
    await Promise.race([
      new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", (cause) => reject(silent(port, cause)));
        signal.addEventListener("abort", () => reject(signal.reason), { signal: done.signal });
      }),
      clock.sleep(connectMs, done.signal).then(() => {
        throw leasesErrors.port_late({ detail: `Port ${port} took no connection in time.` });
      }),
    ]);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    done.abort();
  }
}

/** Nothing, or nothing that is understood, is at the port. */
export function silent(port: number, cause?: unknown) {
  return leasesErrors.port_silent({
    detail: `Nothing that speaks HTTP/1.1 listens at port ${port} of the container.`,
    ...(cause !== undefined && { cause }),
  });
}
