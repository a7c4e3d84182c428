import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import { requestErrors } from "../errors.ts";
import { createSeats } from "./seats.ts";

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

export interface EventStream {
  /** False when the client is gone or too slow, and the stream is over. */
  send(event: ServerEvent): boolean;
  /** Aborted when the stream is over, whoever ended it. */
  readonly signal: AbortSignal;
  close(): void;
}

export interface EventStreams {
  /**
   * Turns a request into a stream of server-sent events (WHATWG HTML, 9.2). A comment every 15 s
   * keeps proxies from closing it; a client that leaves more than 256 KiB unread is cut off and may
   * resume by Last-Event-ID; a server that stops ends it. Throws `rate_limited` (429) beyond 200
   * streams a tenant.
   */
  open(request: FastifyRequest, reply: FastifyReply): EventStream;
  /** Streams that are open now. */
  count(): number;
}

/** `onClosing` registers what ends a stream when the server stops. */
export function createEventStreams(
  clock: Clock,
  onClosing: (end: () => void) => () => void,
): EventStreams {
  const seats = createSeats({ max: STREAMS_MAX, perTenantMax: STREAMS_PER_TENANT_MAX });

  function enter(tenantId: string): () => void {
    const leave = seats.take(tenantId);
    if (leave) return leave;
    throw requestErrors.rate_limited({
      detail: "Too many event streams are open; close one of them.",
      headers: { "retry-after": "30" },
    });
  }

  return {
    count: seats.taken,
    open(request, reply) {
      const leave = enter(request.tenant?.id ?? "");
      const response = reply.raw;
      const over = new AbortController();
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
        if (over.signal.aborted || response.destroyed) return false;
        response.write(text);
        if (response.writableLength <= UNREAD_BYTES_MAX) return true;
        request.log.info("an event stream's client reads too slowly and was cut off");
        response.destroy();
        over.abort();
        return false;
      };
      // When the stream is over so is its connection: a server that stops needn't wait for it.
      response.shouldKeepAlive = false;
      reply.hijack();
      response.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        "content-type": "text/event-stream",
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
      });
      if (request.method === "HEAD") close();
      write(`retry: ${RECONNECT_DELAY_MS}\n\n`);
      void beat(clock, over.signal, write);
      return { send: (event) => write(eventText(event)), signal: over.signal, close };
    },
  };
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
