import type { IncomingHttpHeaders } from "node:http";
import { type Clock, isoOf } from "../clock.ts";
import type { Db } from "../db/types.ts";
import type { Random } from "../random.ts";
import type { Sealer } from "../secrets/seal.ts";
import { identityErrors } from "./errors.ts";
import { ticketContext } from "./seal-contexts.ts";
import { spendTicket } from "./ticket-store.ts";

const goodForMs = 30_000;
const nonceBytes = 16;
const ticketPattern = /^[A-Za-z0-9_-]{40,8192}$/;

/** As it is sent, and the moment from which on it is good for nothing. */
export interface Ticket {
  ticket: string;
  expiresAt: string;
}

/** The credentials of a request: one of the two. */
export type Credentials = Pick<IncomingHttpHeaders, "authorization"> & { "x-api-key"?: string };

/**
 * What a browser sends in place of credentials where it can send no headers of its own: good once,
 * for one address, for 30 s. A ticket is the caller's own credentials, sealed, so that nothing can
 * be done with it that they could not do, and not for longer.
 */
export interface Tickets {
  issue(headers: IncomingHttpHeaders, path: string): Ticket;
  /** The credentials that it stands for. Throws `invalid_ticket` (401). */
  redeem(ticket: string, path: string): Promise<Credentials>;
}

/** `db` is of the platform's own tables. */
export function createTickets(deps: {
  db: Db;
  clock: Clock;
  random: Random;
  sealer: Sealer;
}): Tickets {
  const { db, clock, random, sealer } = deps;
  return {
    issue(headers, path) {
      const { authorization, "x-api-key": key } = headers;
      const credentials = authorization === undefined ? { "x-api-key": key } : { authorization };
      const expiresAtMs = clock.nowMs() + goodForMs;
      const nonce = random.bytes(nonceBytes).toString("base64url");
      const plain = Buffer.from(JSON.stringify({ nonce, expiresAtMs, credentials }));
      const ticket = sealer.seal(plain, ticketContext(path)).toString("base64url");
      return { ticket, expiresAt: isoOf(expiresAtMs) };
    },
    async redeem(ticket, path) {
      const { nonce, expiresAtMs, credentials } = openTicket(sealer, ticket, path);
      if (clock.nowMs() >= expiresAtMs) throw invalid("It has expired; ask for another one.");
      const spent = { nonce: Buffer.from(nonce, "base64url"), expiresAt: isoOf(expiresAtMs) };
      const isFirst = await db.inPlatform((tx) => spendTicket(tx, spent));
      if (!isFirst) throw invalid("It was used before; ask for another one.");
      return credentials;
    },
  };
}

interface Sealed {
  nonce: string;
  expiresAtMs: number;
  credentials: Credentials;
}

function openTicket(sealer: Sealer, ticket: string, path: string): Sealed {
  if (!ticketPattern.test(ticket)) throw invalid("It is none that this server has issued.");
  try {
    const plain = sealer.open(Buffer.from(ticket, "base64url"), ticketContext(path));
    return JSON.parse(plain.toString());
  } catch (cause) {
    throw invalid("It is none that this server has issued for this address.", cause);
  }
}

const invalid = (detail: string, cause?: unknown) =>
  identityErrors.invalid_ticket({ detail, ...(cause !== undefined && { cause }) });
