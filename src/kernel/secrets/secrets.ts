import type { Tx } from "../db/types.ts";

export interface SecretSummary {
  name: string;
  /** "…" and the last four characters; fewer of a short secret. */
  masked: string;
  createdAt: string;
  updatedAt: string;
}

/** Tenant secrets (model keys, Git tokens, webhook secrets), sealed under the master key. */
export interface Secrets {
  /** `context` says what the secret is for; it opens only under the same one. */
  seal(plaintext: Buffer, context: string): Buffer;
  /** Throws `ERR_SECRETS_UNREADABLE` for another context, a changed byte or a retired key. */
  open(sealed: Buffer, context: string): Buffer;
  put(tx: Tx, name: string, value: string): Promise<SecretSummary>;
  get(tx: Tx, name: string): Promise<string | null>;
  mask(tx: Tx, name: string): Promise<string | null>;
  delete(tx: Tx, name: string): Promise<boolean>;
  /** At most 1,000, by name. */
  list(tx: Tx): Promise<SecretSummary[]>;
  /** Seals one tenant's secrets under the newest key where they are not; how many it did. */
  rotate(tx: Tx): Promise<number>;
}
