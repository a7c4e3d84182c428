import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "../random.ts";

/** RFC 6238 with what every authenticator app supports: SHA-1, 6 digits, 30 seconds. */
const stepMs = 30_000;
const digits = 6;
/** One step to each side, for clocks that differ and for people who type slowly. */
const windowSteps = 1;
const secretBytes = 20;
export const recoveryCodeCount = 10;
const recoveryCodeBytes = 10;

const base32Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** RFC 4648 base32 without padding. */
export function base32(bytes: Buffer): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += base32Alphabet[(value >>> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return bits > 0 ? text + base32Alphabet[(value << (5 - bits)) & 31] : text;
}

/** 160 bits, as RFC 4226 recommends. */
export function newTotpSecret(random: Random): Buffer {
  return random.bytes(secretBytes);
}

/** What an authenticator app reads from a QR code. */
export function otpauthUrl(secret: Buffer, account: string, issuer = "Plimsoll"): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(account)}`;
  const query = new URLSearchParams({
    secret: base32(secret),
    issuer,
    algorithm: "SHA1",
    digits: String(digits),
    period: String(stepMs / 1000),
  });
  return `otpauth://totp/${label}?${query}`;
}

/** The code of a step (RFC 4226, section 5.3). */
export function totpCode(secret: Buffer, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", secret).update(counter).digest();
  const offset = (mac[19] as number) & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fffffff;
  return String(number % 10 ** digits).padStart(digits, "0");
}

/** How many steps of 30 s have passed since the epoch. */
export function totpStep(nowMs: number): number {
  return Math.floor(nowMs / stepMs);
}

/**
 * The step that `code` belongs to, within one step of now and later than `lastStep`; null when
 * there is none. The caller stores the step, so that a code which somebody watched is worth
 * nothing.
 */
export function matchTotp(
  secret: Buffer,
  code: string,
  nowMs: number,
  lastStep: number,
): number | null {
  if (!/^\d{6}$/.test(code)) return null;
  const typed = Buffer.from(code);
  const now = totpStep(nowMs);
  let match: number | null = null;
  for (let step = now - windowSteps; step <= now + windowSteps; step += 1) {
    const equal = timingSafeEqual(typed, Buffer.from(totpCode(secret, Math.max(step, 0))));
    if (equal && step > lastStep && match === null) match = step;
  }
  return match;
}

/** Ten codes of 80 random bits for the day the phone is gone: `ABCD-EFGH-IJKL-MNOP`. */
export function newRecoveryCodes(random: Random): string[] {
  return Array.from({ length: recoveryCodeCount }, () =>
    (base32(random.bytes(recoveryCodeBytes)).match(/.{4}/g) as string[]).join("-"),
  );
}

/** SHA-256 of a typed recovery code, however it was spaced; null when it can't be one. */
export function recoveryCodeHash(typed: string): Buffer | null {
  const plain = typed.toUpperCase().replace(/[\s-]/g, "");
  return /^[A-Z2-7]{16}$/.test(plain) ? createHash("sha256").update(plain).digest() : null;
}
