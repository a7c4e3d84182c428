import type { Routes } from "#kernel/service.ts";
import { customerRoutes } from "./routes/customers.ts";
import { documentRoutes } from "./routes/documents.ts";
import { exportRoutes } from "./routes/export.ts";
import { importRoutes } from "./routes/import.ts";
import { ledgerRoutes } from "./routes/ledger.ts";
import { orderRoutes } from "./routes/orders.ts";
import { productRoutes } from "./routes/products.ts";
import { shopRoutes } from "./routes/shops.ts";
import { syncRoutes } from "./routes/sync.ts";
import { whatsappRoutes } from "./routes/whatsapp.ts";

/** Every area of the order desk. */
export const ordersRoutes: Routes = (app, deps) => {
  shopRoutes(app, deps);
  productRoutes(app, deps);
  customerRoutes(app, deps);
  orderRoutes(app, deps);
  ledgerRoutes(app, deps);
  documentRoutes(app, deps);
  importRoutes(app, deps);
  syncRoutes(app, deps);
  whatsappRoutes(app, deps);
  exportRoutes(app, deps);
};
