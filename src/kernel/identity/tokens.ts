import { errors, jwtVerify, SignJWT } from "jose";
import type { Clock } from "../clock.ts";
import type { Problem } from "../errors.ts";
import { isUuid, type Random } from "../random.ts";
import { identityErrors } from "./errors.ts";
import { accessTokenTtlMs, clockToleranceMs } from "./lifetimes.ts";
import type { KeyRing } from "./signing-keys.ts";

export const accessTokenType = "at+jwt";
export const audience = "plimsoll";
const maxTokenCharacters = 2_048;
const requiredClaims = ["iss", "aud", "sub", "tid", "role", "sid", "jti", "iat", "exp"];

export interface AccessClaims {
  userId: string;
  tenantId: string;
  sessionId: string;
  /** The role at the time of signing; what counts is the membership's own. */
  role: string;
  tokenId: string;
  expiresAtMs: number;
}

export interface MintedToken {
  token: string;
  expiresInSeconds: number;
}

/** Signs and verifies access tokens: JWT (RFC 7519) typed `at+jwt`, checked as RFC 8725 asks. */
export interface Tokens {
  mint(
    claims: Pick<AccessClaims, "userId" | "tenantId" | "sessionId" | "role">,
  ): Promise<MintedToken>;
  /** Throws ERR_IDENTITY_EXPIRED_TOKEN or ERR_IDENTITY_INVALID_TOKEN, with WWW-Authenticate. */
  verify(token: string): Promise<AccessClaims>;
}

export interface TokenDeps {
  keys: Pick<KeyRing, "signer" | "verifier">;
  clock: Clock;
  random: Random;
  /** The same for all that share the keys. */
  issuer: string;
}

/** A 401 that says which credentials to send, as RFC 6750 asks. */
export function unauthorized(
  name: "invalid_token" | "expired_token" | "invalid_api_key" | "unauthenticated",
  cause?: unknown,
): Problem {
  const challenge =
    name === "unauthenticated"
      ? 'Bearer realm="plimsoll"'
      : 'Bearer realm="plimsoll", error="invalid_token"';
  return identityErrors[name]({ headers: { "www-authenticate": challenge }, cause });
}

/** Makes what signs and verifies the tokens of one issuer. */
export function createTokens({ keys, clock, random, issuer }: TokenDeps): Tokens {
  return {
    async mint({ userId, tenantId, sessionId, role }) {
      const { kid, algorithm, key } = await keys.signer();
      const issuedAt = Math.floor(clock.nowMs() / 1000);
      const token = await new SignJWT({
        iss: issuer,
        aud: audience,
        sub: userId,
        tid: tenantId,
        role,
        sid: sessionId,
        jti: random.id(),
        iat: issuedAt,
        exp: issuedAt + accessTokenTtlMs / 1000,
      })
        .setProtectedHeader({ alg: algorithm, kid, typ: accessTokenType })
        .sign(key);
      return { token, expiresInSeconds: accessTokenTtlMs / 1000 };
    },

    async verify(token) {
      const header = readHeader(token);
      const signed = header && (await keys.verifier(header.kid));
      if (!signed || signed.algorithm !== header.alg) throw unauthorized("invalid_token");
      try {
        const { payload } = await jwtVerify(token, signed.key, {
          algorithms: [signed.algorithm],
          typ: accessTokenType,
          issuer,
          audience,
          requiredClaims,
          clockTolerance: clockToleranceMs / 1000,
          maxTokenAge: accessTokenTtlMs / 1000,
          currentDate: new Date(clock.nowMs()),
        });
        return readClaims(token, payload);
      } catch (error) {
        const isOld = error instanceof errors.JWTExpired;
        throw unauthorized(isOld ? "expired_token" : "invalid_token", error);
      }
    },
  };
}

/**
 * The header of a token that could be ours; null for any other. We write exactly three members, so
 * `crit`, `jku`, `jwk`, `x5u`, `b64` and whatever comes next have no way in.
 */
function readHeader(token: string): { alg: string; kid: string } | null {
  if (token.length > maxTokenCharacters) return null;
  const parts = token.split(".");
  if (parts.length !== 3 || !parts.every(isCanonicalBase64Url)) return null;
  const header = parseCanonicalJson(parts[0] as string);
  if (!header || Object.keys(header).sort().join() !== "alg,kid,typ") return null;
  const { alg, kid, typ } = header;
  if (typeof alg !== "string" || typeof kid !== "string" || typ !== accessTokenType) return null;
  return { alg, kid };
}

/** One text per value: unused bits and padding are zero and absent. */
function isCanonicalBase64Url(text: string): boolean {
  return text !== "" && Buffer.from(text, "base64url").toString("base64url") === text;
}

/** An object whose text is what JSON.stringify makes of it: no member twice, no spaces. */
function parseCanonicalJson(part: string): Record<string, unknown> | null {
  const text = Buffer.from(part, "base64url").toString();
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && JSON.stringify(value) === text ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function readClaims(token: string, payload: Record<string, unknown>): AccessClaims {
  const { sub, tid, sid, jti, role, aud, iat, exp } = payload;
  const ids = [sub, tid, sid, jti];
  if (!ids.every((id) => typeof id === "string" && isUuid(id))) throw new Error("a claim is no id");
  if (typeof role !== "string" || aud !== audience) throw new Error("a claim has another type");
  if (!Number.isSafeInteger(iat) || !Number.isSafeInteger(exp)) throw new Error("a time is none");
  if ((exp as number) - (iat as number) > accessTokenTtlMs / 1000)
    throw new Error("lives too long");
  if (!parseCanonicalJson(token.split(".")[1] as string)) throw new Error("is written otherwise");
  return {
    userId: sub as string,
    tenantId: tid as string,
    sessionId: sid as string,
    tokenId: jti as string,
    role,
    expiresAtMs: (exp as number) * 1000 + clockToleranceMs,
  };
}
