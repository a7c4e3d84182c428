import { requestErrors } from "#kernel/errors.ts";
import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { moveOrder } from "../changes/moves.ts";
import { changeOrder, createOrder } from "../changes/orders.ts";
import { ordersErrors } from "../errors.ts";
import {
  type OrderEventName,
  orderEventNames,
  ownerLimit,
  shownTo,
  transitions,
} from "../rules/orders.ts";
import { withObstacles } from "../rules/obstacles.ts";
import {
  Move,
  NewOrder,
  Order,
  OrderChanges,
  OrderFilter,
  OrderPage,
  OrderSummary,
  SummaryFilter,
} from "../schemas/orders.ts";
import { getOrder, isSearch, listOrders, ownsOrder } from "../store/orders.ts";
import { searchedAtOnce, searchOrders } from "../store/search.ts";
import { summarizeOrders } from "../store/summary.ts";
import { callerOf } from "./caller.ts";

const bodyErrors = [
  ordersErrors.totals_are_computed,
  ordersErrors.bad_quantity,
  ordersErrors.duplicate_line,
  ordersErrors.mixed_currencies,
  ordersErrors.unknown_shop,
  ordersErrors.unknown_product,
  ordersErrors.unknown_customer,
  ordersErrors.retired,
  ordersErrors.total_too_large,
];

/** What people order: its life from draft to completed or cancelled. */
export const orderRoutes: Routes = (app, deps) => {
  readRoutes(app, deps);
  changeRoutes(app, deps);
  for (const event of orderEventNames) moveRoute(event)(app, deps);
};

const readRoutes: Routes = (app, { db }) => {
  app.get(
    "/orders",
    {
      schema: {
        summary: "List orders",
        description:
          `With \`q\`, a page looks through ${searchedAtOnce.toLocaleString("en-GB")} orders at ` +
          "most, newest first: it may hold few, or none, and have a `nextCursor` all the same.",
        querystring: OrderFilter,
        response: { 200: OrderPage },
      },
      config: { permission: "order:read" },
    },
    async ({ tenant, principal, query }) => {
      const caller = callerOf(principal);
      const owner = ownerLimit(caller, "order:read");
      const { q } = query;
      const isSought = q !== undefined && isSearch(q);
      const { items, nextCursor } = isSought
        ? await searchOrders(db, tenant, { ...query, q }, owner)
        : await listOrders(db, tenant, query, owner);
      return { items: items.map((order) => shownTo(caller, order)), nextCursor };
    },
  );

  app.get(
    "/orders/summary",
    {
      schema: {
        summary: "Count orders by state and revenue by day",
        querystring: SummaryFilter,
        response: { 200: OrderSummary },
      },
      config: { permission: "order:read", errors: [ordersErrors.total_too_large] },
    },
    async ({ tenant, principal, query }) =>
      summarizeOrders(db, tenant, query, ownerLimit(callerOf(principal), "order:read")),
  );

  app.get(
    "/orders/:id",
    {
      schema: { summary: "Get an order", params: ById, response: { 200: Order } },
      config: { permission: "order:read" },
    },
    async (request, reply) => {
      const caller = callerOf(request.principal);
      const owner = ownerLimit(caller, "order:read");
      const found = await getOrder(db, request.tenant, request.params.id, owner);
      const order = found && shownTo(caller, withObstacles(found.order, found.standing));
      return sendFound(request, reply, order);
    },
  );

  app.get(
    "/orders/:id/history",
    { schema: historySchema("order"), config: { permission: "order:read" } },
    async ({ tenant, principal, params, query }) => {
      const owner = ownerLimit(callerOf(principal), "order:read");
      const isHidden = owner !== null && !(await ownsOrder(db, tenant, params.id, owner));
      if (isHidden) throw requestErrors.not_found();
      return history(db, tenant, "order", params.id, query);
    },
  );
};

const changeRoutes: Routes = (app, { mutate, clock, random }) => {
  app.post(
    "/orders",
    {
      schema: { summary: "Take an order", body: NewOrder, response: { 201: Order } },
      config: { permission: "order:create", idempotent: true, errors: bodyErrors },
    },
    (request, reply) =>
      mutate(request, reply, 201, async (tx) =>
        shownTo(callerOf(request.principal), await createOrder(tx, { random }, request.body)),
      ),
  );

  app.patch(
    "/orders/:id",
    {
      schema: {
        summary: "Change an order that is a draft",
        params: ById,
        body: OrderChanges,
        response: { 200: Order },
      },
      config: {
        permission: "order:update",
        ifMatch: true,
        errors: [...bodyErrors, ordersErrors.not_a_draft],
      },
    },
    (request, reply) =>
      mutate(request, reply, 200, async (tx) => {
        const caller = callerOf(request.principal);
        const version = expectedVersion(request);
        const { params, body } = request;
        return shownTo(caller, await changeOrder(tx, { clock }, params.id, version, body, caller));
      }),
  );
};

const ownErrors = {
  submit: [ordersErrors.retired, ordersErrors.currency_changed, ordersErrors.allergen_conflict],
  confirm: [ordersErrors.out_of_stock],
} as const satisfies Partial<Record<OrderEventName, unknown>>;

const moveRoute =
  (event: OrderEventName): Routes =>
  (app, { mutate, clock, random }) => {
    const { title, permission } = transitions[event];
    const own = event in ownErrors ? ownErrors[event as keyof typeof ownErrors] : [];
    app.post(
      `/orders/:id/${event}`,
      {
        schema: { summary: title, params: ById, body: Move, response: { 200: Order } },
        config: {
          permission,
          idempotent: true,
          acceptsIfMatch: true,
          errors: [ordersErrors.illegal_transition, ...own],
        },
      },
      (request, reply) =>
        mutate(request, reply, 200, async (tx) => {
          const caller = callerOf(request.principal);
          const version = optionalVersion(request);
          const context = { clock, random, caller, version, ...request.body };
          return shownTo(caller, await moveOrder(tx, request.params.id, event, context));
        }),
    );
  };
