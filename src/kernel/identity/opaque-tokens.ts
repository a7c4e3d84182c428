import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "../random.ts";

const uuidBytes = 16;
const secretBytes = 32;
const tenantTokenPattern = /^[A-Za-z0-9_-]{64}$/;

/** `plm_` for API keys and `pli_` for invitations. */
export type TenantTokenPrefix = "plm_" | "pli_";

/** Enough for secrets of 256 random bits; passwords go through `passwords.ts`. */
export function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/**
 * A secret that carries its tenant: prefix, then base64url of the tenant's id and 256 random bits.
 * So it can be looked up in that tenant's own context, and no policy needs a hole for it.
 */
export function newTenantToken(
  random: Random,
  prefix: TenantTokenPrefix,
  tenantId: string,
): { token: string; hash: Buffer } {
  const bytes = Buffer.concat([uuidToBytes(tenantId), random.bytes(secretBytes)]);
  const token = prefix + bytes.toString("base64url");
  return { token, hash: sha256(token) };
}

/** Null for what is no such token by its form. */
export function readTenantToken(
  prefix: TenantTokenPrefix,
  token: string,
): { tenantId: string; hash: Buffer } | null {
  if (!token.startsWith(prefix)) return null;
  const body = token.slice(prefix.length);
  if (!tenantTokenPattern.test(body)) return null;
  const bytes = Buffer.from(body, "base64url");
  return { tenantId: bytesToUuid(bytes.subarray(0, uuidBytes)), hash: sha256(token) };
}

const refreshPrefix = "plr_";
const markBytes = 8;
const refreshBodyBytes = uuidBytes + 4 + secretBytes + markBytes;
const refreshPattern = /^plr_[A-Za-z0-9_-]{80}$/;

export interface RefreshToken {
  sessionId: string;
  generation: number;
  hash: Buffer;
  /** Whether a token with this content was issued for the session that has `reuseKey`. */
  issuedUnder(reuseKey: Buffer): boolean;
}

/**
 * `plr_` and base64url of session id, generation, 256 random bits, and a mark made with the
 * session's reuse key. Only the newest one's hash is stored; the mark tells an earlier one (reuse:
 * a theft) from an invented one (no ground to end anybody's session).
 */
export function newRefreshToken(
  random: Random,
  sessionId: string,
  generation: number,
  reuseKey: Buffer,
): { token: string; hash: Buffer } {
  const head = Buffer.alloc(uuidBytes + 4);
  uuidToBytes(sessionId).copy(head);
  head.writeUInt32BE(generation, uuidBytes);
  const marked = Buffer.concat([head, random.bytes(secretBytes)]);
  const token =
    refreshPrefix + Buffer.concat([marked, mark(marked, reuseKey)]).toString("base64url");
  return { token, hash: sha256(token) };
}

/** Null for what is no refresh token by its form. */
export function readRefreshToken(token: string): RefreshToken | null {
  if (!refreshPattern.test(token)) return null;
  const bytes = Buffer.from(token.slice(refreshPrefix.length), "base64url");
  if (bytes.length !== refreshBodyBytes) return null;
  const marked = bytes.subarray(0, -markBytes);
  return {
    sessionId: bytesToUuid(bytes.subarray(0, uuidBytes)),
    generation: bytes.readUInt32BE(uuidBytes),
    hash: sha256(token),
    issuedUnder: (reuseKey) => timingSafeEqual(mark(marked, reuseKey), bytes.subarray(-markBytes)),
  };
}

function mark(bytes: Buffer, reuseKey: Buffer): Buffer {
  return createHmac("sha256", reuseKey).update(bytes).digest().subarray(0, markBytes);
}

function uuidToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

function bytesToUuid(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
