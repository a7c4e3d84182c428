import type { Tx } from "../db/types.ts";

export interface ApiKeyRow {
  id: string;
  name: string;
  lastFour: string;
  permissions: string[];
  createdBy: string;
  createdAt: string;
  expiresAt: string | null;
  lastUsedAt: string | null;
  version: number;
}

const columns = `id, name, last_four as "lastFour", permissions, created_by as "createdBy",
  created_at as "createdAt", expires_at as "expiresAt", last_used_at as "lastUsedAt", version`;

/** Stores a key by its hash. */
export async function insertApiKey(
  tx: Tx,
  row: Omit<ApiKeyRow, "lastUsedAt" | "version"> & { keyHash: Buffer },
): Promise<ApiKeyRow> {
  const { rows } = await tx.query<ApiKeyRow>(
    `insert into platform.api_key (tenant_id, id, name, key_hash, last_four, permissions,
       created_by, created_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz, $9::timestamptz)
     returning ${columns}`,
    [
      tx.tenant.id,
      row.id,
      row.name,
      row.keyHash,
      row.lastFour,
      row.permissions,
      row.createdBy,
      row.createdAt,
      row.expiresAt,
    ],
  );
  return rows[0] as ApiKeyRow;
}

/** How many keys the tenant has, expired ones too. */
export async function countApiKeys(tx: Tx): Promise<number> {
  const { rows } = await tx.query<{ count: number }>(
    "select count(*) as count from platform.api_key",
  );
  return rows[0]?.count ?? 0;
}

/** Newest first; of one maker, or of all. `after` is the last one of the page before. */
export async function listApiKeys(
  tx: Tx,
  page: {
    createdBy: string | null;
    limit: number;
    after: [createdAt: string, id: string] | null;
  },
): Promise<ApiKeyRow[]> {
  const { rows } = await tx.query<ApiKeyRow>(
    `select ${columns} from platform.api_key
      where ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
        and ($4::uuid is null or created_by = $4::uuid)
      order by created_at desc, id desc limit $1`,
    [page.limit, page.after?.[0] ?? null, page.after?.[1] ?? null, page.createdBy],
  );
  return rows;
}

/** Null when there is no such key, or it is not this maker's. */
export async function findApiKey(
  tx: Tx,
  { id, createdBy }: { id: string; createdBy: string | null },
): Promise<ApiKeyRow | null> {
  const { rows } = await tx.query<ApiKeyRow>(
    `select ${columns} from platform.api_key
      where id = $1 and ($2::uuid is null or created_by = $2::uuid)`,
    [id, createdBy],
  );
  return rows[0] ?? null;
}

/** The same, locked until the transaction ends. */
export async function lockApiKey(
  tx: Tx,
  { id, createdBy }: { id: string; createdBy: string | null },
): Promise<ApiKeyRow | null> {
  const { rows } = await tx.query<ApiKeyRow>(
    `select ${columns} from platform.api_key
      where id = $1 and ($2::uuid is null or created_by = $2::uuid) for update`,
    [id, createdBy],
  );
  return rows[0] ?? null;
}

/** Lock the row first. */
export async function deleteApiKey(tx: Tx, id: string): Promise<void> {
  await tx.query("delete from platform.api_key where id = $1", [id]);
}
