import { type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { requestErrors } from "../errors.ts";
import type { MutatingReply, SocketRequest, Tunnel } from "./types.ts";

/** The subprotocol that is none: `ticket.` and a ticket, where a browser can send no headers. */
const ticketPrefix = "ticket.";
const keyPattern = /^[+/0-9A-Za-z]{22}==$/;
const tokenPattern = /^[!#$%&'*+.^_`|~\w-]+$/;

/** Whether the connection is to become a WebSocket; any other upgrade is passed over (RFC 9110). */
export function asksForWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && /(^|,)\s*websocket\s*(,|$)/i.test(headers.upgrade ?? "");
}

export interface Upgrades {
  has(raw: IncomingMessage): boolean;
  /**
   * The connection of a request, which the reply lets go of. Throws where the client has gone.
   */
  take(request: SocketRequest, reply: MutatingReply): Tunnel;
  /** Cuts off every connection: Node closes only those that it still knows of. */
  cutAll(): void;
}

/**
 * Sends requests to upgrade through `serve` like all others, so that they are refused like all
 * others: with a problem document, after which the connection ends.
 */
export function listenForUpgrades(
  server: Server,
  serve: (raw: IncomingMessage, response: ServerResponse) => void,
): Upgrades {
  const open = new Set<Socket>();
  const waiting = new WeakMap<IncomingMessage, { socket: Socket; head: Buffer }>();
  server.on("upgrade", (raw: IncomingMessage, socket: Socket, head: Buffer) => {
    // Node has let go of the connection: its errors are nobody's but ours now.
    socket.on("error", () => socket.destroy());
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    const response = new ServerResponse(raw);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once("finish", () => {
      if (!waiting.has(raw)) return;
      response.detachSocket(socket);
      socket.destroySoon();
    });
    waiting.set(raw, { socket, head });
    serve(raw, response);
  });
  return {
    has: (raw) => waiting.has(raw),
    cutAll: () => {
      for (const socket of open) socket.destroy();
    },
    take({ raw }, reply) {
      const upgrade = waiting.get(raw);
      if (!upgrade || upgrade.socket.destroyed) {
        throw requestErrors.malformed({ detail: "The client has gone." });
      }
      waiting.delete(raw);
      reply.hijack();
      reply.raw.detachSocket(upgrade.socket);
      upgrade.socket.setTimeout(0);
      return upgrade;
    },
  };
}

/** The subprotocols that a client offers, without a ticket among them. */
export function offeredProtocols({ headers }: Pick<IncomingMessage, "headers">): string[] {
  return listed(headers).filter((name) => !name.startsWith(ticketPrefix));
}

/** The ticket that stands among the subprotocols; null for none. */
export function offeredTicket({ headers }: Pick<IncomingMessage, "headers">): string | null {
  const found = listed(headers).find((name) => name.startsWith(ticketPrefix));
  return found?.slice(ticketPrefix.length) ?? null;
}

function listed(headers: IncomingMessage["headers"]): string[] {
  const header = headers["sec-websocket-protocol"];
  return header === undefined ? [] : header.split(",").map((name) => name.trim());
}

/** What is wrong with a client's handshake (RFC 6455, 4.2.1), or null. */
export function faultOfHandshake(
  { headers }: Pick<IncomingMessage, "headers">,
  protocols: readonly string[] | undefined,
): Error | null {
  if (headers["sec-websocket-version"] !== "13") {
    return requestErrors.upgrade_required({
      detail: "Version 13 of the WebSocket protocol is spoken here, and no other.",
      headers: { "sec-websocket-version": "13" },
    });
  }
  if (!keyPattern.test(headers["sec-websocket-key"] ?? "")) {
    return requestErrors.malformed({ detail: "Sec-WebSocket-Key is not 16 bytes in base64." });
  }
  const all = listed(headers);
  if (new Set(all).size < all.length || !all.every((name) => tokenPattern.test(name))) {
    return requestErrors.malformed({ detail: "Sec-WebSocket-Protocol is no list of names." });
  }
  const offered = offeredProtocols({ headers });
  if (!protocols || offered.length === 0) return null;
  if (offered.some((name) => protocols.includes(name))) return null;
  const message = `must name ${protocols.join(" or ")}, or nothing`;
  return requestErrors.invalid({ errors: [{ path: "header/sec-websocket-protocol", message }] });
}

/** The answer to a request that asks for no WebSocket where there is nothing else. */
export function upgradeRequired(): Error {
  return requestErrors.upgrade_required({
    detail: "Connect with a client for WebSockets; a plain request gets nothing here.",
    headers: { connection: "upgrade", upgrade: "websocket" },
  });
}
