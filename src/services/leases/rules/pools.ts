import { Problem } from "#kernel/errors.ts";
import type { Template } from "../schemas/templates.ts";
import { baseOfTemplate } from "./bases.ts";
import type { LeasesConfig, Limits } from "./config.ts";
import { agree } from "./request.ts";
import type { RuntimeName } from "../runtimes/types.ts";
import { byWorth, sameSpec, type StoredWarm, type WarmSpec, warmSpecOf } from "./warm.ts";

/** What a tenant wants to have ready of one template. */
export interface Pool {
  readonly templateId: string;
  readonly size: number;
  readonly spec: WarmSpec;
}

/** Of one tenant's, so many are made or replaced at a time. */
export const preparedAtOnceMost = 4;
/** How long until a pool is looked at again that nothing has happened to. */
const lookAgainMs = 60_000;

/** Where a tenant's new containers come from. */
export interface Place {
  readonly runtime: RuntimeName;
  readonly runtimePlace: string;
}

/** The pools of templates, each of what a lease gets that says no more than the template's name. */
export function poolsOf(
  templates: readonly Template[],
  given: { limits: Limits; config: LeasesConfig },
  place: Place,
): Pool[] {
  return templates.flatMap((template) => {
    const { id: templateId, warmSize: size } = template;
    try {
      const base = baseOfTemplate(template, given.limits);
      const nobody = { ...place, id: templateId, ownerId: templateId, nowMs: 0 };
      return [{ templateId, size, spec: warmSpecOf(agree({}, base, given, nobody).terms) }];
    } catch (error) {
      // What can't be leased, since the tenant's limits have changed, has no pool.
      if (error instanceof Problem) return [];
      throw error;
    }
  });
}

/** What brings pools to what they are to be. */
export interface PoolPlan {
  /** Ids of those whose end is decided. */
  readonly drop: readonly string[];
  /** The pools in which another one is to be made, each as often as it stands here. */
  readonly make: readonly Pool[];
  /** When to look again; null: there is nothing to look at. */
  readonly lookAtMs: number | null;
}

/**
 * Compares what there is with what is wanted: what nobody would be given any more goes at once,
 * what is too old when there is a hand free for the one in its place. Never are there more than
 * the tenant may have; pools that stand first are filled first.
 */
export function planPools(
  pools: readonly Pool[],
  rows: readonly StoredWarm[],
  { nowMs, limits }: { nowMs: number; limits: Pick<Limits, "warmMost" | "isPlatformWarm"> },
): PoolPlan {
  const alive = rows.filter(({ state }) => state !== "removing");
  const drop = new Set(alive);
  const make: Pool[] = [];
  let left = limits.warmMost;
  let hands = preparedAtOnceMost - alive.filter((row) => isBeingMade(row, nowMs)).length;
  for (const pool of pools) {
    const size = Math.min(pool.size, left);
    left -= size;
    const kept = alive
      .filter((row) => isOf(row, pool))
      .sort(byWorth)
      .slice(0, size);
    for (const row of kept) drop.delete(row);
    const missing = Math.max(0, Math.min(size - kept.length, hands));
    hands -= missing;
    const old = kept.filter(({ expiresAtMs }) => expiresAtMs <= nowMs).toReversed();
    const replaced = old.slice(0, Math.max(0, hands));
    hands -= replaced.length;
    for (const row of replaced) drop.add(row);
    for (let count = missing + replaced.length; count > 0; count -= 1) make.push(pool);
  }
  // Nobody tells tenants that the platform's templates have changed: they look.
  const isEmpty = pools.length === 0 && rows.length === 0 && !limits.isPlatformWarm;
  return {
    drop: [...drop].map(({ id }) => id),
    make,
    lookAtMs: isEmpty ? null : nowMs + lookAgainMs,
  };
}

const isOf = (row: StoredWarm, { templateId, spec }: Pool): boolean =>
  row.templateId === templateId && sameSpec(row.spec, spec);

/** One that waits for its next attempt keeps no other pool waiting. */
const isBeingMade = ({ state, retryAtMs }: StoredWarm, nowMs: number): boolean =>
  state === "preparing" && (retryAtMs ?? 0) <= nowMs;
