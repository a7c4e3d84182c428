import type { ConfigFault } from "#kernel/config/read.ts";
import { ConfigError } from "#kernel/config.ts";
import { type ImageRule, parseImageRules, type PricedImage } from "./images.ts";

export const runtimeChoices = ["auto", "docker", "kubernetes", "process"] as const;
export type RuntimeChoice = (typeof runtimeChoices)[number];

/** How much a tenant, or one of its users, may have at once; null: as much as they like. */
export interface QuotaLimits {
  readonly leases: number | null;
  readonly cpuMillis: number | null;
  readonly memoryMb: number | null;
  readonly diskMb: number | null;
  readonly snapshots: number | null;
  readonly startsPerMinute: number | null;
  /** In a calendar month of UTC, in the installation's currency. */
  readonly spendMinor: number | null;
}

/** What holds for a tenant: the installation's variables, or what an admin set in their place. */
export interface Limits {
  readonly runtime: RuntimeChoice;
  readonly allowedImages: readonly ImageRule[];
  readonly minTtlSeconds: number;
  readonly maxTtlSeconds: number;
  readonly hardCapSeconds: number;
  readonly maxCpuMillis: number;
  readonly maxMemoryMb: number;
  readonly maxDiskMb: number;
  readonly dockerHost: string | null;
  readonly kubeconfig: string | null;
  readonly quota: QuotaLimits;
  readonly userQuota: QuotaLimits;
  /** Containers that may be kept ready for a tenant, of all its templates together. */
  readonly warmMost: number;
  /** Whether the tenant has pools of the platform's templates too, not only of its own. */
  readonly isPlatformWarm: boolean;
}

/** What the installation was told of leases. */
export interface LeasesConfig extends Limits {
  readonly currency: string;
  /** By image, as in the allow-list; `*` for every other. */
  readonly prices: readonly PricedImage[];
  readonly pauseSeconds: number;
  readonly warnSeconds: number;
  /** Of one file that is sent into a container or fetched from it. */
  readonly fileBytesMax: number;
  /** For how long a lease is listed after its end. */
  readonly retentionHours: number;
  /** Whether the demo leases anything by itself. */
  readonly hasDemoLeases: boolean;
}

const integers = {
  LEASES_MIN_TTL_SECONDS: [1, 31_536_000, 60],
  LEASES_MAX_TTL_SECONDS: [1, 31_536_000, 7_200],
  LEASES_HARD_CAP_SECONDS: [1, 31_536_000, 86_400],
  LEASES_MAX_CPU_MILLIS: [10, 256_000, 2_000],
  LEASES_MAX_MEMORY_MB: [16, 4_194_304, 2_048],
  LEASES_MAX_DISK_MB: [1, 16_777_216, 5_120],
  LEASES_PAUSE_SECONDS: [1, 31_536_000, 86_400],
  LEASES_WARN_SECONDS: [0, 86_400, 120],
  LEASES_MAX_FILE_BYTES: [1, 17_179_869_184, 104_857_600],
  LEASES_RETENTION_HOURS: [1, 87_600, 168],
  LEASES_DEMO: [0, 1, 1],
  LEASES_QUOTA_LEASES: [0, 1_000_000, 200],
  LEASES_QUOTA_CPU_MILLIS: [0, 1_000_000_000, 100_000],
  LEASES_QUOTA_MEMORY_MB: [0, 1_000_000_000, 102_400],
  LEASES_QUOTA_DISK_MB: [0, 1_000_000_000, 1_048_576],
  LEASES_QUOTA_SNAPSHOTS: [0, 1_000_000, 100],
  LEASES_QUOTA_STARTS_PER_MINUTE: [0, 1_000_000, 600],
  LEASES_QUOTA_WARM: [0, 10_000, 20],
  LEASES_QUOTA_SPEND_MINOR: [0, 1_000_000_000_000, null],
  LEASES_USER_QUOTA_LEASES: [0, 1_000_000, null],
  LEASES_USER_QUOTA_CPU_MILLIS: [0, 1_000_000_000, null],
  LEASES_USER_QUOTA_MEMORY_MB: [0, 1_000_000_000, null],
  LEASES_USER_QUOTA_DISK_MB: [0, 1_000_000_000, null],
  LEASES_USER_QUOTA_SNAPSHOTS: [0, 1_000_000, null],
  LEASES_USER_QUOTA_STARTS_PER_MINUTE: [0, 1_000_000, null],
  LEASES_USER_QUOTA_SPEND_MINOR: [0, 1_000_000_000_000, null],
} as const satisfies Record<string, readonly [number, number, number | null]>;
type IntegerName = keyof typeof integers;

const texts = [
  "LEASES_RUNTIME",
  "LEASES_ALLOWED_IMAGES",
  "LEASES_CURRENCY",
  "LEASES_PRICES",
  "DOCKER_HOST",
  "KUBECONFIG",
] as const;

const defaultImages = "alpine,busybox,debian,node,python,ubuntu";
const defaultCurrency = "GBP";
/** Per CPU-hour, per gigabyte-hour, once. */
const defaultPrices = "*=4:1:0";
const priceMost = 1_000_000;
const flatMost = 100_000_000;

type Variables = Readonly<Record<string, string>>;

/**
 * Reads the installation's variables. `runtimeVariables` are names that runtimes read themselves.
 * Throws `ConfigError` naming every fault, names of ours that nothing reads among them.
 */
export function leasesConfigOf(
  variables: Variables,
  runtimeVariables: readonly string[] = [],
): LeasesConfig {
  const faults: ConfigFault[] = [];
  const known = new Set<string>([...Object.keys(integers), ...texts, ...runtimeVariables]);
  for (const name of Object.keys(variables)) {
    // Other services have variables too.
    const isOurs = name.startsWith("LEASES_");
    if (isOurs && !known.has(name)) faults.push({ name, problem: "is no variable of ours" });
  }
  const integer = (name: IntegerName) => readInteger(name, variables, faults);
  const required = (name: IntegerName) => integer(name) as number;
  const config: LeasesConfig = {
    runtime: readRuntime(variables, faults),
    allowedImages: readImages(variables, faults),
    minTtlSeconds: required("LEASES_MIN_TTL_SECONDS"),
    maxTtlSeconds: required("LEASES_MAX_TTL_SECONDS"),
    hardCapSeconds: required("LEASES_HARD_CAP_SECONDS"),
    maxCpuMillis: required("LEASES_MAX_CPU_MILLIS"),
    maxMemoryMb: required("LEASES_MAX_MEMORY_MB"),
    maxDiskMb: required("LEASES_MAX_DISK_MB"),
    dockerHost: variables.DOCKER_HOST ?? null,
    kubeconfig: variables.KUBECONFIG ?? null,
    quota: readQuota("LEASES_QUOTA", integer),
    userQuota: readQuota("LEASES_USER_QUOTA", integer),
    warmMost: required("LEASES_QUOTA_WARM"),
    isPlatformWarm: false,
    currency: readCurrency(variables, faults),
    prices: readPrices(variables, faults),
    pauseSeconds: required("LEASES_PAUSE_SECONDS"),
    warnSeconds: required("LEASES_WARN_SECONDS"),
    fileBytesMax: required("LEASES_MAX_FILE_BYTES"),
    retentionHours: required("LEASES_RETENTION_HOURS"),
    hasDemoLeases: required("LEASES_DEMO") === 1,
  };
  if (faults.length === 0) faults.push(...rangeFaults(config));
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

function readInteger(name: IntegerName, variables: Variables, faults: ConfigFault[]) {
  const [least, most, usual] = integers[name];
  const text = variables[name];
  if (text === undefined) return usual;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  faults.push({ name, problem: `expects a whole number from ${least} to ${most}` });
  return usual;
}

function readQuota(
  prefix: "LEASES_QUOTA" | "LEASES_USER_QUOTA",
  integer: (name: IntegerName) => number | null,
): QuotaLimits {
  return {
    leases: integer(`${prefix}_LEASES`),
    cpuMillis: integer(`${prefix}_CPU_MILLIS`),
    memoryMb: integer(`${prefix}_MEMORY_MB`),
    diskMb: integer(`${prefix}_DISK_MB`),
    snapshots: integer(`${prefix}_SNAPSHOTS`),
    startsPerMinute: integer(`${prefix}_STARTS_PER_MINUTE`),
    spendMinor: integer(`${prefix}_SPEND_MINOR`),
  };
}

function readRuntime(variables: Variables, faults: ConfigFault[]): RuntimeChoice {
  const text = variables.LEASES_RUNTIME ?? "auto";
  const choice = runtimeChoices.find((one) => one === text);
  if (choice) return choice;
  faults.push({ name: "LEASES_RUNTIME", problem: `expects ${runtimeChoices.join(", ")}` });
  return "auto";
}

function readImages(variables: Variables, faults: ConfigFault[]): readonly ImageRule[] {
  const rules = parseImageRules(variables.LEASES_ALLOWED_IMAGES ?? defaultImages);
  if (rules) return rules;
  const problem =
    "expects names of images, each perhaps with a tag or a digest, and commas between";
  faults.push({ name: "LEASES_ALLOWED_IMAGES", problem });
  return [];
}

function readCurrency(variables: Variables, faults: ConfigFault[]): string {
  const currency = variables.LEASES_CURRENCY ?? defaultCurrency;
  if (/^[A-Z]{3}$/.test(currency)) return currency;
  faults.push({ name: "LEASES_CURRENCY", problem: "expects a code of ISO 4217, such as GBP" });
  return defaultCurrency;
}

function readPrices(variables: Variables, faults: ConfigFault[]): LeasesConfig["prices"] {
  const entries = (variables.LEASES_PRICES ?? defaultPrices).split(",").map((one) => one.trim());
  const prices = entries.map((entry) => {
    const found = /^(\S+)=(\d{1,9}):(\d{1,9}):(\d{1,9})$/.exec(entry);
    const [cpu, memory, flat] = [Number(found?.[2]), Number(found?.[3]), Number(found?.[4])];
    if (!found || cpu > priceMost || memory > priceMost || flat > flatMost) return null;
    const price = { cpuHourMinor: cpu, gbHourMinor: memory, flatMinor: flat };
    return { image: found[1] as string, price };
  });
  const known = prices.filter((price) => price !== null);
  if (known.length === prices.length && known.some(({ image }) => image === "*")) return known;
  const problem =
    "expects image=cpu:memory:flat in minor units per CPU-hour, per GB-hour and once, commas " +
    `between, and one for every other image: ${defaultPrices}`;
  faults.push({ name: "LEASES_PRICES", problem });
  return [];
}

function rangeFaults(config: LeasesConfig): ConfigFault[] {
  const { minTtlSeconds, maxTtlSeconds, hardCapSeconds } = config;
  const faults: ConfigFault[] = [];
  if (maxTtlSeconds < minTtlSeconds) {
    const problem = "must not be less than LEASES_MIN_TTL_SECONDS";
    faults.push({ name: "LEASES_MAX_TTL_SECONDS", problem });
  }
  if (hardCapSeconds < minTtlSeconds) {
    const problem = "must not be less than LEASES_MIN_TTL_SECONDS";
    faults.push({ name: "LEASES_HARD_CAP_SECONDS", problem });
  }
  return faults;
}
