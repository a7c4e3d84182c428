import { rowsAnswer, sendRows } from "#kernel/http/download.ts";
import type { Routes } from "#kernel/service.ts";
import { ownerLimit } from "../rules/orders.ts";
import { ExportedLine, ExportFilter, exportColumns } from "../schemas/export.ts";
import { exportOrders } from "../store/export.ts";
import { callerOf } from "./caller.ts";

const description = `Newest first, with the filters of the list. One row for each line of an order; \
what belongs to the order is repeated on each, so add up totalMinor, not orderTotalMinor. Amounts are \
in the currency's smallest unit. A text that a spreadsheet would run as a formula begins with an \
apostrophe.`;

/** Orders as a file. */
export const exportRoutes: Routes = (app, { db }) => {
  app.get(
    "/orders/export.csv",
    {
      schema: {
        summary: "Export orders",
        description,
        querystring: ExportFilter,
        response: {
          200: rowsAnswer("The lines of the orders.", ExportedLine, exportColumns, ["csv"]),
        },
      },
      config: { permission: "order:export" },
    },
    (request, reply) => {
      const { tenant, query, principal } = request;
      const rows = exportOrders(db, tenant, query, ownerLimit(callerOf(principal), "order:export"));
      return sendRows(request, reply, {
        name: "orders",
        format: "csv",
        columns: exportColumns,
        rows,
      });
    },
  );
};
