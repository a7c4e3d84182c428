import type { Tx } from "../db/types.ts";

export interface SecretRow {
  name: string;
  lastFour: string;
  createdAt: string;
  updatedAt: string;
}

const columns = `name, last_four as "lastFour", created_at as "createdAt",
  updated_at as "updatedAt"`;

export interface NewSecret {
  name: string;
  sealed: Buffer;
  lastFour: string;
  keyId: string;
}

/** Null when the tenant has `maxSecrets` others already. */
export async function upsertSecret(
  tx: Tx,
  secret: NewSecret,
  maxSecrets: number,
): Promise<SecretRow | null> {
  const { rows } = await tx.query<SecretRow>(
    `insert into platform.secret as s (tenant_id, name, sealed, last_four, key_id)
     select $1, $2, $3, $4, $5
      where exists (select from platform.secret where name = $2)
         or (select count(*) from platform.secret) < $6
         on conflict (tenant_id, name) do update
        set sealed = excluded.sealed, last_four = excluded.last_four, key_id = excluded.key_id,
            updated_at = now()
     returning ${columns}`,
    [tx.tenant.id, secret.name, secret.sealed, secret.lastFour, secret.keyId, maxSecrets],
  );
  return rows[0] ?? null;
}

/** The envelope, to be opened under its tenant and name. */
export async function findSealed(tx: Tx, name: string): Promise<Buffer | null> {
  const { rows } = await tx.query<{ sealed: Buffer }>(
    "select sealed from platform.secret where name = $1",
    [name],
  );
  return rows[0]?.sealed ?? null;
}

/** What may be shown of a secret. */
export async function findSecret(tx: Tx, name: string): Promise<SecretRow | null> {
  const { rows } = await tx.query<SecretRow>(
    `select ${columns} from platform.secret where name = $1`,
    [name],
  );
  return rows[0] ?? null;
}

/** The tenant's, by name. */
export async function listSecrets(tx: Tx, limit: number): Promise<SecretRow[]> {
  const { rows } = await tx.query<SecretRow>(
    `select ${columns} from platform.secret order by name limit $1`,
    [limit],
  );
  return rows;
}

/** Whether there was one. */
export async function deleteSecret(tx: Tx, name: string): Promise<boolean> {
  const { rowCount } = await tx.query("delete from platform.secret where name = $1", [name]);
  return rowCount > 0;
}

/** Locked, so that a `put` at the same time is not undone by an older value sealed again. */
export async function lockSealedUnderOthers(
  tx: Tx,
  keyId: string,
  limit: number,
): Promise<{ name: string; sealed: Buffer }[]> {
  const { rows } = await tx.query<{ name: string; sealed: Buffer }>(
    `select name, sealed from platform.secret where key_id <> $1
      order by name limit $2 for update`,
    [keyId, limit],
  );
  return rows;
}

/** The value stays the same, so `updated_at` does too. */
export async function replaceSealed(
  tx: Tx,
  { name, sealed, keyId }: { name: string; sealed: Buffer; keyId: string },
): Promise<void> {
  await tx.query("update platform.secret set sealed = $2, key_id = $3 where name = $1", [
    name,
    sealed,
    keyId,
  ]);
}
