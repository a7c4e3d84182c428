import type { Db, Tx } from "../db/types.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { secretErrors } from "./seal.ts";
import type { Sealer } from "./seal.ts";
import * as store from "./store.ts";

export interface SecretSummary {
  name: string;
  /** "…" and the last four characters; of a secret shorter than eight, none. */
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
  /** Throws `ERR_SECRETS_BAD_NAME`, `_BAD_VALUE` or `_TOO_MANY`. */
  put(tx: Tx, name: string, value: string): Promise<SecretSummary>;
  get(tx: Tx, name: string): Promise<string | null>;
  mask(tx: Tx, name: string): Promise<string | null>;
  delete(tx: Tx, name: string): Promise<boolean>;
  /** All of the tenant's, at most 1,000, by name. */
  list(tx: Tx): Promise<SecretSummary[]>;
  /** Seals the tenant's secrets under the newest key where they are not; how many it did. */
  rotate(tx: Tx): Promise<number>;
}

const namePattern = /^[a-z][a-z0-9._:/-]{0,99}$/;
const maxValueBytes = 65_472;
const maxSecretsPerTenant = 1_000;
const shownCharacters = 4;
const minMaskedCharacters = 8;

function contextOf(tx: Tx, name: string): string {
  return `secret:${tx.tenant.id}:${name}`;
}

/** What may be shown of a secret: "…" and its end, nothing of one that the end would give away. */
export function maskOf(lastFour: string): string {
  return `…${lastFour}`;
}

function lastFourOf(value: string): string {
  const characters = [...value];
  return characters.length < minMaskedCharacters ? "" : characters.slice(-shownCharacters).join("");
}

function summaryOf({ lastFour, ...row }: store.SecretRow): SecretSummary {
  return { ...row, masked: maskOf(lastFour) };
}

/** Secrets sealed by the given master keys. */
export function createSecrets(sealer: Sealer): Secrets {
  const put = async (tx: Tx, name: string, value: string): Promise<SecretSummary> => {
    if (!namePattern.test(name)) {
      throw secretErrors.bad_name({
        detail: "A name has 1 to 100 lower-case letters, digits and . _ : / -, a letter first.",
      });
    }
    const plaintext = Buffer.from(value, "utf8");
    if (plaintext.length === 0 || plaintext.length > maxValueBytes) {
      throw secretErrors.bad_value({ detail: `A value has 1 to ${maxValueBytes} bytes.` });
    }
    const sealed = sealer.seal(plaintext, contextOf(tx, name));
    const secret = { name, sealed, lastFour: lastFourOf(value), keyId: sealer.keyId };
    const row = await store.upsertSecret(tx, secret, maxSecretsPerTenant);
    if (!row) throw secretErrors.too_many({ detail: `At most ${maxSecretsPerTenant}.` });
    return summaryOf(row);
  };

  const rotate = async (tx: Tx): Promise<number> => {
    const stale = await store.lockSealedUnderOthers(tx, sealer.keyId, maxSecretsPerTenant);
    for (const { name, sealed } of stale) {
      const moved = sealer.reseal(sealed, contextOf(tx, name)) ?? sealed;
      await store.replaceSealed(tx, { name, sealed: moved, keyId: sealer.keyId });
    }
    return stale.length;
  };

  return {
    seal: sealer.seal,
    open: sealer.open,
    put,
    async get(tx, name) {
      const sealed = await store.findSealed(tx, name);
      return sealed && sealer.open(sealed, contextOf(tx, name)).toString("utf8");
    },
    async mask(tx, name) {
      const row = await store.findSecret(tx, name);
      return row && maskOf(row.lastFour);
    },
    delete: (tx, name) => store.deleteSecret(tx, name),
    list: async (tx) => (await store.listSecrets(tx, maxSecretsPerTenant)).map(summaryOf),
    rotate,
  };
}

/**
 * Moves every tenant's secrets under the newest master key, one tenant per transaction.
 * Interrupted, it goes on where it stopped when run again, because it touches only what another key
 * has sealed.
 */
export async function rotateAll(
  db: Db,
  secrets: Secrets,
  tenants: Iterable<TenantRef> | AsyncIterable<TenantRef>,
): Promise<{ tenants: number; resealed: number }> {
  const done = { tenants: 0, resealed: 0 };
  for await (const tenant of tenants) {
    done.resealed += await db.inTenant(tenant, (tx) => secrets.rotate(tx));
    done.tenants += 1;
  }
  return done;
}
