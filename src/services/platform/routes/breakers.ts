import { audit } from "#kernel/audit/audit.ts";
import { requestErrors } from "#kernel/errors.ts";
import type { BreakerStatus, Policies } from "#kernel/resilience/policies.ts";
import type { Routes } from "#kernel/service.ts";
import { Breaker, Breakers, ByBreaker } from "../schemas/breakers.ts";

const tags = ["administration"];
const perProcess = "Breakers are those of the process that answers; each replica has its own.";

function found(policies: Policies, name: string): BreakerStatus {
  const breaker = policies.list().find((one) => one.name === name);
  if (!breaker) throw requestErrors.not_found();
  return breaker;
}

/** Breakers of dependencies: what they do, and an operator's hand on them. */
export const breakerRoutes: Routes = (app, { policies, mutate }) => {
  app.get(
    "/admin/breakers",
    {
      schema: {
        summary: "List circuit breakers",
        description: perProcess,
        tags,
        response: { 200: Breakers },
      },
      config: { permission: "breaker:read" },
    },
    async () => ({ items: policies.list() }),
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
          const after = found(policies, name);
          const resource = { type: "breaker", id: name };
          audit(tx, { action: `breaker.${verb}`, resource, before, after });
          return after;
        }),
    );
  }
};
