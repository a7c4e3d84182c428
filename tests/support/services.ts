import type { AnyService } from "#kernel/service.ts";
import { services } from "../../src/services.ts";

/** Every service there is, as tests run them. */
export const testServices = (): AnyService[] => [...services];
