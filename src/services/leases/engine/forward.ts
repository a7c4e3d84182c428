import {
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as httpRequest,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";
import { Transform, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "#kernel/clock.ts";
import { Problem, requestErrors } from "#kernel/errors.ts";
import { leasesErrors } from "../errors.ts";
import { silent } from "./port.ts";

const headerBytesMax = 16_384;
/** How long a container may take to begin its answer, once it has the request. */
const answerMs = 60_000;

export interface Asked {
  readonly method: string;
  /** Path and query, as they are to be asked for. */
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly port: number;
}

export interface Asking extends Asked {
  readonly socket: Socket;
  readonly clock: Clock;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** What a container has answered: an answer, or, where that was asked, a connection both ways. */
export type Answer =
  | { readonly kind: "answer"; readonly message: IncomingMessage }
  | {
      readonly kind: "upgrade";
      readonly message: IncomingMessage;
      readonly socket: Socket;
      readonly head: Buffer;
    };

/**
 * Asks something over a connection of its own; `send` sends the body and ends the request. Throws
 * `port_silent` for what is no HTTP/1.1, `port_late` where no answer begins in a minute.
 */
export async function ask(
  asking: Asking,
  send: (request: ClientRequest) => Promise<void>,
): Promise<Answer> {
  const { socket, clock, signal, port, method, path, headers } = asking;
  const request = httpRequest({
    createConnection: () => socket,
    method,
    path,
    headers,
    setHost: false,
    maxHeaderSize: headerBytesMax,
    joinDuplicateHeaders: true,
  });
  const end = () => request.destroy();
  signal.addEventListener("abort", end, { once: true });
  const done = new AbortController();
  const answered = new Promise<Answer>((resolve, reject) => {
    request.once("response", (message) => resolve({ kind: "answer", message }));
    request.once("upgrade", (message, upgraded: Socket, head) =>
      resolve({ kind: "upgrade", message, socket: upgraded, head }),
    );
    request.on("error", (cause) => reject(signal.aborted ? signal.reason : silent(port, cause)));
  });
  const sent = send(request);
  try {
    return await Promise.race([answered, failureOf(sent, answered), lateness()]);
  } catch (error) {
    request.destroy();
    throw error;
  } finally {
    done.abort();
  }

  async function lateness(): Promise<never> {
    await Promise.allSettled([sent]);
    await clock.sleep(answerMs, done.signal);
    const detail = `Port ${port} has not begun to answer for ${answerMs / 1_000} s.`;
    throw leasesErrors.port_late({ detail });
  }
}

/** A body that could not be sent is the answer's fault, if there is one: it came before the end. */
async function failureOf(sent: Promise<void>, answered: Promise<Answer>): Promise<Answer> {
  try {
    await sent;
  } catch (error) {
    if (error instanceof Problem) throw error;
  }
  return answered;
}

/** Sends a body on, `bytesMax` of it at most: beyond that it throws `too_large`. */
export async function sendBody(
  body: IncomingMessage,
  request: ClientRequest,
  bytesMax: number,
): Promise<void> {
  const { "content-length": length, "transfer-encoding": coding } = body.headers;
  if (length === undefined && coding === undefined) {
    request.end();
    return;
  }
  const tooLarge = () =>
    requestErrors.too_large({ detail: `The body may have ${bytesMax} bytes at most.` });
  if (Number(length) > bytesMax) throw tooLarge();
  await pipeline(body, bounded(bytesMax, tooLarge), request);
}

/** Sends an answer on as it comes, `bytesMax` of it at most; throws where it breaks off. */
export async function relayAnswer(
  message: IncomingMessage,
  response: ServerResponse,
  headers: OutgoingHttpHeaders,
  bytesMax: number,
): Promise<void> {
  const { statusCode = 502, statusMessage = "" } = message;
  response.writeHead(statusCode, statusMessage, headers);
  // Who waits for the first event of a stream is to know that there is going to be one.
  response.flushHeaders();
  const tooLong = () => new Error(`A container's answer has more than ${bytesMax} bytes`);
  await pipeline(message, bounded(bytesMax, tooLong), response);
}

function bounded(bytesMax: number, beyond: () => Error): Transform {
  let seenBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      seenBytes += chunk.length;
      if (seenBytes > bytesMax) done(beyond());
      else done(null, chunk);
    },
  });
}
