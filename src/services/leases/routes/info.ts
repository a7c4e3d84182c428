import type { Routes } from "#kernel/service.ts";
import { readLimits } from "../changes/limits.ts";
import { ownerLimit } from "../rules/callers.ts";
import type { QuotaLimits } from "../rules/config.ts";
import { priceOf } from "../rules/images.ts";
import { estimateMicros, microsOf, minorOf, rateOf } from "../rules/money.ts";
import { presetNames, presets } from "../rules/presets.ts";
import { monthStartMs, type QuotaUse } from "../rules/quota.ts";
import { Presets, Quota, RuntimeInfo } from "../schemas/info.ts";
import { readQuota, selectStarts } from "../store/quota.ts";
import { selectSpent } from "../store/usage.ts";
import { countWarm } from "../store/warm.ts";
import type { LeasesDeps } from "../types.ts";
import { callerOf } from "./caller.ts";

/** What can be leased here, where it comes from, and how much of it. */
export const infoRoutes: Routes<LeasesDeps> = (app, deps) => {
  runtimeRoute(app, deps);
  presetRoute(app, deps);
  quotaRoute(app, deps);
};

const runtimeRoute: Routes<LeasesDeps> = (app, deps) => {
  app.get(
    "/leases/runtime",
    {
      schema: {
        summary: "See where containers come from",
        description: "As the engine says it, and what isolation it is able to give.",
        response: { 200: RuntimeInfo },
      },
      config: { permission: "lease:read" },
    },
    async ({ tenant }) => {
      const limits = await deps.db.inTenant(tenant, (tx) => readLimits(tx, deps));
      const { chosen, notes } = await deps.fleet.look(limits);
      const { name, version, strength, ociRuntimes, canSnapshot, canPause } = chosen?.info ?? {
        name: null,
        version: null,
        strength: null,
        ociRuntimes: [],
        canSnapshot: false,
        canPause: false,
      };
      return {
        configured: limits.runtime,
        name,
        version,
        available: chosen !== null,
        strength,
        ociRuntimes: [...ociRuntimes],
        canSnapshot,
        canPause,
        notes: [...notes],
      };
    },
  );
};

const presetRoute: Routes<LeasesDeps> = (app, { leases }) => {
  app.get(
    "/leases/presets",
    {
      schema: { summary: "List the sizes that have a name", response: { 200: Presets } },
      config: { permission: "lease:read" },
    },
    async () => ({
      items: presetNames.map((name) => {
        const preset = presets[name];
        const price = priceOf("*", leases.prices);
        const billed = { rate: rateOf(price, preset), flatMicros: microsOf(price.flatMinor) };
        return {
          name,
          ...preset,
          estimatedCostMinor: minorOf(estimateMicros(billed, preset.ttlSeconds)),
          currency: leases.currency,
        };
      }),
    }),
  );
};

const quotaRoute: Routes<LeasesDeps> = (app, deps) => {
  const { db, clock, leases } = deps;
  app.get(
    "/leases/quota",
    {
      schema: {
        summary: "See how much may be leased, and how much is",
        description:
          "By the tenant as a whole, and by who asks. What the tenant has taken is shown to who " +
          "may see all its leases; others see their own twice. Containers that are kept ready " +
          "for the next leases count as the tenant's CPU, memory and disk, and give way to leases.",
        response: { 200: Quota },
      },
      config: { permission: "lease:read" },
    },
    async ({ tenant, principal }) => {
      const caller = callerOf(principal);
      return db.inTenant(tenant, async (tx) => {
        const limits = await readLimits(tx, deps);
        const state = await readQuota(tx, caller.id, clock);
        const { nowMs } = state;
        const [starts, spent, warm] = await tx.batch([
          selectStarts(caller.id, nowMs),
          selectSpent(caller.id, monthStartMs(nowMs), nowMs),
          countWarm(),
        ]);
        const begun = starts?.rows[0] as { tenant: number; owner: number };
        const cost = spent?.rows[0] as { tenantMicros: string; ownerMicros: string };
        const own = { starts: begun.owner, micros: cost.ownerMicros };
        const all = { starts: begun.tenant, micros: cost.tenantMicros };
        const seesAll = ownerLimit(caller, "lease:read") === null;
        const whole = seesAll
          ? quotasOf(limits.quota, state.tenant, all)
          : quotasOf(limits.quota, state.owner, own);
        const { minTtlSeconds, maxTtlSeconds, hardCapSeconds, allowedImages } = limits;
        const { maxCpuMillis, maxMemoryMb, maxDiskMb } = limits;
        return {
          tenant: whole,
          user: quotasOf(limits.userQuota, state.owner, own),
          warm: { limit: limits.warmMost, used: warm?.rows[0]?.count as number },
          currency: leases.currency,
          limits: {
            minTtlSeconds,
            maxTtlSeconds,
            hardCapSeconds,
            maxCpuMillis,
            maxMemoryMb,
            maxDiskMb,
            allowedImages: allowedImages.map(({ text }) => text),
          },
        };
      });
    },
  );
};

function quotasOf(
  limits: QuotaLimits,
  use: QuotaUse,
  { starts, micros }: { starts: number; micros: string },
) {
  return {
    leases: { limit: limits.leases, used: use.leases },
    cpuMillis: { limit: limits.cpuMillis, used: use.cpuMillis },
    memoryMb: { limit: limits.memoryMb, used: use.memoryMb },
    diskMb: { limit: limits.diskMb, used: use.diskMb },
    snapshots: { limit: limits.snapshots, used: use.snapshots },
    startsPerMinute: { limit: limits.startsPerMinute, used: starts },
    spendMinor: { limit: limits.spendMinor, used: minorOf(BigInt(micros)) },
  };
}
