import type { AnyService } from "#kernel/service.ts";
import { systemClock } from "#kernel/clock.ts";
import { consistencyService } from "../../src/services/consistency/service.ts";
import { fakeLeases } from "../../src/services/leases/fixture.ts";
import { services } from "../../src/services.ts";

/**
 * Every service there is; containers come from an engine in memory, so that none is left, and
 * replica sets live by the clock on the wall, since nobody moves the tests' own for them.
 */
export const testServices = (): AnyService[] =>
  services.map((service) => {
    if (service.name === "leases") return fakeLeases().service;
    if (service.name === "consistency") return consistencyService({ engineClock: systemClock });
    return service;
  });
