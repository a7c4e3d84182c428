import type { AnyService } from "#kernel/service.ts";
import { consistency } from "./services/consistency/service.ts";
import { leases } from "./services/leases/service.ts";
import { orders } from "./services/orders/service.ts";
import { platform } from "./services/platform/service.ts";

/** Every service there is, in the order in which they migrate. */
export const services: readonly AnyService[] = [platform, orders, leases, consistency];
