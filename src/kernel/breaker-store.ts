import type { Transaction } from "./db/types.ts";

/** What was done to the breakers of one dependency, in all processes. */
export interface BreakerRow {
  name: string;
  /** Held open until it is reset. */
  isHeld: boolean;
  resets: number;
  /** ISO-8601. */
  updatedAt: string;
}

const columns = `name, is_held as "isHeld", resets, updated_at as "updatedAt"`;
const rowsMost = 5_000;

/** Every row, held ones first; beyond 5,000 those that were changed longest ago are left out. */
export async function readBreakers(tx: Transaction): Promise<BreakerRow[]> {
  const { rows } = await tx.query<BreakerRow>(
    `select ${columns} from platform.breaker
      order by is_held desc, updated_at desc limit ${rowsMost}`,
  );
  return rows;
}

/** Null where nobody has told of such a dependency. */
export async function readBreaker(tx: Transaction, name: string): Promise<BreakerRow | null> {
  const { rows } = await tx.query<BreakerRow>(
    `select ${columns} from platform.breaker where name = $1`,
    [name],
  );
  return rows[0] ?? null;
}

/** Holds it open. */
export async function holdBreaker(tx: Transaction, name: string): Promise<BreakerRow> {
  const { rows } = await tx.query<BreakerRow>(
    `insert into platform.breaker (name, is_held) values ($1, true)
     on conflict (name) do update set is_held = true, updated_at = now()
     returning ${columns}`,
    [name],
  );
  return rows[0] as BreakerRow;
}

/** Closes it, and counts that. */
export async function resetBreaker(tx: Transaction, name: string): Promise<BreakerRow> {
  const { rows } = await tx.query<BreakerRow>(
    `insert into platform.breaker as b (name, resets) values ($1, 1)
     on conflict (name) do update
        set is_held = false, resets = b.resets + 1, updated_at = now()
     returning ${columns}`,
    [name],
  );
  return rows[0] as BreakerRow;
}

/** Tells of dependencies that a process has. */
export async function announceBreakers(tx: Transaction, names: readonly string[]): Promise<void> {
  await tx.query(
    `insert into platform.breaker (name) select unnest($1::text[]) on conflict (name) do nothing`,
    [names],
  );
}
