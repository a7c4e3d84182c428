import { ById } from "#kernel/http/schemas.ts";
import type { EventStreams } from "#kernel/http/sse.ts";
import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import type { Routes } from "#kernel/service.ts";
import type { Access } from "../changes/access.ts";
import { runtimeErrors } from "../runtimes/errors.ts";
import type { LogLine, LogRequest } from "../runtimes/types.ts";
import { type LogEnd, LogHeaders, LogQuery, tailLinesUsual } from "../schemas/logs.ts";
import type { LeasesDeps } from "../types.ts";
import { reachErrors } from "./exec.ts";
import { accessOf, leaseSeats } from "./reach.ts";

const description = `Plain text, or server-sent events for who accepts text/event-stream: \`id\` is \
the moment to resume from, \`data\` a line as {at, stream, text}. The last event is \`end\`, which \
says why there is no more: the program has "exited", its container was "removed", or, without \
\`follow\`, "caught_up"; a stream that ends without it broke off. What an ending lease has written \
can be read as long as its container is there. Reading is no use of the lease.`;

const lineExample = `id: 2026-11-20T12:00:00.123456789Z
data: {"at":"2026-11-20T12:00:00.123456789Z","stream":"stdout","text":"Listening"}

event: end
data: {"reason":"exited","exitCode":0,"outOfMemory":false}

`;

const answer = {
  description: "The lines, oldest first.",
  content: {
    "text/plain": { schema: { type: "string" }, example: "Listening\n" },
    "text/event-stream": { schema: { type: "string" }, example: lineExample },
  },
};

/** What programs of leases have written. */
export const logRoutes: Routes<LeasesDeps> = (app, deps) => {
  const { streams } = deps;
  const seats = leaseSeats("readers", { max: 2_000, perTenantMax: 200, perLeaseMax: 20 });
  app.get(
    "/leases/:id/logs",
    {
      schema: {
        summary: "Read what a lease's program wrote",
        description,
        params: ById,
        querystring: LogQuery,
        headers: LogHeaders,
        response: { 200: answer },
      },
      config: { permission: "lease:logs", errors: reachErrors },
    },
    async (request, reply) => {
      const access = await accessOf(deps, request, "logs", "lease:logs");
      const leave = seats.enter(request.tenant.id, access.lease.id);
      const over = new AbortController();
      let lines: Lines | null = null;
      try {
        const wanted = { ...windowOf(request.query, request.headers), signal: over.signal };
        lines = await openLines(access, wanted);
        const { accept = "" } = request.headers;
        const write = accept.includes("text/event-stream") ? asEvents : asText;
        const withStamps = request.query.timestamps;
        await write({ streams, request, reply, access, lines, wanted, over, withStamps });
      } finally {
        // Also where the engine has more to say: nobody listens any more.
        over.abort();
        leave();
        await lines?.return?.();
      }
    },
  );
};

type Window = Omit<LogRequest, "signal">;

/** What is wanted of the log. Who resumes a stream gets all that it has missed. */
function windowOf(
  { follow, since, tail }: LogQuery,
  { "last-event-id": last }: { "last-event-id"?: string },
): Window {
  if (last !== undefined) return { follow, after: last, tail: null };
  if (since !== undefined) return { follow, after: since, tail: tail ?? null };
  return { follow, after: null, tail: tail ?? tailLinesUsual };
}

type Lines = AsyncIterator<LogLine>;

/** The lines, once it is known that there are any to be had: until then a problem is an answer. */
async function openLines({ runtime, containerId }: Access, wanted: LogRequest): Promise<Lines> {
  const lines = runtime.logs(containerId, wanted)[Symbol.asyncIterator]();
  if (wanted.follow) {
    // The first line may be long in coming.
    if ((await runtime.inspect(containerId)) !== null) return lines;
    throw runtimeErrors.gone({ detail: "The lease's container is not there any more." });
  }
  let first: IteratorResult<LogLine> | null = await lines.next();
  return {
    async next() {
      const line = first ?? (await lines.next());
      first = null;
      return line;
    },
    return: async () => (await lines.return?.()) ?? { done: true, value: undefined },
  };
}

interface Writing {
  readonly streams: EventStreams;
  readonly request: MutatingRequest;
  readonly reply: MutatingReply;
  readonly access: Access;
  readonly lines: Lines;
  readonly wanted: Window;
  /** Ends the reading. */
  readonly over: AbortController;
  readonly withStamps: boolean;
}

async function asEvents(writing: Writing): Promise<void> {
  const { streams, request, reply, access, lines, wanted, over } = writing;
  const stream = streams.open(request, reply);
  stream.signal.addEventListener("abort", () => over.abort(), { once: true });
  try {
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      const { value: data } = line;
      if (!(await stream.deliver({ id: data.at, data }))) return;
    }
    const end = stream.signal.aborted ? null : await endOf(access, wanted);
    if (end) await stream.deliver({ event: "end", data: end });
  } catch (error) {
    request.log.warn({ err: error }, "a stream of lines broke off");
  } finally {
    stream.close();
  }
}

/** Null where it is not over: the engine has only ceased to tell. */
async function endOf({ runtime, containerId }: Access, { follow }: Window): Promise<LogEnd | null> {
  if (!follow) return { reason: "caught_up" };
  const container = await runtime.inspect(containerId);
  if (container === null) return { reason: "removed" };
  const { state, exitCode, outOfMemory } = container;
  return state === "exited" ? { reason: "exited", exitCode, outOfMemory } : null;
}

async function asText(writing: Writing): Promise<void> {
  const { streams, request, reply, lines, over, withStamps } = writing;
  const stream = streams.openText(request, reply);
  stream.signal.addEventListener("abort", () => over.abort(), { once: true });
  try {
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      const { at, text } = line.value;
      if (!(await stream.deliver(withStamps ? `${at} ${text}\n` : `${text}\n`))) return;
    }
  } catch (error) {
    request.log.warn({ err: error }, "a text of lines broke off");
    stream.cut();
  } finally {
    stream.close();
  }
}
