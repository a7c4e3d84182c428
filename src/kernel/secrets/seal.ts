import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import { defineErrors } from "../errors.ts";
import type { Random } from "../random.ts";

export const secretErrors = defineErrors("secrets", {
  unreadable: { status: 500, title: "A sealed secret could not be opened" },
  bad_name: { status: 422, title: "The secret's name is not valid" },
  bad_value: { status: 422, title: "The secret's value is empty or longer than allowed" },
  too_many: { status: 409, title: "The tenant has as many secrets as it may have" },
});

const version = 1;
const keyIdBytes = 4;
const nonceBytes = 12;
const tagBytes = 16;
const headerBytes = 1 + keyIdBytes + nonceBytes;
/** What sealing adds to a plaintext. */
export const sealOverheadBytes = headerBytes + tagBytes;

/** Seals and opens under a current master key; earlier ones still open what they sealed. */
export interface Sealer {
  /** Which key seals now: 8 hex digits, safe to store and show. */
  readonly keyId: string;
  /** `context` says what the secret is for; it opens only under the same one. */
  seal(plaintext: Buffer, context: string): Buffer;
  /** Throws `ERR_SECRETS_UNREADABLE` for another context, a changed byte or a retired key. */
  open(sealed: Buffer, context: string): Buffer;
  /** Sealed again under the current key, or null when it already is. */
  reseal(sealed: Buffer, context: string): Buffer | null;
  /**
   * 32 bytes that stand for a text and can neither be turned back into it nor, without the current
   * key, be found by trying texts: HMAC-SHA-256 under a key of the context's own.
   */
  code(text: string, context: string): Buffer;
}

/** The first 4 bytes of a key's SHA-256 in hex: names a key and says nothing about it. */
export function keyIdOf(key: Buffer): string {
  return createHash("sha256")
    .update(key)
    .digest("hex")
    .slice(0, keyIdBytes * 2);
}

/** Which key a sealed secret needs, without opening it. */
export function sealedUnder(sealed: Buffer): string {
  return sealed.subarray(1, 1 + keyIdBytes).toString("hex");
}

function unreadable(why: string, cause?: unknown) {
  return secretErrors.unreadable({ cause: new Error(why, { cause }) });
}

/**
 * AES-256-GCM (NIST SP 800-38D) in an envelope of version (1 byte), key id (4), nonce (12),
 * ciphertext and tag (16). Version, key id and context are authenticated with it. A key may seal
 * 2^32 secrets before random nonces risk a collision; rotation comes long before.
 */
export function createSealer(current: Buffer, previous: readonly Buffer[], random: Random): Sealer {
  const keys = new Map([...previous, current].map((key) => [keyIdOf(key), key]));
  const keyId = keyIdOf(current);
  const start = Buffer.concat([Buffer.from([version]), Buffer.from(keyId, "hex")]);

  const seal = (plaintext: Buffer, context: string): Buffer => {
    const nonce = random.bytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", current, nonce, { authTagLength: tagBytes });
    cipher.setAAD(Buffer.concat([start, Buffer.from(context, "utf8")]));
    const body = [cipher.update(plaintext), cipher.final()];
    return Buffer.concat([start, nonce, ...body, cipher.getAuthTag()]);
  };

  const open = (sealed: Buffer, context: string): Buffer => {
    if (sealed.length < sealOverheadBytes) throw unreadable("the sealed secret is cut short");
    if (sealed[0] !== version) throw unreadable(`its version is ${sealed[0]}, not ${version}`);
    const key = keys.get(sealedUnder(sealed));
    if (!key) throw unreadable(`master key ${sealedUnder(sealed)} is not among those configured`);
    const nonce = sealed.subarray(1 + keyIdBytes, headerBytes);
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(
      Buffer.concat([sealed.subarray(0, start.length), Buffer.from(context, "utf8")]),
    );
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    const body = decipher.update(sealed.subarray(headerBytes, -tagBytes));
    try {
      return Buffer.concat([body, decipher.final()]);
    } catch (error) {
      throw unreadable("it was changed, or belongs to another context", error);
    }
  };

  return {
    keyId,
    seal,
    open,
    reseal: (sealed, context) =>
      sealedUnder(sealed) === keyId ? null : seal(open(sealed, context), context),
    code: (text, context) => {
      const key = hkdfSync("sha256", current, "", `plimsoll/code/${context}`, 32);
      return createHmac("sha256", Buffer.from(key)).update(text).digest();
    },
  };
}
