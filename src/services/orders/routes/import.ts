import { createSeats } from "#kernel/http/seats.ts";
import { spoolBody, withSpool } from "#kernel/http/spool.ts";
import type { Routes } from "#kernel/service.ts";
import { checkImport, importProducts, importRunning } from "../changes/import.ts";
import { ordersErrors } from "../errors.ts";
import { importColumns, importRowsMax } from "../rules/import.ts";
import { ImportQuery, ImportReport } from "../schemas/import.ts";

const fileBytesMax = 64 * 1024 * 1024;
/** At this rate the largest file needs a line of 1.8 Mbit/s. */
const arrivalTimeoutMs = 300_000;
/** Of a process: each has files of its size and, in parts, two connections. A tenant has one. */
const importsAtOnceMax = 4;

const description = `The body is a CSV file in UTF-8 of up to ${importRowsMax} rows and 64 MiB. Its \
first line names the columns, in any order, of ${importColumns.join(", ")}; sku, title, priceMinor \
and vatRate must be there. A row makes the product with its SKU or changes it; what the file does \
not name stays. Allergens are separated by semicolons, priceMinor is in the currency's smallest \
unit, an empty stock is not counted. All rows are imported or none, unless \`partial\`.`;

/** Products from a file. */
export const importRoutes: Routes = (app, { db, mutate, random }) => {
  const seats = createSeats({ max: importsAtOnceMax, perTenantMax: 1 });
  app.post(
    "/products/import",
    {
      schema: {
        summary: "Import products",
        description,
        querystring: ImportQuery,
        response: { 200: ImportReport },
      },
      config: {
        permission: "product:import",
        accepts: ["text/csv"],
        bodyExamples: {
          "text/csv": "sku,title,priceMinor,vatRate\r\nCHS-BRIE-150,Brie 150 g,475,zero\r\n",
        },
        bodyLimitBytes: fileBytesMax,
        arrivalTimeoutMs,
        idempotent: true,
        errors: [
          ordersErrors.import_bad_header,
          ordersErrors.import_too_long,
          ordersErrors.import_refused,
          ordersErrors.import_running,
        ],
      },
    },
    async (request, reply) => {
      const leave = seats.take(request.tenant.id);
      if (!leave) throw importRunning();
      try {
        return await withSpool(async (file) => {
          await spoolBody(request, file);
          const checked = await checkImport(file);
          return mutate(request, reply, 200, (tx) =>
            importProducts(tx, { db, random }, checked, request.query),
          );
        });
      } finally {
        leave();
      }
    },
  );
};
