import { requestErrors } from "#kernel/errors.ts";
import { createValidatorCompiler } from "#kernel/http/validation.ts";
import type { Routes } from "#kernel/service.ts";
import { applySyncItem, type SyncContext } from "../changes/sync.ts";
import { ordersErrors } from "../errors.ts";
import { workingOrder } from "../rules/sync.ts";
import { SyncAnswer, SyncBatch, type SyncResult, syncSchemas } from "../schemas/sync.ts";
import { callerOf } from "./caller.ts";

/** What a till that was offline brings in. */
export const syncRoutes: Routes = (app, { db, random, clock, log }) => {
  const validate = createValidate();

  app.post(
    "/orders/sync",
    {
      schema: {
        summary: "Bring in what a till did offline",
        description:
          "Each item is applied by itself, in the order shops, products, customers, orders, and " +
          "answered in the order of the batch. A batch, or any part of it, may be sent again in " +
          "any order: what was applied stays `unchanged`. It needs no Idempotency-Key.",
        body: SyncBatch,
        response: { 200: SyncAnswer },
      },
      config: {
        permission: "order:sync",
        errors: [ordersErrors.sync_unknown_key, ordersErrors.sync_bad_state],
      },
    },
    async (request) => {
      const { tenant, actor, body, id: requestId } = request;
      const context: SyncContext = {
        db,
        random,
        clock,
        log,
        tenant,
        validate,
        caller: callerOf(request.principal),
        on: { actor, requestId },
      };
      const results: SyncResult[] = [];
      for (const place of workingOrder(body.items)) {
        const item = body.items[place] as (typeof body.items)[number];
        results[place] = await applySyncItem(context, item, place);
      }
      return { items: results };
    },
  );
};

type Check = (value: unknown) => boolean | { error?: Error };

/** Checks items as the endpoints of their type check bodies. */
function createValidate(): SyncContext["validate"] {
  const compile = createValidatorCompiler();
  const compiled = (schema: unknown) =>
    compile({ schema, method: "POST", url: "/orders/sync", httpPart: "body" }) as Check;
  const checks = Object.fromEntries(
    Object.entries(syncSchemas).map(([type, { create, update }]) => [
      type,
      { create: compiled(create), update: compiled(update) },
    ]),
  );
  return (type, verb, data) => {
    const verdict = checks[type]?.[verb](data);
    if (verdict !== true) throw (verdict as { error?: Error }).error ?? requestErrors.invalid();
  };
}
