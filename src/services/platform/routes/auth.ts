import type { FastifyReply, FastifyRequest } from "fastify";
import { requestErrors } from "#kernel/errors.ts";
import { type CookieKind, clearCookie, readCookie, setCookie } from "#kernel/http/cookies.ts";
import { idempotencyKeyOf } from "#kernel/http/mutation.ts";
import { credentialErrors } from "#kernel/http/openapi.ts";
import { NoContent } from "#kernel/http/schemas.ts";
import type { MutatingRequest } from "#kernel/http/types.ts";
import { assertPerson, changePassword, login } from "#kernel/identity/accounts.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import type { Repeat } from "#kernel/identity/kept-answers.ts";
import { readMe } from "#kernel/identity/people.ts";
import { register } from "#kernel/identity/registration.ts";
import { endSession, logout, refreshSession, switchTenant } from "#kernel/identity/sessions.ts";
import type { Client, SignedIn as SignedInAnswer } from "#kernel/identity/types.ts";
import { userView } from "#kernel/identity/user-store.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { tenancyErrors } from "#kernel/tenancy/errors.ts";
import {
  Credentials,
  Me,
  PasswordChange,
  Refresh,
  Registration,
  SignedIn,
  SignInMethods,
  TenantSwitch,
} from "../schemas/auth.ts";

const tags = ["authentication"];

/** Holds the console's refresh token. */
export const refreshCookie: CookieKind = {
  name: "plimsoll_refresh",
  path: "/api/v1/auth",
  sameSite: "Strict",
};

const throttled = [identityErrors.too_many_attempts, identityErrors.busy];

/** Where a request comes from, for sessions and the audit. */
export function clientOf(request: FastifyRequest): Client {
  const { ip: address, headers, id: requestId } = request;
  return { address, userAgent: headers["user-agent"] ?? "", requestId };
}

/** What makes a request the same one when it is sent again; null without an Idempotency-Key. */
export function repeatOf(request: MutatingRequest, body: unknown): Repeat | null {
  const key = idempotencyKeyOf(request);
  const { method, url } = request.raw;
  return key === null ? null : { key, request: JSON.stringify([method, url, body]) };
}

/** Registering, signing in and out, and one's own account. */
export const authRoutes: Routes<PlatformDeps> = (app, deps) => {
  signInRoutes(app, deps);
  refreshRoute(app, deps);
  logoutRoute(app, deps);
  switchTenantRoute(app, deps);
  accountRoutes(app, deps);
};

/** What signing in answers; with a cookie, the refresh token is in it and not in the answer. */
export function answerOf(
  reply: FastifyReply,
  deps: Pick<PlatformDeps, "config">,
  signedIn: SignedInAnswer,
  cookie: boolean,
) {
  const { refreshToken, refreshExpiresInSeconds, ...rest } = signedIn;
  if (!cookie) return { ...rest, refreshToken };
  const value = { value: refreshToken, maxAgeSeconds: refreshExpiresInSeconds };
  setCookie(reply, deps.config, refreshCookie, value);
  return rest;
}

const signInRoutes: Routes<PlatformDeps> = (app, deps) => {
  app.get(
    "/auth/methods",
    {
      schema: { summary: "See how one can sign in", tags, response: { 200: SignInMethods } },
      config: { public: true },
    },
    async () => ({ password: true, registration: true, sso: deps.config.oidc !== undefined }),
  );
  registerRoute(app, deps);
  loginRoute(app, deps);
};

const registerRoute: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/auth/register",
    {
      schema: {
        summary: "Make an account, with a new tenant or by an invitation",
        tags,
        body: Registration,
        response: { 201: SignedIn },
      },
      config: {
        public: true,
        idempotent: true,
        rateLimit: "auth",
        errors: [
          identityErrors.email_taken,
          identityErrors.weak_password,
          identityErrors.invalid_email,
          identityErrors.invalid_invitation,
          tenancyErrors.slug_taken,
          tenancyErrors.reserved_slug,
          tenancyErrors.invalid_slug,
          ...throttled,
        ],
      },
    },
    async (request, reply) => {
      const { cookie = false, ...registration } = request.body;
      const { password: _, ...same } = request.body;
      if ((registration.tenant === undefined) === (registration.invitation === undefined)) {
        const errors = [{ path: "", message: "needs either a tenant or an invitation" }];
        throw requestErrors.invalid({ errors });
      }
      const repeat = repeatOf(request, same);
      const input = { registration, client: clientOf(request), repeat };
      const { answer, replayed } = await register(deps, input);
      if (replayed) reply.header("idempotent-replayed", "true");
      return answerOf(reply.code(201), deps, answer, cookie);
    },
  );
};

const loginRoute: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/auth/login",
    {
      schema: { summary: "Sign in", tags, body: Credentials, response: { 200: SignedIn } },
      config: {
        public: true,
        rateLimit: "auth",
        errors: [
          identityErrors.invalid_credentials,
          identityErrors.totp_required,
          identityErrors.totp_invalid,
          identityErrors.no_tenant,
          identityErrors.invalid_invitation,
          identityErrors.already_member,
          ...throttled,
        ],
      },
    },
    async (request, reply) => {
      const { cookie = false, ...credentials } = request.body;
      const signedIn = await login(deps, { credentials, client: clientOf(request) });
      return answerOf(reply, deps, signedIn, cookie);
    },
  );
};

const refreshRoute: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/auth/refresh",
    {
      schema: {
        summary: "Exchange a refresh token for new tokens",
        tags,
        body: Refresh,
        response: { 200: SignedIn },
      },
      config: { public: true, rateLimit: "auth", errors: [identityErrors.invalid_refresh_token] },
    },
    async (request, reply) => {
      const given = request.body?.refreshToken;
      const kept = given === undefined ? readCookie(request, refreshCookie) : null;
      const refreshToken = given ?? kept ?? "";
      try {
        const signedIn = await refreshSession(deps, { refreshToken, client: clientOf(request) });
        return answerOf(reply, deps, signedIn, kept !== null);
      } catch (error) {
        if (kept !== null) clearCookie(reply, deps.config, refreshCookie);
        throw error;
      }
    },
  );
};

const logoutRoute: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/auth/logout",
    {
      schema: {
        summary: "Sign out, with a refresh token, its cookie, or an access token",
        tags,
        body: Refresh,
        response: { 204: NoContent },
      },
      config: {
        public: true,
        rateLimit: "auth",
        errors: [...credentialErrors, identityErrors.users_only],
      },
    },
    async (request, reply) => {
      const client = clientOf(request);
      const refreshToken = request.body?.refreshToken ?? readCookie(request, refreshCookie);
      if (refreshToken !== null) {
        await logout(deps, { refreshToken, client });
      } else if (request.headers.authorization !== undefined) {
        const principal = await deps.authenticator.authenticate(request.raw.headers);
        if (!principal) throw identityErrors.unauthenticated();
        const which = { ...assertPerson(principal), because: "logout" as const };
        const on = { actor: principal.actor, requestId: request.id };
        await deps.db.inTenant(principal.tenant, (tx) => endSession(tx, deps, which), on);
      }
      clearCookie(reply, deps.config, refreshCookie);
      return reply.code(204).send(null);
    },
  );
};

const switchTenantRoute: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/auth/switch-tenant",
    {
      schema: {
        summary: "Go on in another tenant",
        tags,
        body: TenantSwitch,
        response: { 200: SignedIn },
      },
      config: {
        permission: "account:use",
        rateLimit: "auth",
        errors: [
          identityErrors.no_tenant,
          identityErrors.invalid_refresh_token,
          identityErrors.users_only,
        ],
      },
    },
    async (request, reply) => {
      const { tenant, cookie = false } = request.body;
      const who = assertPerson(request.principal);
      const signedIn = await switchTenant(deps, { ...who, tenant, client: clientOf(request) });
      return answerOf(reply, deps, signedIn, cookie);
    },
  );
};

const accountRoutes: Routes<PlatformDeps> = (app, deps) => {
  app.get(
    "/auth/me",
    {
      schema: { summary: "See who one is, and where", tags, response: { 200: Me } },
      config: { permission: "account:use", errors: [identityErrors.users_only] },
    },
    async ({ principal }) => {
      const { userId, sessionId } = assertPerson(principal);
      const me = await deps.db.inTenant(principal.tenant, (tx) => readMe(tx, userId));
      if (!me) throw identityErrors.users_only();
      return {
        user: userView(me.user),
        tenant: me.tenant,
        role: principal.role,
        permissions: deps.roles.format(principal.permissions),
        sessionId,
      };
    },
  );

  app.post(
    "/auth/change-password",
    {
      schema: {
        summary: "Change one's password, which ends one's other sessions",
        tags,
        body: PasswordChange,
        response: { 204: NoContent },
      },
      config: {
        permission: "account:use",
        rateLimit: "auth",
        errors: [
          identityErrors.wrong_password,
          identityErrors.same_password,
          identityErrors.weak_password,
          identityErrors.users_only,
          ...throttled,
        ],
      },
    },
    async (request, reply) => {
      const { principal, body } = request;
      await changePassword(deps, { principal, client: clientOf(request), ...body });
      return reply.code(204).send(null);
    },
  );
};
