import type { Clock } from "../clock.ts";
import type { Db } from "../db/types.ts";
import type { Tenants } from "../tenancy/tenants.ts";
import { deleteOldInvitations } from "./member-store.ts";
import { deleteEndedSessions } from "./session-store.ts";
import { erasePrivateParts } from "./signing-key-store.ts";
import { deleteForgottenThrottles } from "./throttle-store.ts";

const keepEndedMs = 30 * 24 * 60 * 60_000;
const rowsAtOnce = 1_000;
const roundsAtMost = 1_000;

/** Rows that were forgotten, by kind. */
export interface Forgotten {
  sessions: number;
  throttles: number;
  invitations: number;
  privateKeys: number;
}

/**
 * Forgets sessions and invitations that ended a month ago, counters of failed attempts past their
 * time, and the private parts of dead signing keys. For an hourly job; in small transactions.
 */
export async function forgetEndedIdentities(deps: {
  db: Db;
  clock: Clock;
  tenants: Pick<Tenants, "each">;
}): Promise<Forgotten> {
  const { db, clock } = deps;
  const now = new Date(clock.nowMs()).toISOString();
  const before = new Date(clock.nowMs() - keepEndedMs).toISOString();
  const sessions = await inRounds(() =>
    db.inPlatform((tx) => deleteEndedSessions(tx, before, rowsAtOnce)),
  );
  const throttles = await inRounds(() =>
    db.inPlatform((tx) => deleteForgottenThrottles(tx, now, rowsAtOnce)),
  );
  const privateKeys = await db.inPlatform((tx) => erasePrivateParts(tx, now));
  let invitations = 0;
  for await (const tenant of deps.tenants.each()) {
    invitations += await inRounds(() =>
      db.inTenant(tenant, (tx) => deleteOldInvitations(tx, before, rowsAtOnce)),
    );
  }
  return { sessions, throttles, invitations, privateKeys };
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
