import type { JWK } from "jose";
import type { Transaction } from "../db/types.ts";

export type SigningAlgorithm = "EdDSA" | "ES256";

export interface SigningKeyRow {
  kid: string;
  algorithm: SigningAlgorithm;
  publicJwk: JWK;
  sealedPrivate: Buffer | null;
  createdAt: string;
  activatesAt: string;
  retiresAt: string | null;
  deadAt: string | null;
}

const columns = `kid, algorithm, public_jwk as "publicJwk", sealed_private as "sealedPrivate",
  created_at as "createdAt", activates_at as "activatesAt", retires_at as "retiresAt",
  dead_at as "deadAt"`;

/** Makes everybody who is about to add a key wait for the one before. */
export async function lockSigningKeys(tx: Transaction): Promise<void> {
  await tx.query("select pg_advisory_xact_lock(hashtextextended('plimsoll.signing_key', 0))");
}

/** Keys whose tokens may still be alive, newest first. */
export async function listLiveSigningKeys(tx: Transaction, now: string): Promise<SigningKeyRow[]> {
  const { rows } = await tx.query<SigningKeyRow>(
    `select ${columns} from platform.signing_key
      where dead_at is null or dead_at > $1::timestamptz
      order by activates_at desc, kid limit 20`,
    [now],
  );
  return rows;
}

/** The newest keys, dead ones too. */
export async function listSigningKeys(tx: Transaction, limit: number): Promise<SigningKeyRow[]> {
  const { rows } = await tx.query<SigningKeyRow>(
    `select ${columns} from platform.signing_key order by activates_at desc, kid limit $1`,
    [limit],
  );
  return rows;
}

export interface NewSigningKey {
  kid: string;
  algorithm: SigningAlgorithm;
  publicJwk: JWK;
  sealedPrivate: Buffer;
  createdAt: string;
  activatesAt: string;
  createdBy: string | null;
}

/** Retire the newest key first: the database allows one. */
export async function insertSigningKey(tx: Transaction, key: NewSigningKey): Promise<void> {
  await tx.query(
    `insert into platform.signing_key
       (kid, algorithm, public_jwk, sealed_private, created_at, activates_at, created_by)
     values ($1, $2, $3::jsonb, $4, $5::timestamptz, $6::timestamptz, $7)`,
    [
      key.kid,
      key.algorithm,
      JSON.stringify(key.publicJwk),
      key.sealedPrivate,
      key.createdAt,
      key.activatesAt,
      key.createdBy,
    ],
  );
}

/** Says when a key stops signing and when its last token is dead. */
export async function retireSigningKey(
  tx: Transaction,
  { kid, retiresAt, deadAt }: { kid: string; retiresAt: string; deadAt: string },
): Promise<void> {
  await tx.query(
    `update platform.signing_key set retires_at = $2::timestamptz, dead_at = $3::timestamptz
      where kid = $1`,
    [kid, retiresAt, deadAt],
  );
}

/** Forgets the private parts of dead keys; answers how many. */
export async function erasePrivateParts(tx: Transaction, now: string): Promise<number> {
  const { rowCount } = await tx.query(
    `update platform.signing_key set sealed_private = null
      where dead_at <= $1::timestamptz and sealed_private is not null`,
    [now],
  );
  return rowCount;
}

/** Every private part there is, locked. */
export async function lockSealedKeys(tx: Transaction): Promise<{ kid: string; sealed: Buffer }[]> {
  const { rows } = await tx.query<{ kid: string; sealed: Buffer }>(
    `select kid, sealed_private as sealed from platform.signing_key
      where sealed_private is not null order by kid for update`,
  );
  return rows;
}

/** The same private part, sealed under another master key. */
export async function replaceSealedKey(
  tx: Transaction,
  kid: string,
  sealed: Buffer,
): Promise<void> {
  await tx.query("update platform.signing_key set sealed_private = $2 where kid = $1", [
    kid,
    sealed,
  ]);
}
