import { requestErrors } from "#kernel/errors.ts";
import { ById } from "#kernel/http/schemas.ts";
import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import type { Routes } from "#kernel/service.ts";
import { Type } from "typebox";
import { whileInUse } from "../changes/access.ts";
import { noteTerminal } from "../changes/reached.ts";
import { leasesErrors } from "../errors.ts";
import { assertCommand } from "../rules/exec.ts";
import { terminalProtocol } from "../rules/terminal.ts";
import { TerminalQuery, TerminalTicket } from "../schemas/terminal.ts";
import type { LeasesDeps, LiveTerminal } from "../types.ts";
import { callerOf } from "./caller.ts";
import { reachErrors } from "./exec.ts";
import { accessOf, leaseSeats, type LeaseSeats } from "./reach.ts";

const description = `A WebSocket whose subprotocol is \`${terminalProtocol}\`. Binary messages \
are what is typed and what is shown. Text messages are JSON. The client says \
\`{"type":"resize","columns":120,"rows":40}\`; \`{"type":"pause"}\` and \`{"type":"resume"}\` where \
it can't keep up; \`{"type":"end"}\` to end the program. The server says first \
\`{"type":"ready","terminal":"…","position":0,"typed":0}\`, and last \
\`{"type":"exit","exitCode":0}\`, or null where the program was ended; \
\`{"type":"error","code":"…","detail":"…"}\` before it closes for another reason.

A program whose connection breaks goes on for five minutes. Until then the same user may come back \
with \`terminal\` and \`position\`, how many bytes of it have been shown, and gets what was missed: \
the last 256 KiB are kept. \`position\` of \`ready\` says from where on the bytes are that follow, \
and is larger than the one asked for where some are lost; \`typed\` says how many bytes have arrived \
of those that were typed. A second connection takes over from the first. What is shown waits for a \
client that reads slowly. Terminals are held by the server that opened them and end with it and \
with the lease; another server answers \`terminal_elsewhere\`.

Browsers, which can send no headers, send \`ticket.<ticket>\` as a second subprotocol; see \
\`POST /leases/{id}/terminal/ticket\`. The connection ends with the credentials it was opened \
with (close code 3000), as it may with a server that stops (1001): come back then. While it is \
open the lease is in use.`;

/** Programs at terminals in containers. */
export const terminalRoutes: Routes<LeasesDeps> = (app, deps) => {
  const seats = leaseSeats("terminals", { max: 500, perTenantMax: 50, perLeaseMax: 8 });
  app.get(
    "/leases/:id/terminal",
    {
      schema: {
        summary: "Open a terminal in a lease",
        description,
        params: ById,
        querystring: TerminalQuery,
        response: { 101: Type.Null({ description: "The terminal; it stays open." }) },
      },
      config: {
        permission: "lease:exec",
        websocket: { protocols: [terminalProtocol] },
        errors: [...reachErrors, leasesErrors.terminal_gone, leasesErrors.terminal_elsewhere],
      },
    },
    async (request, reply) => {
      const { query } = request;
      const isNew = query.terminal === undefined;
      const live = isNew
        ? await begin(deps, seats, request, query)
        : await find(deps, request, query);
      await attach(deps, live, { request, reply: reply as MutatingReply, isNew });
    },
  );

  app.post(
    "/leases/:id/terminal/ticket",
    {
      schema: {
        summary: "Get a ticket for a lease's terminal",
        description:
          "For browsers, whose WebSockets can carry neither a token nor a key. It opens the " +
          "terminal once, within 30 s, as whoever has asked for it, and is sent as the " +
          `subprotocols \`${terminalProtocol}\` and \`ticket.<ticket>\`.`,
        params: ById,
        response: { 200: TerminalTicket },
      },
      config: { permission: "lease:exec", secretAnswer: true, errors: reachErrors },
    },
    async (request) => {
      const { lease } = await accessOf(deps, request, "use", "lease:exec");
      return app.webSockets.ticket(request, `/api/v1/leases/${lease.id}/terminal`);
    },
  );
};

async function begin(
  deps: LeasesDeps,
  seats: LeaseSeats,
  request: MutatingRequest,
  { columns, rows, command: said }: TerminalQuery,
): Promise<LiveTerminal> {
  const { tenant, actor, id: requestId } = request;
  const command = said === undefined ? null : [said].flat();
  if (command) assertCommand(command);
  const { lease, runtime, containerId } = await accessOf(deps, request, "use", "lease:exec");
  const leave = seats.enter(tenant.id, lease.id);
  try {
    const reached = { tenant, lease, on: { actor, requestId } };
    await noteTerminal(deps.db, reached, command);
    const live = await deps.terminals.begin(ownerOf(request, lease.id), () =>
      runtime.terminal(containerId, { columns, rows }, command),
    );
    void live.ended.then(leave);
    return live;
  } catch (error) {
    leave();
    throw error;
  }
}

async function find(
  deps: LeasesDeps,
  request: MutatingRequest,
  { terminal = "", position }: TerminalQuery,
): Promise<LiveTerminal> {
  const { lease } = await accessOf(deps, request, "use", "lease:exec");
  const live = deps.terminals.find(terminal, ownerOf(request, lease.id));
  if (position <= live.shownBytes()) return live;
  const message = `must not be beyond the ${live.shownBytes()} bytes that were shown`;
  throw requestErrors.invalid({ errors: [{ path: "query/position", message }] });
}

const ownerOf = ({ tenant, principal }: MutatingRequest, leaseId: string) => ({
  tenantId: tenant.id,
  leaseId,
  callerId: callerOf(principal).id,
});

interface Attaching {
  readonly request: MutatingRequest;
  readonly reply: MutatingReply;
  /** Nobody else knows of it yet. */
  readonly isNew: boolean;
}

async function attach(
  deps: LeasesDeps,
  live: LiveTerminal,
  { request, reply, isNew }: Attaching,
): Promise<void> {
  const { tenant, log } = request;
  const { position, columns, rows } = request.query as TerminalQuery;
  let over: Promise<void>;
  try {
    const connection = request.server.webSockets.accept(request, reply);
    over = live.attach(connection, isNew ? 0 : position);
    if (!isNew) live.resize({ columns, rows });
  } catch (error) {
    if (isNew) await live.drop();
    throw error;
  }
  const { id } = request.params as { id: string };
  await whileInUse(deps, tenant, id, () => over).catch((error) => {
    log.warn({ err: error, lease: id }, "use of a terminal was not noted");
  });
}
