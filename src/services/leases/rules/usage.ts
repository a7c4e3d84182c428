import { requestErrors } from "#kernel/errors.ts";
import { leasesErrors } from "../errors.ts";
import type { Usage } from "../schemas/usage.ts";
import { minorOf } from "./money.ts";
import { monthStartMs } from "./quota.ts";

const dayMs = 86_400_000;
/** Longer reports would keep the database busy for too long. */
export const reportDaysMost = 366;

/**
 * The period that is asked for; by default the month so far. Throws `invalid` for one that ends
 * before it begins, and `too_long_ago` for one that is longer than can be reported.
 */
export function periodOf(
  { from, to }: { from?: string; to?: string },
  nowMs: number,
): { fromMs: number; toMs: number } {
  const toMs = to === undefined ? nowMs : momentOf(to, "query/to");
  const fromMs = from === undefined ? monthStartMs(toMs) : momentOf(from, "query/from");
  if (fromMs > toMs) {
    throw requestErrors.invalid({
      detail: "The period ends before it begins.",
      errors: [{ path: "query/from", message: "lies after `to`" }],
    });
  }
  if (toMs - fromMs > reportDaysMost * dayMs) {
    throw leasesErrors.too_long_ago({
      detail: `A report covers at most ${reportDaysMost} days; ask for parts.`,
      errors: [
        { path: "query/from", message: `lies more than ${reportDaysMost} days before \`to\`` },
      ],
    });
  }
  return { fromMs, toMs };
}

function momentOf(text: string, path: string): number {
  const ms = Date.parse(text);
  if (Number.isFinite(ms)) return ms;
  throw requestErrors.invalid({
    detail: `"${text}" is not a moment that a clock shows.`,
    errors: [{ path, message: "is not a moment" }],
  });
}

/** Sums as the database gives them, in its finest units. */
export interface Sums {
  readonly leases: number;
  readonly milliseconds: string;
  readonly cpu: string;
  readonly memory: string;
  readonly micros: string;
}

type Amounts = Omit<Usage["totals"][number], "currency">;

/** Sums as they are shown; only `costMicros` is exact. */
export function amountsOf({ leases, milliseconds, cpu, memory, micros }: Sums): Amounts {
  return {
    leases,
    seconds: Number(BigInt(milliseconds) / 1_000n),
    cpuSeconds: Number(BigInt(cpu) / 1_000_000n),
    gbSeconds: Number(BigInt(memory) / 1_024_000n),
    costMinor: minorOf(BigInt(micros)),
    costMicros: micros,
  };
}
