import { createHash } from "node:crypto";
import type { FastifyReply } from "fastify";
import { requestErrors } from "#kernel/errors.ts";
import { isKnown } from "#kernel/http/etag.ts";
import { ById } from "#kernel/http/schemas.ts";
import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import { BulkheadFull, createBulkhead } from "#kernel/resilience/bulkhead.ts";
import type { Routes } from "#kernel/service.ts";
import { invoiceSheets } from "../documents/invoice.ts";
import { labelSheets } from "../documents/label.ts";
import { renderPdf } from "../documents/pdf.ts";
import { ordersErrors } from "../errors.ts";
import { invoiceContent, labelOf, labelSizes, labelXHeightMm } from "../rules/documents.ts";
import { ownerLimit } from "../rules/orders.ts";
import { InvoiceOptions, LabelOptions, pdfAnswers } from "../schemas/documents.ts";
import { getOrder } from "../store/orders.ts";
import { getProduct } from "../store/products.ts";
import { getShop } from "../store/shops.ts";
import { callerOf } from "./caller.ts";

/** A document takes the processor for some 10 to 200 ms, in slices. */
const RENDERED_AT_ONCE = 2;
const RENDERED_LATER = 50;

type Render = typeof renderPdf;

/** What is printed. Everything is read before anything is rendered, which no transaction awaits. */
export const documentRoutes: Routes = (app, deps) => {
  const bulkhead = createBulkhead(RENDERED_AT_ONCE, RENDERED_LATER);
  const render: Render = async (...wanted) => {
    try {
      return await bulkhead.run(() => renderPdf(...wanted));
    } catch (error) {
      if (!(error instanceof BulkheadFull)) throw error;
      throw requestErrors.unavailable({
        detail: `${RENDERED_AT_ONCE + RENDERED_LATER} documents are being made already; try again.`,
        headers: { "retry-after": "1" },
        cause: error,
      });
    }
  };
  labelRoute(render)(app, deps);
  invoiceRoute(render)(app, deps);
};

const labelRoute =
  (render: Render): Routes =>
  (app, { db }) => {
    app.get(
      "/products/:id/label.pdf",
      {
        schema: {
          summary: "Print a product's label",
          description:
            "For food that is packed where it is sold: its name and all ingredients, with the " +
            "allergens in bold. Text that does not fit at its smallest legal size goes on to " +
            "further labels, a page each. The same product gives the same bytes.",
          params: ById,
          querystring: LabelOptions,
          response: pdfAnswers("The label, one page for each."),
        },
        config: {
          permission: "product:read",
          errors: [
            ordersErrors.label_without_ingredients,
            ordersErrors.label_undeclared_allergens,
            ordersErrors.unknown_shop,
            ordersErrors.unprintable,
          ],
        },
      },
      async (request, reply) => {
        const { tenant, params, query, log } = request;
        const product = await getProduct(db, tenant, params.id);
        if (!product) throw requestErrors.not_found();
        const shop = query.shopId === undefined ? null : await getShop(db, tenant, query.shopId);
        const { undeclared, ...label } = labelOf(product, shop, query);
        if (undeclared.length > 0) {
          log.warn(
            { productId: product.id, undeclared },
            "label printed with undeclared allergens",
          );
        }
        const format = {
          ...labelSizes[query.size],
          xHeightMm: query.smallPack ? labelXHeightMm.smallPack : labelXHeightMm.usual,
        };
        const info = { title: label.title, author: shop?.name ?? "", at: label.at };
        const bytes = await render(info, (setting) => labelSheets(label, format, setting));
        await sendPdf(request, reply, bytes, `label-${product.sku}`);
      },
    );
  };

const invoiceRoute =
  (render: Render): Routes =>
  (app, { db }) => {
    app.get(
      "/orders/:id/invoice.pdf",
      {
        schema: {
          summary: "Print an order's invoice",
          description:
            "On A4. Before the shop has confirmed the order it is headed PROFORMA, and CANCELLED " +
            "after it was cancelled. The same version gives the same bytes.",
          params: ById,
          querystring: InvoiceOptions,
          response: pdfAnswers("The invoice."),
        },
        config: { permission: "order:read", errors: [ordersErrors.unprintable] },
      },
      async (request, reply) => {
        const { tenant, params, principal, query } = request;
        const owner = ownerLimit(callerOf(principal), "order:read");
        const order = (await getOrder(db, tenant, params.id, owner))?.order;
        const shop = order && (await getShop(db, tenant, order.shopId));
        if (!order || !shop) throw requestErrors.not_found();
        const invoice = invoiceContent(order, shop);
        const info = { title: invoice.title, author: shop.name, at: order.updatedAt };
        const bytes = await render(info, (setting) => invoiceSheets(invoice, setting), query);
        await sendPdf(request, reply, bytes, `${invoice.heading.toLowerCase()}-${order.number}`);
      },
    );
  };

/** With an entity tag made of the bytes: whatever is printed on it, it can't be out of date. */
async function sendPdf(
  request: MutatingRequest,
  reply: MutatingReply,
  bytes: Buffer,
  name: string,
): Promise<void> {
  const tag = `"${createHash("sha256").update(bytes).digest("base64url")}"`;
  const isUnchanged = isKnown(request, reply, tag);
  reply
    .header("content-type", "application/pdf")
    .header("content-disposition", `inline; filename="${fileName(name)}.pdf"`);
  // Its schema says text, and what is sent is not JSON.
  const untyped = reply as FastifyReply;
  await (isUnchanged ? untyped.code(304).send() : untyped.send(bytes));
}

/** A SKU may hold quotes, slashes and any script. */
const fileName = (name: string) => name.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 120);
