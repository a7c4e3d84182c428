import { type Static, type TSchema, Type } from "typebox";
import { Currency, strict } from "#kernel/http/schemas.ts";
import { runtimeChoices } from "../rules/config.ts";
import { presetNames } from "../rules/presets.ts";
import { CpuMillis, MemoryMb, Minor, orNull, TtlSeconds } from "./common.ts";

/** The engine behind the tenant's leases, and what it can do. */
export const RuntimeInfo = strict(
  {
    configured: Type.Enum([...runtimeChoices], { examples: ["auto"] }),
    name: orNull(Type.Enum(["docker", "kubernetes", "process"])),
    version: orNull(Type.String({ examples: ["28.5.1"] })),
    available: Type.Boolean(),
    strength: orNull(Type.Enum(["strong", "container", "weak"])),
    ociRuntimes: Type.Array(Type.String({ examples: ["runc"] })),
    canSnapshot: Type.Boolean(),
    canPause: Type.Boolean(),
    notes: Type.Array(Type.String({ examples: ["Development only: weak isolation."] })),
  },
  { title: "LeaseRuntime" },
);
export type RuntimeInfo = Static<typeof RuntimeInfo>;

export const Presets = strict(
  {
    items: Type.Array(
      strict({
        name: Type.Enum([...presetNames], { examples: ["tiny"] }),
        title: Type.String({ examples: ["A shell to try something in"] }),
        cpuMillis: CpuMillis,
        memoryMb: MemoryMb,
        ttlSeconds: TtlSeconds,
        estimatedCostMinor: Minor,
        currency: Currency,
      }),
    ),
  },
  { title: "LeasePresets" },
);
export type Presets = Static<typeof Presets>;

const quota = (example: number): TSchema =>
  strict({
    limit: orNull(Type.Integer({ minimum: 0, description: "Null: no limit.", examples: [200] })),
    used: Type.Integer({ minimum: 0, examples: [example] }),
  });
const quotas = strict({
  leases: quota(3),
  cpuMillis: quota(1_500),
  memoryMb: quota(1_536),
  diskMb: quota(0),
  snapshots: quota(1),
  startsPerMinute: quota(1),
  spendMinor: quota(12),
});

/** How much may be leased, and is: by the tenant, and by who asks. */
export const Quota = strict(
  {
    tenant: quotas,
    user: quotas,
    warm: quota(2),
    currency: Currency,
    limits: strict({
      minTtlSeconds: TtlSeconds,
      maxTtlSeconds: TtlSeconds,
      hardCapSeconds: TtlSeconds,
      maxCpuMillis: CpuMillis,
      maxMemoryMb: MemoryMb,
      maxDiskMb: Type.Integer({ examples: [5_120] }),
      allowedImages: Type.Array(Type.String({ examples: ["alpine"] })),
    }),
  },
  { title: "LeaseQuota" },
);
export type Quota = Static<typeof Quota>;
