import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";

export interface DialOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
  readonly origin?: string;
}

/** A client's end of a WebSocket, and what has come over it. */
export interface Dialled {
  readonly socket: WebSocket;
  /** Headers of the answer that accepted it. */
  readonly headers: IncomingMessage["headers"];
  /** Bytes of binary messages, in order. */
  bytes(): Buffer;
  /** Text messages, parsed. */
  readonly told: Record<string, unknown>[];
  /** Resolves with code and reason when it is over. */
  readonly closed: Promise<{ code: number; reason: string }>;
}

/** What was answered in place of a WebSocket. */
export interface Refused {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  // biome-ignore lint/suspicious/noExplicitAny: tests assert what it is
  readonly body: any;
}

function client(url: string, { headers, protocols = [], origin }: DialOptions): WebSocket {
  return new WebSocket(url.replace(/^http/, "ws"), [...protocols], {
    ...(headers && { headers }),
    ...(origin !== undefined && { origin }),
    perMessageDeflate: false,
  });
}

/** Opens a WebSocket. Rejects where it is refused. */
export async function dial(url: string, options: DialOptions = {}): Promise<Dialled> {
  const socket = client(url, options);
  const pieces: Buffer[] = [];
  const told: Record<string, unknown>[] = [];
  let headers: IncomingMessage["headers"] = {};
  socket.on("upgrade", (answer) => {
    headers = answer.headers;
  });
  socket.on("message", (data: Buffer, isBinary) => {
    if (isBinary) pieces.push(data);
    else told.push(JSON.parse(data.toString()));
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(socket, "open");
  // An error from here on is told by the close that follows it.
  socket.on("error", () => undefined);
  return { socket, headers, told, closed, bytes: () => Buffer.concat(pieces) };
}

/** Asks for a WebSocket and answers how it was refused. Rejects where it is opened. */
export function dialInVain(url: string, options: DialOptions = {}): Promise<Refused> {
  const socket = client(url, options);
  return new Promise((resolve, reject) => {
    socket.once("open", () => {
      socket.terminate();
      reject(new Error(`${url} was opened`));
    });
    socket.on("error", reject);
    socket.on("unexpected-response", (_request, answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const { statusCode: status = 0, headers } = answer;
        const isJson = headers["content-type"]?.includes("json") === true;
        resolve({ status, headers, body: isJson ? JSON.parse(text) : text });
        socket.terminate();
      });
    });
  });
}
