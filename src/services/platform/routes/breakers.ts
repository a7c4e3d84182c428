import { auditPlatform } from "#kernel/audit/platform.ts";
import type { BreakerRow } from "#kernel/breaker-store.ts";
import { isoNow } from "#kernel/clock.ts";
import type { Transaction } from "#kernel/db/types.ts";
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
  "States and counts are those of the process that answers, which `instance` names; each has its " +
  "own. What is held open is so in all of them.";
const everywhere =
  "Holds in every process: in the one that answers at once, in the others within 5 s.";

/** One of a group, by its address: asked for by tenants, and perhaps in another process only. */
const grouped = /^([a-z][a-z ]{0,60}) [a-z]+:\/\/\S{1,300}( [0-9a-f-]{36})?$/;

/** A breaker that this process has not; what holds of it is what the row says. */
function elsewhere(name: string, row: BreakerRow | null): BreakerStatus {
  const none = { active: 0, waiting: 0, successes: 0, failures: 0, rejected: 0 };
  const group = grouped.exec(name)?.[1] ?? null;
  const state = row?.isHeld ? "ISOLATED" : "CLOSED";
  return { name, group, state, ...none, changedAt: row?.updatedAt ?? null };
}

const breakerOf = (policies: Policies, name: string): BreakerStatus | undefined =>
  policies.list().find((one) => one.name === name);

/** Throws where no process has such a breaker, as far as this one can know. */
async function found(
  tx: Transaction,
  { policies, breakerBoard }: Pick<PlatformDeps, "policies" | "breakerBoard">,
  name: string,
): Promise<BreakerStatus> {
  if (policies.hasBreaker(name)) return breakerOf(policies, name) as BreakerStatus;
  const row = await breakerBoard.find(tx, name);
  if (row || grouped.test(name)) return elsewhere(name, row);
  throw requestErrors.not_found({ detail: `There is no breaker of a dependency "${name}".` });
}

/** Breakers of dependencies: what they do, and an operator's hand on them. */
export const breakerRoutes: Routes<PlatformDeps> = (app, deps) => {
  readBreakers(app, deps);
  changeBreakers(app, deps);
};

const readBreakers: Routes<PlatformDeps> = (app, deps) => {
  const { db, instance, policies, breakerBoard } = deps;
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
    async ({ query }) => {
      const here = policies.list();
      const names = new Set(here.map(({ name }) => name));
      const held = await db.inPlatform((tx) => breakerBoard.held(tx));
      const others = held.filter(({ name }) => !names.has(name));
      const all = [...here, ...others.map((row) => elsewhere(row.name, row))];
      all.sort((a, b) => (a.name < b.name ? -1 : 1));
      return { instance, ...pageOfAll(all, query, { key: ({ name }) => name }) };
    },
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
      const isHere = past.items.length > 0 || breakerOf(policies, name) !== undefined;
      if (!isHere) await db.inPlatform((tx) => found(tx, deps, name));
      return past;
    },
  );
};

const changeBreakers: Routes<PlatformDeps> = (app, deps) => {
  const { instance, clock, breakerBoard, mutate } = deps;
  for (const [verb, state, summary] of [
    ["isolate", "ISOLATED", "Hold a breaker open until it is reset"],
    ["reset", "CLOSED", "Close a breaker and forget its failures"],
  ] as const) {
    app.post(
      `/admin/breakers/:name/${verb}`,
      {
        schema: {
          summary,
          description: everywhere,
          tags,
          params: ByBreaker,
          response: { 200: Breaker },
        },
        config: { permission: "breaker:update" },
      },
      (request, reply) =>
        mutate(request, reply, 200, async (tx) => {
          const { name } = request.params;
          const before = await found(tx, deps, name);
          await breakerBoard[verb](tx, name);
          const after = { ...before, state, changedAt: isoNow(clock), instance };
          const resource = { type: "breaker", id: name };
          auditPlatform(tx, { action: `breaker.${verb}`, resource, before, after });
          return after;
        }),
    );
  }
};
