import { type Static, Type } from "typebox";
import {
  Currency,
  exampleId,
  Id,
  ListQuery,
  pageOf,
  stamps,
  strict,
  Timestamp,
} from "#kernel/http/schemas.ts";
import { allowedAsks, asks, leaseStates, terminationReasons } from "../rules/lifecycle.ts";
import { presetNames } from "../rules/presets.ts";
import {
  Command,
  CpuMillis,
  DiskMb,
  Environment,
  IdleTtlSeconds,
  Image,
  MaskedEnvironment,
  MaxRestarts,
  MemoryMb,
  Minor,
  orNone,
  orNull,
  OwnerId,
  Port,
  Ports,
  PreStop,
  title,
  TtlSeconds,
} from "./common.ts";

export const TemplateName = Type.String({
  minLength: 1,
  maxLength: 63,
  description: "A template's name or id; the tenant's own come before the platform's.",
  examples: ["python"],
});

const wantedMembers = {
  name: Type.Optional(title),
  command: Type.Optional(Command),
  cpuMillis: Type.Optional(CpuMillis),
  memoryMb: Type.Optional(MemoryMb),
  diskMb: Type.Optional(DiskMb),
  env: Type.Optional(Environment),
  ports: Type.Optional(Ports),
  ttlSeconds: Type.Optional(TtlSeconds),
  idleTtlSeconds: Type.Optional(IdleTtlSeconds),
  preStop: Type.Optional(PreStop),
  snapshotOnEnd: Type.Optional(
    Type.Boolean({
      description: "Takes a snapshot by itself at the end, out of memory too.",
      examples: [false],
    }),
  ),
  maxRestarts: Type.Optional(MaxRestarts),
};

/** What POST /leases takes: an image, with a preset or sizes, or a template. */
export const NewLease = strict(
  {
    template: Type.Optional(TemplateName),
    preset: Type.Optional(Type.Enum([...presetNames], { examples: ["tiny"] })),
    image: Type.Optional(Image),
    ...wantedMembers,
  },
  {
    title: "NewLease",
    examples: [{ image: "alpine", preset: "tiny", name: "Scratch" }],
  },
);
export type NewLease = Static<typeof NewLease>;

/** The same of a lease that is made of a snapshot. */
export const RestoredLease = strict(wantedMembers, {
  title: "RestoredLease",
  examples: [{ ttlSeconds: 600 }],
});
export type RestoredLease = Static<typeof RestoredLease>;

/** What is really in force around a container. */
export const Isolation = strict(
  {
    runtime: Type.String({ examples: ["docker"] }),
    strength: Type.Enum(["strong", "container", "weak"]),
    user: Type.String({ examples: ["65534:65534"] }),
    network: Type.String({ examples: ["plm-3f9a"] }),
    readOnlyRoot: Type.Boolean(),
    capabilities: Type.Array(Type.String({ examples: ["CHOWN"] }), { examples: [[]] }),
    noNewPrivileges: Type.Boolean(),
    seccomp: Type.String({ examples: ["default"] }),
    userNamespace: Type.Boolean(),
    egress: Type.Enum(["none", "internet"]),
    memoryMb: Type.Integer({ examples: [512] }),
    cpuMillis: Type.Integer({ examples: [500] }),
    pidsMax: orNull(Type.Integer({ examples: [256] })),
    diskMb: orNull(Type.Integer({ examples: [1_024] })),
    notes: Type.Array(Type.String({ examples: ["No disk quota: overlay2 is not on xfs."] })),
  },
  { title: "LeaseIsolation" },
);

export const LeaseState = Type.Enum([...leaseStates], { examples: ["running"] });
const Ask = Type.Enum(Object.keys(asks) as (keyof typeof asks)[], { examples: ["pause"] });

/** A lease, as everybody sees it who may. */
export const Lease = strict(
  {
    id: Id,
    name: orNull(title),
    tenantId: Id,
    ownerId: OwnerId,
    template: orNull(Type.String({ description: "Its template's name.", examples: ["python"] })),
    restoredFrom: orNone(
      Type.String({ description: "The snapshot that it is made of.", examples: [exampleId] }),
    ),
    image: Type.String({ examples: ["alpine:3.20"] }),
    command: orNull(Command),
    state: LeaseState,
    desiredState: Type.Enum(["running", "paused", "ended"], {
      description: "What it is being brought to.",
      examples: ["running"],
    }),
    allowed: Type.Array(Ask, {
      description: "What may be asked of it in this state.",
      examples: [allowedAsks("running")],
    }),
    cpuMillis: CpuMillis,
    memoryMb: MemoryMb,
    diskMb: orNull(DiskMb),
    env: MaskedEnvironment,
    ports: Type.Array(
      strict({
        container: Port,
        url: Type.String({
          examples: [`http://127.0.0.1:7070/api/v1/leases/${exampleId}/ports/8080/`],
        }),
      }),
    ),
    ttlSeconds: TtlSeconds,
    idleTtlSeconds: orNull(IdleTtlSeconds),
    expiresAt: Timestamp,
    hardExpiresAt: Timestamp,
    expiresInSeconds: Type.Integer({
      minimum: 0,
      description: "Until `expiresAt`, by the server's clock; 0 once it is over.",
      examples: [1_742],
    }),
    generation: Type.Integer({ minimum: 1, examples: [1] }),
    restarts: Type.Integer({ minimum: 0, examples: [0] }),
    maxRestarts: MaxRestarts,
    snapshotOnEnd: Type.Boolean(),
    preStop: orNull(PreStop),
    createdAt: Timestamp,
    startedAt: orNull(Timestamp),
    lastActivityAt: Timestamp,
    endedAt: orNone(Timestamp),
    terminationReason: orNone(Type.Enum([...terminationReasons])),
    exitCode: orNone(Type.Integer({ examples: [0] })),
    message: orNone(
      Type.String({
        description: "What went wrong, or is being waited for.",
        examples: ["Its program ended with exit code 1."],
      }),
    ),
    runtime: Type.Enum(["docker", "kubernetes", "process"]),
    isolation: orNull(Isolation),
    costMinor: Minor,
    estimatedCostMinor: Type.Integer({
      minimum: 0,
      description: "Of its whole time to live.",
      examples: [2],
    }),
    currency: Currency,
    snapshotId: orNone(
      Type.String({ description: "Taken by itself at the end.", examples: [exampleId] }),
    ),
    version: stamps.version,
    updatedAt: stamps.updatedAt,
  },
  { title: "Lease" },
);
export type Lease = Static<typeof Lease>;

export const LeasePage = pageOf(Lease, { title: "LeasePage" });

export const LeaseFilter = strict({
  ...ListQuery.properties,
  state: Type.Optional(LeaseState),
  live: Type.Optional(
    Type.Boolean({ description: "Only those that are not over, or only those that are." }),
  ),
  owner: Type.Optional(OwnerId),
  template: Type.Optional(
    Type.String({ minLength: 1, maxLength: 63, description: "A name.", examples: ["python"] }),
  ),
  sort: Type.Enum(["created", "expiry"], {
    default: "created",
    description: "Newest first, or those first that end first.",
    examples: ["expiry"],
  }),
});
export type LeaseFilter = Static<typeof LeaseFilter>;

export const waitSecondsMost = 60;

/** How long the answer may wait for what was asked for to be done. */
export const Wait = strict({
  wait: Type.Integer({
    minimum: 0,
    maximum: waitSecondsMost,
    default: 0,
    description: "Seconds to wait until it is done; the answer shows how it is then.",
    examples: [10],
  }),
});

export const Renewal = strict(
  { ttlSeconds: Type.Optional(TtlSeconds) },
  { title: "LeaseRenewal", examples: [{ ttlSeconds: 1_800 }] },
);
export type Renewal = Static<typeof Renewal>;

/** When and why a lease will end. */
export const Expiry = strict(
  {
    state: LeaseState,
    expiresAt: Timestamp,
    expiresInSeconds: Type.Integer({ minimum: 0, examples: [1_742] }),
    reason: orNull(Type.Enum([...terminationReasons])),
    detail: Type.String({
      examples: ["Its time to live of 1800 s will be over; renewing moves this."],
    }),
    clocksRun: Type.Boolean({ description: "False while it is paused or has not begun." }),
    deadlines: Type.Array(
      strict({
        reason: Type.Enum([...terminationReasons]),
        at: Timestamp,
        inSeconds: Type.Integer({ minimum: 0, examples: [1_742] }),
        detail: Type.String({ examples: ["No lease of this tenant lives longer."] }),
      }),
      { description: "Everything that could end it, the first first." },
    ),
    warnedAt: orNull(
      Type.String({
        description: "When its owner is, or was, warned by the event `lease.expiring`.",
        examples: ["2026-11-20T12:28:00Z"],
      }),
    ),
  },
  { title: "LeaseExpiry" },
);
export type Expiry = Static<typeof Expiry>;
