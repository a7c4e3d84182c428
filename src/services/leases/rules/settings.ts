import { Type } from "typebox";
import type { SettingCatalogue } from "#kernel/settings.ts";
import {
  type LeasesConfig,
  type Limits,
  type QuotaLimits,
  type RuntimeChoice,
  runtimeChoices,
} from "./config.ts";
import { parseImageRules } from "./images.ts";

const count = (title: string, maximum = 1_000_000_000_000) =>
  ({ title, schema: Type.Integer({ minimum: 0, maximum }), platform: true }) as const;
const seconds = (title: string) =>
  ({ title, schema: Type.Integer({ minimum: 1, maximum: 31_536_000 }), platform: true }) as const;
const line = (title: string, pattern: string) =>
  ({ title, schema: Type.String({ maxLength: 4_096, pattern }), platform: true }) as const;

const listOfImages = "^[A-Za-z0-9._:/@-]+(\\s*,\\s*[A-Za-z0-9._:/@-]+)*$";
const address = "^(unix|npipe|tcp|http|https)://\\S+$";

/** What a platform admin may set for one tenant; null: what the installation's variables say. */
export const leasesSettings = {
  runtime: {
    title: "Where the tenant's containers come from",
    schema: Type.Enum([...runtimeChoices]),
    platform: true,
  },
  allowed_images: line("Images that the tenant may lease, with commas between", listOfImages),
  min_ttl_seconds: seconds("Shortest time for which the tenant may lease"),
  max_ttl_seconds: seconds("Longest time for which the tenant may lease or renew at once"),
  hard_cap_seconds: seconds("How long a lease of the tenant lives at most, however often renewed"),
  max_cpu_millis: count("Most CPU of one lease, in thousandths", 256_000),
  max_memory_mb: count("Most memory of one lease, in MiB", 4_194_304),
  max_disk_mb: count("Most disk of one lease, in MiB", 16_777_216),
  docker_host: line("Address of a Docker engine of the tenant's own", address),
  kubeconfig: line("File of a Kubernetes configuration of the tenant's own", "^/\\S*$"),
  quota_leases: count("Leases that the tenant may have at once"),
  quota_cpu_millis: count("CPU that the tenant's leases may have together, in thousandths"),
  quota_memory_mb: count("Memory that the tenant's leases may have together, in MiB"),
  quota_disk_mb: count("Disk that the tenant's leases may have together, in MiB"),
  quota_snapshots: count("Snapshots that the tenant may keep"),
  quota_starts_per_minute: count("Leases that the tenant may start in a minute"),
  quota_warm: count("Containers that may be kept ready for the tenant", 10_000),
  quota_spend_minor: count("What the tenant may spend on leases in a month, in the minor unit"),
  user_quota_leases: count("Leases that each user may have at once"),
  user_quota_cpu_millis: count("CPU that each user's leases may have together, in thousandths"),
  user_quota_memory_mb: count("Memory that each user's leases may have together, in MiB"),
  user_quota_disk_mb: count("Disk that each user's leases may have together, in MiB"),
  user_quota_snapshots: count("Snapshots that each user may keep"),
  user_quota_starts_per_minute: count("Leases that each user may start in a minute"),
  user_quota_spend_minor: count("What each user may spend on leases in a month, in minor units"),
  warm_platform_templates: {
    title: "Keep containers of the platform's templates ready, not only of the tenant's own",
    schema: Type.Boolean(),
    default: false,
  },
} as const satisfies SettingCatalogue;

type Chosen = Readonly<Record<string, unknown>>;

/** What holds for a tenant, given what was set for it: by name, without the service's. */
export function limitsOf(config: LeasesConfig, chosen: Chosen): Limits {
  const number = <Usual extends number | null>(name: string, usual: Usual) =>
    ((chosen[name] as number | null | undefined) ?? usual) as Usual;
  const text = (name: string) => (chosen[name] as string | null | undefined) ?? null;
  const quotaOf = (prefix: string, usual: QuotaLimits): QuotaLimits => ({
    leases: number(`${prefix}quota_leases`, usual.leases),
    cpuMillis: number(`${prefix}quota_cpu_millis`, usual.cpuMillis),
    memoryMb: number(`${prefix}quota_memory_mb`, usual.memoryMb),
    diskMb: number(`${prefix}quota_disk_mb`, usual.diskMb),
    snapshots: number(`${prefix}quota_snapshots`, usual.snapshots),
    startsPerMinute: number(`${prefix}quota_starts_per_minute`, usual.startsPerMinute),
    spendMinor: number(`${prefix}quota_spend_minor`, usual.spendMinor),
  });
  const images = text("allowed_images");
  return {
    runtime: (text("runtime") as RuntimeChoice | null) ?? config.runtime,
    allowedImages: (images === null ? null : parseImageRules(images)) ?? config.allowedImages,
    minTtlSeconds: number("min_ttl_seconds", config.minTtlSeconds),
    maxTtlSeconds: number("max_ttl_seconds", config.maxTtlSeconds),
    hardCapSeconds: number("hard_cap_seconds", config.hardCapSeconds),
    maxCpuMillis: number("max_cpu_millis", config.maxCpuMillis),
    maxMemoryMb: number("max_memory_mb", config.maxMemoryMb),
    maxDiskMb: number("max_disk_mb", config.maxDiskMb),
    dockerHost: text("docker_host"),
    kubeconfig: text("kubeconfig"),
    quota: quotaOf("", config.quota),
    userQuota: quotaOf("user_", config.userQuota),
    warmMost: number("quota_warm", config.warmMost),
    isPlatformWarm: chosen.warm_platform_templates === true,
  };
}
