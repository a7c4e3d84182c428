import type { FastifyReply, FastifyRequest } from "fastify";
import { Problem } from "#kernel/errors.ts";
import { type CookieKind, clearCookie, readCookie, setCookie } from "#kernel/http/cookies.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import { createOidc, type Oidc } from "#kernel/identity/oidc.ts";
import { signInWithSso } from "#kernel/identity/sso.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { Redirect, SsoCallback, SsoStart } from "../schemas/oidc.ts";
import { clientOf, refreshCookie } from "./auth.ts";

/** Holds what single sign-on has to remember while the browser is at the provider. */
const ssoCookie: CookieKind = {
  name: "plimsoll_sso",
  path: "/api/v1/auth/oidc",
  sameSite: "Lax",
};

const tags = ["authentication"];
const callbackPath = "/api/v1/auth/oidc/callback";
const signInPage = "/sign-in";

/** Single sign-on for browsers: there to the provider, and back with a session in a cookie. */
export const oidcRoutes: Routes<PlatformDeps> = (app, deps) => {
  const { config } = deps;
  const oidc = connect(deps);

  app.get(
    "/auth/oidc/start",
    {
      schema: {
        summary: "Begin single sign-on",
        tags,
        querystring: SsoStart,
        response: { 302: Redirect },
      },
      config: {
        public: true,
        rateLimit: "auth",
        errors: [identityErrors.sso_off, identityErrors.sso_unavailable],
      },
    },
    (request, reply) =>
      orSignInPage(request, reply, async () => {
        if (!oidc) throw identityErrors.sso_off();
        const start = await oidc.start(request.query.returnTo ?? "/");
        const value = { value: start.cookie, maxAgeSeconds: start.cookieMaxAgeSeconds };
        setCookie(reply, config, ssoCookie, value);
        reply.redirect(start.url, 302);
      }),
  );

  app.get(
    "/auth/oidc/callback",
    {
      schema: {
        summary: "Finish single sign-on",
        tags,
        querystring: SsoCallback,
        response: { 302: Redirect },
      },
      config: {
        public: true,
        rateLimit: "auth",
        errors: [
          identityErrors.sso_off,
          identityErrors.sso_failed,
          identityErrors.sso_email_taken,
          identityErrors.invalid_email,
          identityErrors.no_tenant,
          identityErrors.sso_unavailable,
        ],
      },
    },
    (request, reply) =>
      orSignInPage(request, reply, async () => {
        if (!oidc) throw identityErrors.sso_off();
        const [, query = ""] = (request.raw.url ?? "").split("?", 2);
        const cookie = readCookie(request, ssoCookie) ?? "";
        const { claims, returnTo } = await oidc.finish({ query, cookie });
        const signedIn = await signInWithSso(deps, { claims, client: clientOf(request) });
        clearCookie(reply, config, ssoCookie);
        setCookie(reply, config, refreshCookie, {
          value: signedIn.refreshToken,
          maxAgeSeconds: signedIn.refreshExpiresInSeconds,
        });
        reply.redirect(returnTo, 302);
      }),
  );
};

function connect(deps: PlatformDeps): Oidc | null {
  const { config } = deps;
  if (!config.oidc) return null;
  const redirectUri = new URL(callbackPath, config.publicUrl).href;
  return createOidc({ ...deps, config: config.oidc, redirectUri });
}

/** A browser is led back to the console with the error's code; a program gets the problem. */
async function orSignInPage(
  request: FastifyRequest,
  reply: FastifyReply,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isBrowser = request.headers.accept?.includes("text/html");
    if (!isBrowser || !(error instanceof Problem)) throw error;
    request.log.warn({ err: error }, "single sign-on did not succeed");
    reply.redirect(`${signInPage}?error=${error.code}`, 302);
  }
}
