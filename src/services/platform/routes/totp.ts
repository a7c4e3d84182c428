import { NoContent } from "#kernel/http/schemas.ts";
import { assertPerson } from "#kernel/identity/accounts.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import {
  confirmTotp,
  countGuess,
  disableTotp,
  enrollTotp,
} from "#kernel/identity/second-factor.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { RecoveryCodes, TotpConfirmation, TotpEnrollment, TotpRemoval } from "../schemas/totp.ts";
import { clientOf } from "./auth.ts";

const tags = ["authentication"];

/** One's own second factor. */
export const totpRoutes: Routes<PlatformDeps> = (app, deps) => {
  setUpRoutes(app, deps);
  removeRoute(app, deps);
};

const setUpRoutes: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/auth/totp/enroll",
    {
      schema: {
        summary: "Begin to set up a second factor",
        tags,
        response: { 200: TotpEnrollment },
      },
      config: {
        permission: "account:use",
        secretAnswer: true,
        errors: [identityErrors.totp_enabled, identityErrors.users_only],
      },
    },
    (request, reply) => {
      const { userId } = assertPerson(request.principal);
      return deps.mutate(request, reply, 200, (tx) => enrollTotp(tx, deps, { userId }));
    },
  );

  app.post(
    "/auth/totp/confirm",
    {
      schema: {
        summary: "Turn the second factor on with a first code",
        tags,
        body: TotpConfirmation,
        response: { 200: RecoveryCodes },
      },
      config: {
        permission: "account:use",
        secretAnswer: true,
        errors: [
          identityErrors.totp_enabled,
          identityErrors.totp_not_enrolled,
          identityErrors.wrong_code,
          identityErrors.too_many_attempts,
          identityErrors.users_only,
        ],
      },
    },
    (request, reply) => {
      const { principal, body } = request;
      const { userId } = assertPerson(principal);
      const { code } = body;
      return countGuess(deps, { principal, client: clientOf(request) }, (attempt) =>
        deps.mutate(request, reply, 200, (tx) => confirmTotp(tx, deps, { userId, code, attempt })),
      );
    },
  );
};

const removeRoute: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/auth/totp/disable",
    {
      schema: {
        summary: "Turn the second factor off, with the password or a code",
        tags,
        body: TotpRemoval,
        response: { 204: NoContent },
      },
      config: {
        permission: "account:use",
        rateLimit: "auth",
        errors: [
          identityErrors.totp_not_enrolled,
          identityErrors.wrong_code,
          identityErrors.wrong_password,
          identityErrors.too_many_attempts,
          identityErrors.busy,
          identityErrors.users_only,
        ],
      },
    },
    async (request, reply) => {
      const { principal } = request;
      assertPerson(principal);
      await disableTotp(deps, { principal, client: clientOf(request), ...request.body });
      return reply.code(204).send(null);
    },
  );
};
