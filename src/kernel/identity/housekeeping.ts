import { type Clock, isoNow, isoOf } from "../clock.ts";
import type { Db, Transaction } from "../db/types.ts";
import type { Sealer } from "../secrets/seal.ts";
import type { Tenants } from "../tenancy/tenants.ts";
import { deleteOldAnswers } from "./kept-answer-store.ts";
import { deleteOldInvitations } from "./member-store.ts";
import { deleteEndedSessions } from "./session-store.ts";
import { signingKeyContext, totpContext } from "./seal-contexts.ts";
import { erasePrivateParts, lockSealedKeys, replaceSealedKey } from "./signing-key-store.ts";
import { deleteForgottenThrottles } from "./throttle-store.ts";
import { deleteOldTickets } from "./ticket-store.ts";
import { lockSealedTotp, replaceSealedTotp } from "./user-store.ts";

const keepEndedMs = 30 * 24 * 60 * 60_000;
const rowsAtOnce = 1_000;
const roundsAtMost = 1_000;

/** Rows that were forgotten, by kind. */
export interface Forgotten {
  sessions: number;
  throttles: number;
  invitations: number;
  privateKeys: number;
  answers: number;
  tickets: number;
}

/**
 * Forgets sessions and invitations that ended a month ago, counters of failed attempts, kept
 * answers and used tickets past their time, and the private parts of dead signing keys. For an
 * hourly job; in small transactions.
 */
export async function forgetEndedIdentities(deps: {
  db: Db;
  clock: Clock;
  tenants: Pick<Tenants, "each">;
}): Promise<Forgotten> {
  const { db, clock } = deps;
  const now = isoNow(clock);
  const before = isoOf(clock.nowMs() - keepEndedMs);
  const sessions = await inRounds(() =>
    db.inPlatform((tx) => deleteEndedSessions(tx, before, rowsAtOnce)),
  );
  const throttles = await inRounds(() =>
    db.inPlatform((tx) => deleteForgottenThrottles(tx, now, rowsAtOnce)),
  );
  const answers = await inRounds(() =>
    db.inPlatform((tx) => deleteOldAnswers(tx, now, rowsAtOnce)),
  );
  const tickets = await inRounds(() =>
    db.inPlatform((tx) => deleteOldTickets(tx, now, rowsAtOnce)),
  );
  const privateKeys = await db.inPlatform((tx) => erasePrivateParts(tx, now));
  let invitations = 0;
  for await (const tenant of deps.tenants.each()) {
    invitations += await inRounds(() =>
      db.inTenant(tenant, (tx) => deleteOldInvitations(tx, before, rowsAtOnce)),
    );
  }
  return { sessions, throttles, invitations, privateKeys, answers, tickets };
}

async function inRounds(forget: () => Promise<number>): Promise<number> {
  let total = 0;
  for (let round = 0; round < roundsAtMost; round += 1) {
    const count = await forget();
    total += count;
    if (count < rowsAtOnce) break;
  }
  return total;
}

/**
 * Seals signing keys and second factors under the newest master key where they are not; answers how
 * many it did. Afterwards the earlier master key can go.
 */
export async function resealIdentities({
  db,
  sealer,
}: {
  db: Db;
  sealer: Sealer;
}): Promise<number> {
  let count = await db.inPlatform((tx) => resealSigningKeys(tx, sealer));
  let last: ResealedPage = { count: 0, lastId: null };
  do {
    const afterId = last.lastId;
    last = await db.inPlatform((tx) => resealTotp(tx, sealer, afterId, rowsAtOnce));
    count += last.count;
  } while (last.lastId !== null);
  return count;
}

interface ResealedPage {
  count: number;
  /** Null on the last page. */
  lastId: string | null;
}

async function resealSigningKeys(tx: Transaction, sealer: Sealer): Promise<number> {
  let count = 0;
  for (const { kid, sealed } of await lockSealedKeys(tx)) {
    const anew = sealer.reseal(sealed, signingKeyContext(kid));
    if (!anew) continue;
    await replaceSealedKey(tx, kid, anew);
    count += 1;
  }
  return count;
}

async function resealTotp(
  tx: Transaction,
  sealer: Sealer,
  afterId: string | null,
  limit: number,
): Promise<ResealedPage> {
  const rows = await lockSealedTotp(tx, afterId, limit);
  let count = 0;
  for (const { id, secret, pending } of rows) {
    const context = totpContext(id);
    const anew = secret && sealer.reseal(secret, context);
    const pendingAnew = pending && sealer.reseal(pending, context);
    if (!anew && !pendingAnew) continue;
    await replaceSealedTotp(tx, id, anew ?? secret, pendingAnew ?? pending);
    count += 1;
  }
  return { count, lastId: rows.length < limit ? null : (rows.at(-1)?.id ?? null) };
}
