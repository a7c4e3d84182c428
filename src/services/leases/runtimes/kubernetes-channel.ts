import { PassThrough } from "node:stream";
import type { KubeConfig } from "@kubernetes/client-node";
import { ApiFailure } from "./kubernetes-errors.ts";

const pingEveryMs = 20_000;
/** Larger frames are cut off by what lies between. */
const frameBytesMax = 32_768;

/** A connection of the channel protocol: each frame's first byte says which stream it is of. */
export interface Channel {
  /** Resolves when it is on its way. */
  send(stream: number, payload: Buffer): Promise<void>;
  /** Whether the other side can be told that there is no more input. */
  readonly canEndInput: boolean;
  pause(): void;
  resume(): void;
  /** Says goodbye, and waits for the other side's. */
  close(): void;
  destroy(): void;
  /** Resolves when it is closed, by whom or what ever. */
  readonly closed: Promise<void>;
}

/** What of `ws` is used. */
interface Socket {
  readonly protocol: string;
  send(data: Buffer, done: (error?: Error) => void): void;
  ping(): void;
  pause(): void;
  resume(): void;
  close(): void;
  terminate(): void;
  on(event: "close" | "error" | "pong", listener: () => void): void;
}

/** What `ws` says of an answer that is no connection; its status stands in its words only. */
function refusedChannel(event: unknown): Error {
  const { message = "the connection failed" } = event as { message?: string };
  const status = /server response: (\d{3})/.exec(message)?.[1];
  return status === undefined
    ? new Error(message)
    : new ApiFailure(Number(status), { kind: "Status", message });
}

/** Opens a channel to a path of the cluster, with its query. */
export async function connectChannel(
  config: KubeConfig,
  path: string,
  onFrame: (stream: number, payload: Buffer) => void,
): Promise<Channel> {
  const { WebSocketHandler } = await import("@kubernetes/client-node/dist/web-socket-handler.js");
  // Its own streams are the process's, which a frame of the server could close.
  const unused = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const handler = new WebSocketHandler(config, undefined, unused);
  let socket: Socket;
  try {
    socket = await handler.connect(path, null, (stream, payload) => {
      onFrame(stream, payload);
      return true;
    });
  } catch (error) {
    throw refusedChannel(error);
  }
  return channelOf(socket);
}

function channelOf(socket: Socket): Channel {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let isHeard = true;
  // Idle connections are cut by what lies between; one that no longer answers is given up.
  const pings = setInterval(() => {
    if (!isHeard) return socket.terminate();
    isHeard = false;
    socket.ping();
  }, pingEveryMs);
  socket.on("pong", () => {
    isHeard = true;
  });
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    clearInterval(pings);
    resolve();
  });
  const sendFrame = (stream: number, payload: Buffer) =>
    new Promise<void>((done, reject) => {
      socket.send(Buffer.concat([Buffer.from([stream]), payload]), (error) => {
        if (error) reject(new Error("the cluster hung up", { cause: error }));
        else done();
      });
    });
  return {
    async send(stream, payload) {
      // What is sent to no end has no content either.
      for (let at = 0; at === 0 || at < payload.length; at += frameBytesMax) {
        await sendFrame(stream, payload.subarray(at, at + frameBytesMax));
      }
    },
    canEndInput: socket.protocol === "v5.channel.k8s.io",
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(),
    destroy: () => socket.terminate(),
    closed,
  };
}
