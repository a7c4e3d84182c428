import type {
  FastifyReply,
  FastifyRequest,
  HookHandlerDoneFunction,
  onRequestHookHandler,
  RouteOptions,
} from "fastify";
import { accessErrors } from "../access/errors.ts";
import type { PermissionCatalogue } from "../access/permissions.ts";
import { Problem, requestErrors } from "../errors.ts";
import { identityErrors } from "../identity/errors.ts";
import type { Principal } from "../identity/types.ts";
import type { Decide, Limiter } from "./limiter.ts";
import { problemOf, sendProblem } from "./problem.ts";
import { bindLog } from "./request-log.ts";
import type { Authenticate, RouteConfig } from "./types.ts";

export interface AccessOptions {
  /** Finds out who makes a request. */
  callerOf: (request: FastifyRequest) => ReturnType<Authenticate>;
  limiter: Limiter;
}

/**
 * Decides who may use a route, before anything of the body is read: strangers learn nothing and
 * cost little. Throws at boot on a route that doesn't say who may.
 *
 * 401 without good credentials, 429 beyond the tenant's rate, 403 without the permission, whatever
 * the path's id: what a caller may not see at all is answered the same, be it there or not. What
 * its permission covers but a row's owner or tenant hides is the store's null, and so a 404.
 */
export function guardRoute(route: RouteOptions, options: AccessOptions): void {
  const config = (route.config ?? {}) as RouteConfig;
  const { permission, ifMatch, ifNoneMatch } = config;
  const guard = permission
    ? requirePermission(permission, options)
    : openToAll(config, options.limiter);
  const hooks = [guard, ...(ifMatch && !ifNoneMatch ? [requireVersion] : [])];
  route.onRequest = [...hooks, ...[route.onRequest ?? []].flat()];
  if (config.rateLimit === "refusals") route.errorHandler = countRefusals(options.limiter);
}

/** Who can't prove who they are is a stranger, and limited like one, whatever they sent. */
function countRefusals(limiter: Limiter): NonNullable<RouteOptions["errorHandler"]> {
  return (error, request, reply) => {
    if (problemOf(error).status >= 500) sendProblem(error, request, reply);
    else {
      limiter.anonymous(request, reply, (refusal) => {
        sendProblem(refusal ?? error, request, reply);
      });
    }
  };
}

/** What a route must say to be served at all; the complaint, or null. */
export function faultOfRoute(route: RouteOptions, permissions: PermissionCatalogue): string | null {
  const config = (route.config ?? {}) as RouteConfig;
  const { permission, public: isPublic, hidden, idempotent, websocket } = config;
  if (permission === undefined && !isPublic) return "has neither a permission nor public: true";
  if (permission !== undefined && isPublic) return "has a permission and is public";
  if (permission !== undefined && !Object.hasOwn(permissions, permission)) {
    return `has the permission "${permission}", which no service declares`;
  }
  if (idempotent && route.method !== "POST") return "is idempotent but not a POST";
  if (websocket && !["GET", "HEAD"].includes(String(route.method))) {
    return "is a WebSocket but not a GET";
  }
  if (websocket && permission === undefined) return "is a WebSocket without a permission";
  if (hidden) return null;
  if (!route.schema?.summary) return "has no schema.summary";
  const answers = Object.keys(route.schema.response ?? {});
  if (!answers.some((status) => /^[123]/.test(status))) return "has no schema.response";
  return null;
}

function openToAll(config: RouteConfig, limiter: Limiter): onRequestHookHandler {
  const { rateLimit } = config;
  if (rateLimit === "none" || rateLimit === "refusals") return (_request, _reply, done) => done();
  return (request, reply, done) => limiter.anonymous(request, reply, done as unknown as Decide);
}

function requirePermission(permission: string, options: AccessOptions): onRequestHookHandler {
  const { callerOf, limiter } = options;

  function admit(
    caller: Principal,
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void {
    const { actor, tenant } = caller;
    request.principal = caller;
    request.tenant = tenant;
    request.actor = actor;
    bindLog(request.log, { tenant: tenant.id, user: actor.userId ?? actor.id });
    limiter.caller(caller, reply, (refusal) => {
      if (refusal) return done(refusal);
      const scope = caller.permissions.get(permission);
      if (scope === undefined) return done(forbidden(permission));
      request.scope = scope;
      done();
    });
  }

  /** Who guesses credentials is a stranger, and limited like one; an outage is nobody's guess. */
  function refuse(
    problem: unknown,
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void {
    if (!(problem instanceof Problem) || problem.status >= 500) return done(problem as Error);
    limiter.anonymous(request, reply, (refusal) => done(refusal ?? problem));
  }

  return (request, reply, done) =>
    identify(callerOf, request, (caller, problem) => {
      if (caller) admit(caller, request, reply, done);
      else refuse(problem ?? unauthenticated(), request, reply, done);
    });
}

/** Finds out who asks, at once where memory tells; null for nobody, or with what was refused. */
function identify(
  callerOf: AccessOptions["callerOf"],
  request: FastifyRequest,
  done: (caller: Principal | null, problem?: unknown) => void,
): void {
  let found: ReturnType<Authenticate>;
  try {
    found = callerOf(request);
  } catch (problem) {
    return done(null, problem);
  }
  if (found instanceof Promise) found.then(done, (problem) => done(null, problem));
  else done(found);
}

/**
 * Counts a request that no route is for: against its caller where it says who that is, else, and
 * where nobody can find out, against its address.
 */
export function countUnmatched(
  { callerOf, limiter }: AccessOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  decide: Decide,
): void {
  identify(callerOf, request, (caller) => {
    if (!caller) return limiter.anonymous(request, reply, decide);
    bindLog(request.log, {
      tenant: caller.tenant.id,
      user: caller.actor.userId ?? caller.actor.id,
    });
    limiter.caller(caller, reply, decide);
  });
}

function unauthenticated(): Error {
  return identityErrors.unauthenticated({
    detail: "Send an access token as a bearer token, or an API key as X-API-Key.",
  });
}

function forbidden(permission: string): Error {
  return accessErrors.forbidden({ detail: `This needs the permission "${permission}".` });
}

const requireVersion: onRequestHookHandler = (request, _reply, done) => {
  if (request.headers["if-match"] !== undefined) return done();
  done(
    requestErrors.version_required({
      detail:
        "Send the resource's ETag as If-Match, so that nobody's change is overwritten unseen.",
    }),
  );
};
