import type { AnyService } from "#kernel/service.ts";
import { fakeLeases } from "../../src/services/leases/fixture.ts";
import { services } from "../../src/services.ts";

/** Every service there is; containers come from an engine in memory, so that none is left. */
export const testServices = (): AnyService[] =>
  services.map((service) => (service.name === "leases" ? fakeLeases().service : service));
