import { withClient } from "./db/roles.ts";

/**
 * Runs `work` while no other server of the same database runs its own: what the first boot makes is
 * made once, whoever else starts at that moment.
 */
export function inTurn<T>(ownerUrl: string, work: () => Promise<T>): Promise<T> {
  return withClient(ownerUrl, async (client) => {
    // Of this session: it goes with the connection, however the process ends.
    await client.query("select pg_advisory_lock(hashtext('plimsoll first boot'))");
    return work();
  });
}
