import {
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from "node:crypto";
import { CompactEncrypt, type CryptoKey, type JWK, SignJWT } from "jose";

/** What a forger may know or have stolen, and what a tester knows besides. */
export interface SignerContext {
  /** A token that is good, for taking apart. */
  token: string;
  /** The real key that signs, for tokens that are wrong in what they say and not in who says it. */
  key: CryptoKey;
  algorithm: string;
  kid: string;
  publicJwk: JWK;
  /** Signs a good header and the claims with a key that is dead by now. */
  retired?: { key: CryptoKey; kid: string; algorithm: string };
  refreshToken: string;
  apiKey: string;
  /** A tenant that exists, of which the token's user is no member. */
  foreignTenantId: string;
  /** Of a user who was deactivated, and a session that has ended. */
  deactivated?: { userId: string; sessionId: string };
  nowMs: number;
}

export interface ForgedToken {
  name: string;
  token: string;
}

type Claims = Record<string, unknown>;

const encode = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const decode = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString()) as Claims;

/**
 * More than 100 tokens of as many classes that no server may accept, after RFC 8725 and the
 * published attacks on JWT libraries. Each is to be refused with 401 wherever it is sent.
 */
export async function forgedTokens(context: SignerContext): Promise<ForgedToken[]> {
  const [head = "", body = "", signature = ""] = context.token.split(".");
  const parts: Parts = { head, body, signature, header: decode(head), claims: decode(body) };
  const forged = [
    ...(await unsignedOrMisSigned(context, parts)),
    ...(await lyingHeaders(context, parts)),
    ...(await lyingClaims(context, parts)),
    ...malformed(context, parts),
    ...(await otherThings(context, parts)),
  ];
  return forged.map(([name, token]) => ({ name, token }));
}

interface Parts {
  head: string;
  body: string;
  signature: string;
  header: Claims;
  claims: Claims;
}

type Named = [name: string, token: string];

/** Signs exact bytes with the real key, whatever they say. */
async function signRaw(context: SignerContext, head: string, body: string): Promise<string> {
  const input = Buffer.from(`${head}.${body}`);
  const parameters =
    context.algorithm === "EdDSA" ? { name: "Ed25519" } : { name: "ECDSA", hash: "SHA-256" };
  const signature = await crypto.subtle.sign(parameters, context.key, input);
  return `${head}.${body}.${Buffer.from(signature).toString("base64url")}`;
}

function signWith(context: SignerContext, header: Claims, claims: Claims): Promise<string> {
  return signRaw(context, encode(header), encode(claims));
}

/** A token of a stranger's own key pair. */
function strange(header: Claims, claims: Claims, privateKey: KeyObject): string {
  const input = `${encode(header)}.${encode(claims)}`;
  const isEd = privateKey.asymmetricKeyType === "ed25519";
  const isEc = privateKey.asymmetricKeyType === "ec";
  const signature = signBytes(isEd ? null : "sha256", Buffer.from(input), {
    key: privateKey,
    ...(isEc ? { dsaEncoding: "ieee-p1363" as const } : {}),
  });
  return `${input}.${signature.toString("base64url")}`;
}

async function unsignedOrMisSigned(context: SignerContext, parts: Parts): Promise<Named[]> {
  const { head, body, signature, header, claims } = parts;
  const flipped = Buffer.from(signature, "base64url");
  flipped[0] = (flipped[0] as number) ^ 1;
  const half = Buffer.from(signature, "base64url").subarray(0, 32).toString("base64url");
  const pem = createPublicKey({ key: context.publicJwk, format: "jwk" })
    .export({ type: "spki", format: "pem" })
    .toString();
  const raw = Buffer.from(context.publicJwk.x ?? "", "base64url");
  const hmac = (secret: string | Buffer, alg: string) => {
    const input = `${encode({ ...header, alg })}.${body}`;
    const digest = alg === "HS512" ? "sha512" : "sha256";
    return `${input}.${createHmac(digest, secret).update(input).digest("base64url")}`;
  };
  const es256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const ed25519 = generateKeyPairSync("ed25519").privateKey;
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const zeros = Buffer.alloc(64).toString("base64url");
  const ones = Buffer.alloc(64, 1).toString("base64url");
  return [
    ["alg none, no signature", `${encode({ ...header, alg: "none" })}.${body}.`],
    ["alg None, no signature", `${encode({ ...header, alg: "None" })}.${body}.`],
    ["alg nOnE, signature kept", `${encode({ ...header, alg: "nOnE" })}.${body}.${signature}`],
    ["alg none signed for real", await signWith(context, { ...header, alg: "none" }, claims)],
    ["alg empty", `${encode({ ...header, alg: "" })}.${body}.${signature}`],
    ["alg missing", `${encode({ kid: header.kid, typ: header.typ })}.${body}.${signature}`],
    ["alg null", `${encode({ ...header, alg: null })}.${body}.${signature}`],
    ["alg a list", `${encode({ ...header, alg: [header.alg] })}.${body}.${signature}`],
    ["HS256 with the public key as PEM", hmac(pem, "HS256")],
    ["HS256 with the public key as JWK", hmac(JSON.stringify(context.publicJwk), "HS256")],
    ["HS256 with the public key's bytes", hmac(raw, "HS256")],
    ["HS512 with the public key as PEM", hmac(pem, "HS512")],
    ["HS256 with an empty secret", hmac("", "HS256")],
    ["HS256 with the key id as secret", hmac(context.kid, "HS256")],
    ["signature flipped by a bit", `${head}.${body}.${flipped.toString("base64url")}`],
    ["signature cut in half", `${head}.${body}.${half}`],
    ["signature empty", `${head}.${body}.`],
    ["signature of ones", `${head}.${body}.${ones}`],
    [
      "ES256 with zeros (CVE-2022-21449)",
      `${encode({ ...header, alg: "ES256" })}.${body}.${zeros}`,
    ],
    ["signature of another token", `${head}.${encode({ ...claims, role: "admin" })}.${signature}`],
    ["another EdDSA key, our kid", strange({ ...header, alg: "EdDSA" }, claims, ed25519)],
    ["another ES256 key, our kid", strange({ ...header, alg: "ES256" }, claims, es256)],
    ["another RS256 key, our kid", strange({ ...header, alg: "RS256" }, claims, rsa)],
    ["another algorithm's name, real signature", await renamed(context, parts)],
  ];
}

function renamed(context: SignerContext, { header, claims }: Parts): Promise<string> {
  const alg = context.algorithm === "EdDSA" ? "ES256" : "EdDSA";
  return signWith(context, { ...header, alg }, claims);
}

async function lyingHeaders(context: SignerContext, parts: Parts): Promise<Named[]> {
  const { header, claims } = parts;
  const own = generateKeyPairSync("ed25519");
  const jwk = { ...own.publicKey.export({ format: "jwk" }), alg: "EdDSA" };
  const kid = createHash("sha256").update(JSON.stringify(jwk)).digest("base64url");
  const mine = (extra: Claims) =>
    strange({ ...header, alg: "EdDSA", ...extra }, claims, own.privateKey);
  const real = (extra: Claims) => signWith(context, { ...header, ...extra }, claims);
  const { typ: _typ, ...untyped } = header;
  const { kid: _kid, ...unnamed } = header;
  return [
    ["kid unknown", mine({ kid })],
    ["kid of a path", mine({ kid: "../../../../dev/null" })],
    ["kid of SQL", mine({ kid: "' union select '{}' -- " })],
    ["kid a number", await real({ kid: 1 })],
    ["kid missing", await signWith(context, unnamed, claims)],
    ["kid of Object.prototype", mine({ kid: "__proto__" })],
    ["jwk embedded (CVE-2018-0114)", mine({ jwk })],
    ["jwk embedded, real signature", await real({ jwk })],
    ["jku to a stranger's keys", mine({ jku: "https://attacker.example/jwks.json", kid })],
    ["jku, real signature", await real({ jku: "http://127.0.0.1:1/jwks.json" })],
    ["x5u to a stranger's certificate", mine({ x5u: "https://attacker.example/cert.pem" })],
    ["x5c of a stranger", mine({ x5c: ["MIIB"] })],
    ["crit of an extension", await real({ crit: ["exp"], exp: 1 })],
    ["crit empty", await real({ crit: [] })],
    ["b64 false", await real({ b64: false, crit: ["b64"] })],
    ["zip", await real({ zip: "DEF" })],
    ["typ JWT", await real({ typ: "JWT" })],
    ["typ missing", await signWith(context, untyped, claims)],
    ["typ of another kind of token", await real({ typ: "logout+jwt" })],
    ["cty of a nested token", await real({ cty: "JWT" })],
  ];
}

async function lyingClaims(context: SignerContext, parts: Parts): Promise<Named[]> {
  const { header, claims } = parts;
  const now = Math.floor(context.nowMs / 1000);
  const say = (change: Claims) => signWith(context, header, { ...claims, ...change });
  const without = (name: string) => {
    const { [name]: _, ...rest } = claims;
    return signWith(context, header, rest);
  };
  const missing: Named[] = [];
  for (const name of ["iss", "aud", "sub", "tid", "role", "sid", "jti", "iat", "exp"]) {
    missing.push([`${name} missing`, await without(name)]);
  }
  const { deactivated } = context;
  const gone = deactivated && { sub: deactivated.userId, sid: deactivated.sessionId };
  return [
    ...missing,
    ["expired", await say({ iat: now - 1_000, exp: now - 100 })],
    ["expired long ago", await say({ iat: 1, exp: 901 })],
    ["exp a text", await say({ exp: String(now + 900) })],
    ["exp infinite", await say({ exp: 1e308 })],
    ["exp too far", await say({ exp: now + 86_400 })],
    ["exp negative", await say({ exp: -1 })],
    ["nbf in the future", await say({ nbf: now + 600 })],
    ["iat in the future", await say({ iat: now + 600, exp: now + 1_200 })],
    ["iss of another server", await say({ iss: "https://attacker.example" })],
    ["iss with a slash more", await say({ iss: `${claims.iss}/` })],
    ["aud of another service", await say({ aud: "another" })],
    ["aud a list with ours in it", await say({ aud: [claims.aud, "another"] })],
    ["sub of nobody", await say({ sub: "00000000-0000-7000-8000-000000000000" })],
    ["sub no id", await say({ sub: "admin' --" })],
    ["sub an object", await say({ sub: { id: claims.sub } })],
    ["tid of a tenant that the user is not in", await say({ tid: context.foreignTenantId })],
    ["tid of nothing", await say({ tid: "00000000-0000-7000-8000-000000000000" })],
    ["tid no id", await say({ tid: "*" })],
    ["sid of nothing", await say({ sid: "00000000-0000-7000-8000-000000000000" })],
    ["role an object", await say({ role: { admin: true } })],
    ...(gone ? [["of a deactivated user", await say(gone)] as Named] : []),
    ...(gone
      ? [["user of one session, id of another", await say({ sid: gone.sid })] as Named]
      : []),
  ];
}

function malformed(context: SignerContext, parts: Parts): Named[] {
  const { head, body, signature } = parts;
  const { token } = context;
  const turned = `${head}.${body}`;
  return [
    ["one part", head],
    ["two parts", turned],
    ["four parts", `${token}.${signature}`],
    ["a dot at the end", `${token}.`],
    ["a dot at the start", `.${token}`],
    ["two dots alone", ".."],
    ["parts in another order", `${body}.${head}.${signature}`],
    ["cut short", token.slice(0, -10)],
    ["padding at the end", `${token}==`],
    ["plain base64 instead of base64url", `${turned}.${signature.slice(0, -2)}+/`],
    ["no base64 in the header", `!!!.${body}.${signature}`],
    ["no JSON in the header", `${encode("{")}.${body}.${signature}`],
    ["header null", `${encode("null")}.${body}.${signature}`],
    ["header a list", `${encode("[]")}.${body}.${signature}`],
    ["unused bits set", `${turned}.${unusedBits(signature)}`],
    ["a line break inside", `${head}.\n${body}.${signature}`],
    ["a tab inside", `${head}\t.${body}.${signature}`],
    ["letters of another script", token.replace("e", "е")],
    ["a null byte", `${token}\u0000`],
    ["oversized", `${head}.${encode({ ...parts.claims, x: "x".repeat(20_000) })}.${signature}`],
  ];
}

/** The same bytes in another text: the last character's unused bits are not zero. */
function unusedBits(signature: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(signature.at(-1) ?? "A");
  return signature.slice(0, -1) + alphabet[last + 1];
}

async function otherThings(context: SignerContext, parts: Parts): Promise<Named[]> {
  const { head, body, signature, header, claims } = parts;
  const text = JSON.stringify(claims);
  const raw = (payload: string) => signRaw(context, head, encode(payload));
  const secret = createHash("sha256").update(context.kid).digest();
  const jwe = await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: context.kid })
    .encrypt(secret);
  const { retired } = context;
  const old =
    retired &&
    (await new SignJWT(claims)
      .setProtectedHeader({ alg: retired.algorithm, kid: retired.kid, typ: "at+jwt" })
      .sign(retired.key));
  const swapped = `${text.slice(0, -1)},"role":"admin"}`;
  const spacedHead = Buffer.from(` ${JSON.stringify(header)}`).toString("base64url");
  return [
    ["a claim twice", await raw(swapped)],
    ["spaces in the claims", await raw(JSON.stringify(claims, null, 1))],
    ["spaces in the header", await signRaw(context, spacedHead, body)],
    ["claims no JSON", await raw("not json")],
    ["claims a list", await raw(`[${text}]`)],
    ["claims null", await raw("null")],
    ["a token inside a token", await raw(JSON.stringify(context.token))],
    ["an encrypted token (JWE)", jwe],
    ["JSON serialisation", JSON.stringify({ payload: body, protected: head, signature })],
    ["a refresh token", context.refreshToken],
    ["an API key", context.apiKey],
    ["the key id", context.kid],
    ["true", "true"],
    ...(old ? [["of a retired key", old] as Named] : []),
  ];
}
