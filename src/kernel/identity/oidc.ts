import type { Configuration } from "openid-client";
import type { Clock } from "../clock.ts";
import type { OidcConfig } from "../config.ts";
import { Problem } from "../errors.ts";
import type { Random } from "../random.ts";
import type { Policies } from "../resilience/policies.ts";
import type { Sealer } from "../secrets/seal.ts";
import { identityErrors } from "./errors.ts";

const stateTtlMs = 10 * 60_000;
const discoveryTtlMs = 60 * 60_000;
const httpTimeoutMs = 5_000;
const cookieAtMostCharacters = 2_000;
const sealContext = "sso-state";
const scope = "openid email profile";

export interface SsoStart {
  /** Where the browser goes. */
  url: string;
  /** For an HttpOnly, SameSite=Lax cookie: sealed, so the browser keeps it and can't read it. */
  cookie: string;
  cookieMaxAgeSeconds: number;
}

/** What the issuer says of a person, checked. */
export interface SsoClaims {
  issuer: string;
  subject: string;
  email: string | null;
  name: string | null;
  /** Slugs of tenants that claim or mapping name; the first one that exists counts. */
  tenantSlugs: string[];
}

/** Signs people in at another issuer: OpenID Connect's code flow with PKCE, state and nonce. */
export interface Oidc {
  /** `returnTo` is a path of this site; anything else becomes "/". */
  start(returnTo: string): Promise<SsoStart>;
  /**
   * Finishes what `start` began: `query` as the issuer sent it to the callback, `cookie` as the
   * browser kept it. Throws ERR_IDENTITY_SSO_FAILED for whatever does not fit together.
   */
  finish(callback: {
    query: string;
    cookie: string;
  }): Promise<{ claims: SsoClaims; returnTo: string }>;
}

export interface OidcDeps {
  config: OidcConfig;
  /** Where the issuer sends the browser back to: the public address of the callback route. */
  redirectUri: string;
  clock: Clock;
  random: Random;
  sealer: Sealer;
  policies: Pick<Policies, "for">;
}

interface State {
  state: string;
  nonce: string;
  verifier: string;
  returnTo: string;
  expiresAtMs: number;
}

/** Asks the issuer nothing before the first sign-in; remembers its metadata for an hour. */
export function createOidc(deps: OidcDeps): Oidc {
  const { config, redirectUri, clock, random, sealer } = deps;
  const policy = deps.policies.for("oidc", { timeoutMs: 2 * httpTimeoutMs });
  let discovered: { configuration: Promise<Configuration>; untilMs: number } | null = null;

  function discover(): Promise<Configuration> {
    const nowMs = clock.monotonicMs();
    if (discovered && nowMs < discovered.untilMs) return discovered.configuration;
    const configuration = discoverNow(config);
    discovered = { configuration, untilMs: nowMs + discoveryTtlMs };
    configuration.catch(() => {
      discovered = null;
    });
    return configuration;
  }

  const text = () => random.bytes(32).toString("base64url");

  return {
    async start(returnTo) {
      const client = await import("openid-client");
      const configuration = await ask(() => policy.execute(discover));
      const state: State = {
        state: text(),
        nonce: text(),
        verifier: text(),
        returnTo: localPath(returnTo),
        expiresAtMs: clock.nowMs() + stateTtlMs,
      };
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope,
        code_challenge: await client.calculatePKCECodeChallenge(state.verifier),
        code_challenge_method: "S256",
        state: state.state,
        nonce: state.nonce,
      });
      const sealed = sealer.seal(Buffer.from(JSON.stringify(state)), sealContext);
      return {
        url: url.href,
        cookie: sealed.toString("base64url"),
        cookieMaxAgeSeconds: stateTtlMs / 1000,
      };
    },

    async finish({ query, cookie }) {
      const state = openState(deps, cookie);
      const url = new URL(redirectUri);
      url.search = query;
      const raw = await ask(() =>
        policy.execute(async () => exchange(await discover(), url, state)),
      );
      return { claims: readClaims(raw, config), returnTo: state.returnTo };
    },
  };
}

async function discoverNow(config: OidcConfig): Promise<Configuration> {
  const client = await import("openid-client");
  const issuer = new URL(config.issuer);
  const insecure = issuer.protocol === "http:" && config.allowHttp;
  const authentication = config.clientSecret
    ? client.ClientSecretPost(config.clientSecret)
    : client.None();
  return client.discovery(issuer, config.clientId, undefined, authentication, {
    timeout: httpTimeoutMs / 1000,
    ...(insecure && { execute: [client.allowInsecureRequests] }),
  });
}

/** Code for tokens, then what the ID token and the user info say together. */
async function exchange(configuration: Configuration, url: URL, state: State) {
  const client = await import("openid-client");
  try {
    const tokens = await client.authorizationCodeGrant(configuration, url, {
      pkceCodeVerifier: state.verifier,
      expectedState: state.state,
      expectedNonce: state.nonce,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (!claims) throw identityErrors.sso_failed();
    if (!configuration.serverMetadata().userinfo_endpoint) return claims;
    const info = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
    return { ...info, ...claims };
  } catch (error) {
    const isRefusal =
      error instanceof client.AuthorizationResponseError ||
      (error instanceof client.ResponseBodyError && error.status < 500) ||
      (error instanceof client.ClientError && !outages.includes(error.code ?? ""));
    throw isRefusal ? identityErrors.sso_failed({ cause: error }) : error;
  }
}

const outages = ["OAUTH_TIMEOUT", "OAUTH_ABORT", "OAUTH_RESPONSE_IS_NOT_CONFORM"];

async function ask<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof Problem && error.code === identityErrors.sso_failed.code) throw error;
    throw identityErrors.sso_unavailable({ headers: { "retry-after": "5" }, cause: error });
  }
}

function openState({ sealer, clock }: OidcDeps, cookie: string): State {
  try {
    if (cookie.length > cookieAtMostCharacters) throw new Error("the cookie is too long");
    const text = sealer.open(Buffer.from(cookie, "base64url"), sealContext).toString();
    const state = JSON.parse(text) as State;
    if (clock.nowMs() >= state.expiresAtMs) throw new Error("the cookie has expired");
    return state;
  } catch (cause) {
    throw identityErrors.sso_failed({ cause });
  }
}

/** A path of this site and nothing that a browser would read as another site's. */
export function localPath(path: string): string {
  return /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}$/.test(path) ? path : "/";
}

function readClaims(raw: Record<string, unknown>, config: OidcConfig): SsoClaims {
  const text = (value: unknown) =>
    typeof value === "string" && value.trim() !== "" ? value.replace(/\p{C}/gu, " ").trim() : null;
  const { iss: issuer, sub: subject } = raw;
  if (typeof issuer !== "string" || typeof subject !== "string" || !subjectPattern.test(subject)) {
    throw identityErrors.sso_failed({ detail: "The provider gives no usable subject" });
  }
  return {
    issuer,
    subject,
    email: raw.email_verified === false ? null : text(raw.email),
    name: text(raw.name) ?? text(raw.preferred_username),
    tenantSlugs: tenantSlugsOf(raw, config),
  };
}

/** At most 255 ASCII characters, as OpenID Connect Core says of `sub`. */
const subjectPattern = /^[\x20-\x7e]{1,255}$/;

const claimValuesAtMost = 100;

/**
 * With a tenant claim its values, mapped where there is a mapping. Without one the mapping goes by
 * the domain of an e-mail address that the issuer has verified.
 */
function tenantSlugsOf(raw: Record<string, unknown>, config: OidcConfig): string[] {
  const { tenantClaim, tenantMapping } = config;
  const mapped = (value: string) =>
    Object.hasOwn(tenantMapping, value) ? [tenantMapping[value] as string] : [];
  if (tenantClaim !== undefined) {
    const isMapped = Object.keys(tenantMapping).length > 0;
    const values = [raw[tenantClaim]].flat().slice(0, claimValuesAtMost);
    return values
      .filter((value) => typeof value === "string")
      .flatMap((value) => (isMapped ? mapped(value) : [value]));
  }
  if (raw.email_verified !== true || typeof raw.email !== "string") return [];
  return mapped(raw.email.slice(raw.email.lastIndexOf("@") + 1).toLowerCase());
}
