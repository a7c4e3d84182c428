import { defineService } from "#kernel/service.ts";
import { ordersDemo } from "./demo.ts";
import { ordersErrors } from "./errors.ts";
import { ordersPermissions } from "./permissions.ts";
import { ordersRoutes } from "./routes.ts";

/** An order desk for food businesses: where a tenant sells, and what. */
export const orders = defineService({
  name: "orders",
  permissions: ordersPermissions,
  errors: ordersErrors,
  routes: ordersRoutes,
  migrations: new URL("./migrations/", import.meta.url),
  demo: ordersDemo,
});
