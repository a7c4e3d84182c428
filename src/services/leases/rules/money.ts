/**
 * Money is counted in whole numbers throughout: a rate is in 1/1024 of a millionth of the minor
 * unit per hour, because memory is leased by 1/1024 of a gigabyte and CPU by 1/1000. Only the cost
 * of an interval is rounded, to a millionth of the minor unit, and a sum once more when shown.
 */
const partsPerMicro = 1024n;
const microsPerMinor = 1_000_000n;
const msPerHour = 3_600_000n;
const millisPerCpu = 1_000n;
const mbPerGb = 1_024n;

/** What an hour of a CPU and of a gigabyte cost, and what a lease costs once it has begun. */
export interface Price {
  readonly cpuHourMinor: number;
  readonly gbHourMinor: number;
  readonly flatMinor: number;
}

/** The rate of a container of this size. */
export function rateOf(
  { cpuHourMinor, gbHourMinor }: Price,
  { cpuMillis, memoryMb }: { cpuMillis: number; memoryMb: number },
): bigint {
  const unit = microsPerMinor * partsPerMicro;
  const cpu = (BigInt(cpuMillis) * BigInt(cpuHourMinor) * unit) / millisPerCpu;
  const memory = (BigInt(memoryMb) * BigInt(gbHourMinor) * unit) / mbPerGb;
  return cpu + memory;
}

/** What so long at a rate costs, in millionths of the minor unit, rounded half up. */
export function costMicrosOf(rate: bigint, durationMs: number): bigint {
  const divisor = msPerHour * partsPerMicro;
  const product = rate * BigInt(Math.max(0, durationMs));
  return (product + divisor / 2n) / divisor;
}

/** In millionths of the minor unit. */
export const microsOf = (minor: number): bigint => BigInt(minor) * microsPerMinor;

/** As it is shown: the minor unit, rounded half up. Throws beyond what JSON's readers agree on. */
export function minorOf(micros: bigint): number {
  const minor = Number((micros + microsPerMinor / 2n) / microsPerMinor);
  if (Number.isSafeInteger(minor)) return minor;
  throw new RangeError(`${micros} millionths are more than can be shown exactly`);
}

/** How long so much money lasts at a rate, in whole milliseconds; null: for ever. */
export function lastsMs(micros: bigint, rate: bigint): number | null {
  if (rate <= 0n) return null;
  if (micros <= 0n) return 0;
  const ms = (micros * msPerHour * partsPerMicro) / rate;
  return ms > BigInt(Number.MAX_SAFE_INTEGER) ? null : Number(ms);
}

interface Billed {
  readonly rate: bigint;
  readonly flatMicros: bigint;
  readonly costMicros: bigint;
  readonly startedAtMs: number | null;
  readonly runningSinceMs: number | null;
}

/** The flat price is part of the first interval. */
export const isFirstInterval = ({ startedAtMs, runningSinceMs }: Billed): boolean =>
  runningSinceMs !== null && startedAtMs === runningSinceMs;

/** What the open interval costs if it ends at `atMs`; 0 without one. */
export function openCostMicros(lease: Billed, atMs: number): bigint {
  const { runningSinceMs, rate, flatMicros } = lease;
  if (runningSinceMs === null) return 0n;
  return costMicrosOf(rate, atMs - runningSinceMs) + (isFirstInterval(lease) ? flatMicros : 0n);
}

/** What a lease has cost until `atMs`. */
export const totalCostMicros = (lease: Billed, atMs: number): bigint =>
  lease.costMicros + openCostMicros(lease, atMs);

/** What a lease will cost that runs for so long. */
export const estimateMicros = (
  { rate, flatMicros }: Pick<Billed, "rate" | "flatMicros">,
  seconds: number,
): bigint => costMicrosOf(rate, seconds * 1_000) + flatMicros;
