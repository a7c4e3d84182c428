import { auditPlatform } from "#kernel/audit/platform.ts";
import { requestErrors } from "#kernel/errors.ts";
import { pageOfAll } from "#kernel/http/cursor.ts";
import { historySchema, pastOf } from "#kernel/http/history.ts";
import { ShortListQuery } from "#kernel/http/schemas.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Policies } from "#kernel/resilience/policies.ts";
import type { BreakerStatus } from "#kernel/resilience/policy-types.ts";
import type { Routes } from "#kernel/service.ts";
import { thePlatform } from "#kernel/tenancy/types.ts";
import { Breaker, Breakers, ByBreaker } from "../schemas/breakers.ts";

const tags = ["administration"];
const perProcess =
  "Breakers are those of the process that answers, which `instance` names; each has its own.";

function found(policies: Policies, name: string): BreakerStatus {
  const breaker = policies.list().find((one) => one.name === name);
  if (!breaker) {
    throw requestErrors.not_found({ detail: `This process knows no dependency "${name}".` });
  }
  return breaker;
}

/** Breakers of dependencies: what they do, and an operator's hand on them. */
export const breakerRoutes: Routes<PlatformDeps> = (app, deps) => {
  const { db, instance, policies, mutate } = deps;
  app.get(
    "/admin/breakers",
    {
      schema: {
        summary: "List circuit breakers",
        description: perProcess,
        tags,
        querystring: ShortListQuery,
        response: { 200: Breakers },
      },
      config: { permission: "breaker:read" },
    },
    async ({ query }) => ({
      instance,
      ...pageOfAll(policies.list(), query, { key: ({ name }) => name }),
    }),
  );

  app.get(
    "/admin/breakers/:name/history",
    {
      schema: {
        ...historySchema("breaker"),
        description: "What operators did, in whichever process; what breakers do is logged.",
        tags,
        params: ByBreaker,
      },
      config: { permission: "breaker:read" },
    },
    async ({ params: { name }, query }) => {
      const past = await pastOf(db, thePlatform, "breaker", name, query);
      if (past.items.length === 0) found(policies, name);
      return past;
    },
  );

  for (const [verb, summary] of [
    ["isolate", "Hold a breaker open until it is reset"],
    ["reset", "Close a breaker and forget its failures"],
  ] as const) {
    app.post(
      `/admin/breakers/:name/${verb}`,
      {
        schema: {
          summary,
          description: perProcess,
          tags,
          params: ByBreaker,
          response: { 200: Breaker },
        },
        config: { permission: "breaker:update" },
      },
      (request, reply) =>
        mutate(request, reply, 200, async (tx) => {
          const { name } = request.params;
          const before = found(policies, name);
          // A policy without a breaker has nothing to hold open.
          if (!policies[verb](name)) throw requestErrors.not_found();
          const after = { ...found(policies, name), instance };
          const resource = { type: "breaker", id: name };
          auditPlatform(tx, { action: `breaker.${verb}`, resource, before, after });
          return after;
        }),
    );
  }
};
