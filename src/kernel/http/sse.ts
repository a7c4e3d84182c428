import { once } from "node:events";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import { requestErrors } from "../errors.ts";
import { createSeats } from "./seats.ts";
import type { Authenticate } from "./types.ts";
import { watchCaller } from "./watch-caller.ts";

const HEARTBEAT_MS = 15_000;
/** What a client may leave unread before it is taken for dead. */
const UNREAD_BYTES_MAX = 262_144;
const STREAMS_MAX = 10_000;
const STREAMS_PER_TENANT_MAX = 200;
const RECONNECT_DELAY_MS = 2_000;

export interface ServerEvent {
  /** What the client sends back as Last-Event-ID when it reconnects. */
  id?: string;
  /** The kind of event; "message" without one. */
  event?: string;
  data: unknown;
}

/** An answer that lasts for as long as there is something to say. */
interface Lasting {
  /** Aborted when the stream is over, whoever ended it. */
  readonly signal: AbortSignal;
  close(): void;
}

export interface EventStream extends Lasting {
  /** False when the client is gone or too slow, and the stream is over. */
  send(event: ServerEvent): boolean;
  /** The same, and waits for a client that reads more slowly than there is something to say. */
  deliver(event: ServerEvent): Promise<boolean>;
}

export interface TextStream extends Lasting {
  /** Waits for the client to read; false when it is gone and the stream over. */
  deliver(text: string): Promise<boolean>;
  /** Breaks the connection off, so that nobody takes what has come for all there is. */
  cut(): void;
}

export interface EventStreams {
  /**
   * Turns a request into a stream of server-sent events (WHATWG HTML, 9.2). A comment every 15 s
   * keeps proxies from closing it; a client that leaves more than 256 KiB unread is cut off and may
   * resume by Last-Event-ID; a server that stops ends it, and so do credentials that end. Throws
   * `rate_limited` (429) beyond 200 streams a tenant.
   */
  open(request: FastifyRequest, reply: FastifyReply): EventStream;
  /** The same for plain text, which comes without anything in between. */
  openText(request: FastifyRequest, reply: FastifyReply): TextStream;
  /** Streams that are open now. */
  count(): number;
}

export interface EventStreamOptions {
  clock: Clock;
  authenticate: Authenticate;
  /** Registers what ends a stream when the server stops. */
  onClosing: (end: () => void) => () => void;
}

/** Makes the streams of a server. */
export function createEventStreams(options: EventStreamOptions): EventStreams {
  const { clock } = options;
  const seats = createSeats({ max: STREAMS_MAX, perTenantMax: STREAMS_PER_TENANT_MAX });

  function enter(tenantId: string): () => void {
    const leave = seats.take(tenantId);
    if (leave) return leave;
    throw requestErrors.rate_limited({
      detail: "Too many streams are open; close one of them.",
      headers: { "retry-after": "30" },
    });
  }

  const begin = (request: FastifyRequest, reply: FastifyReply, type: string) =>
    beginAnswer(options, request, reply, { type, leave: enter(request.tenant?.id ?? "") });

  return {
    count: seats.taken,
    open(request, reply) {
      const { write, drained, signal, close } = begin(request, reply, "text/event-stream");
      write(`retry: ${RECONNECT_DELAY_MS}\n\n`);
      void beat(clock, signal, write);
      return {
        signal,
        close,
        send: (event) => write(eventText(event)),
        deliver: async (event) => write(eventText(event)) && drained(),
      };
    },
    openText(request, reply) {
      const answer = begin(request, reply, "text/plain; charset=utf-8");
      const { write, drained, signal, close } = answer;
      return {
        signal,
        close,
        deliver: async (text) => write(text) && drained(),
        cut: () => void reply.raw.destroy(),
      };
    },
  };
}

/** Takes the answer out of Fastify's hands and sends its head. */
function beginAnswer(
  { clock, authenticate, onClosing }: EventStreamOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  { type, leave }: { type: string; leave: () => void },
) {
  const response = reply.raw;
  const over = new AbortController();
  const { signal } = over;
  const close = () => {
    if (!response.writableEnded) response.end();
    over.abort();
  };
  const forget = onClosing(close);
  response.on("error", close);
  response.once("close", () => {
    forget();
    leave();
    over.abort();
  });
  const write = (text: string): boolean => {
    if (signal.aborted || response.destroyed) return false;
    // Looked at before, so that what is larger than that by itself comes through.
    if (response.writableLength <= UNREAD_BYTES_MAX) {
      response.write(text);
      return true;
    }
    request.log.info("a stream's client reads too slowly and was cut off");
    response.destroy();
    over.abort();
    return false;
  };
  const drained = async (): Promise<boolean> => {
    if (response.writableNeedDrain) {
      await once(response, "drain", { signal }).catch(() => {
        // It is over, which is what the answer says.
      });
    }
    return !signal.aborted;
  };
  // When the stream is over so is its connection: a server that stops needn't wait for it.
  response.shouldKeepAlive = false;
  reply.hijack();
  response.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    "content-type": type,
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
  });
  // Who waits for the first line is to know that there is going to be one.
  response.flushHeaders();
  if (request.method === "HEAD") close();
  void watchCaller({ clock, authenticate }, request, signal, close);
  return { write, drained, signal, close };
}

async function beat(
  clock: Clock,
  signal: AbortSignal,
  write: (text: string) => boolean,
): Promise<void> {
  try {
    while (!signal.aborted) {
      await clock.sleep(HEARTBEAT_MS, signal);
      write(": still here\n\n");
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** One event as it travels. JSON has no line breaks of its own, so `data` is one line. */
export function eventText({ id, event, data }: ServerEvent): string {
  const lines = [`data: ${JSON.stringify(data)}`, "", ""];
  if (event !== undefined) lines.unshift(`event: ${oneLine(event)}`);
  if (id !== undefined) lines.unshift(`id: ${oneLine(id)}`);
  return lines.join("\n");
}

function oneLine(text: string): string {
  return text.replace(/[\r\n\0]/g, "");
}
