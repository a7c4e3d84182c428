import { defineService } from "#kernel/service.ts";
import { ordersDemo } from "./demo/deli.ts";
import { whatsappSettings } from "./changes/whatsapp-settings.ts";
import { ordersErrors } from "./errors.ts";
import { ordersEvents } from "./events.ts";
import { ordersJobs } from "./jobs.ts";
import { ordersPermissions } from "./permissions.ts";
import { ordersRoutes } from "./routes.ts";
import { whatsappVariables } from "./rules/whatsapp-config.ts";

/** An order desk for food businesses: where a tenant sells, what, to whom, and for how much. */
export const orders = defineService({
  name: "orders",
  permissions: ordersPermissions,
  errors: ordersErrors,
  events: ordersEvents,
  routes: ordersRoutes,
  areas: { orders: "Where a tenant sells, what, to whom, and for how much." },
  jobs: ordersJobs,
  variables: whatsappVariables,
  settings: whatsappSettings,
  migrations: new URL("./migrations/", import.meta.url),
  demo: ordersDemo,
});
