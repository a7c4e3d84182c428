import { type Static, Type } from "typebox";
import { changesOf, Id, ListQuery, newOf, pageOf, stamps, strict } from "#kernel/http/schemas.ts";
import {
  Command,
  CpuMillis,
  description,
  DiskMb,
  IdleTtlSeconds,
  MaxRestarts,
  MemoryMb,
  orNull,
  Ports,
  PreStop,
  TtlSeconds,
} from "./common.ts";

const price = (says: string, maximum: number) =>
  orNull(
    Type.Integer({
      minimum: 0,
      maximum,
      description: `${says}, in the minor unit; null for the installation's own price.`,
      examples: [4],
    }),
  );
const most = (says: string, maximum: number) =>
  orNull(Type.Integer({ minimum: 1, maximum, description: says, examples: [2_048] }));

const members = {
  name: Type.String({
    pattern: "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$",
    description: "By which leases name it.",
    examples: ["python"],
  }),
  description,
  image: Type.String({
    minLength: 1,
    maxLength: 300,
    description: "An image that the tenant may lease; the platform's own may be any, by digest.",
    examples: ["python:3.13-slim"],
  }),
  command: orNull(Command),
  cpuMillis: CpuMillis,
  memoryMb: MemoryMb,
  diskMb: orNull(DiskMb),
  ttlSeconds: TtlSeconds,
  idleTtlSeconds: orNull(IdleTtlSeconds),
  maxCpuMillis: most("Most CPU that a lease of it may ask for.", 256_000),
  maxMemoryMb: most("Most memory that a lease of it may ask for.", 4_194_304),
  maxDiskMb: most("Most disk that a lease of it may ask for.", 16_777_216),
  maxTtlSeconds: most("Longest time to live that a lease of it may ask for.", 31_536_000),
  pidsMax: Type.Integer({ minimum: 8, maximum: 512, examples: [256] }),
  user: orNull(
    Type.String({
      pattern: "^[0-9]{1,10}:[0-9]{1,10}$",
      description: "Of the image's own without one, and nobody (65534) where that is root.",
      examples: ["1000:1000"],
    }),
  ),
  writable: Type.Boolean({
    description: "Only what a writable container has written is kept by a snapshot.",
    examples: [false],
  }),
  egress: Type.Enum(["none", "internet"], {
    description: "What it may reach; private addresses and its neighbours never.",
    examples: ["none"],
  }),
  ociRuntime: orNull(
    Type.String({
      pattern: "^[a-z0-9][a-z0-9._-]{0,62}$",
      description: "Such as runsc; an engine that does not have it refuses the lease.",
      examples: ["runsc"],
    }),
  ),
  ports: Ports,
  preStop: orNull(PreStop),
  snapshotOnEnd: Type.Boolean({ examples: [false] }),
  maxRestarts: MaxRestarts,
  priceCpuHourMinor: price("A CPU for an hour", 1_000_000),
  priceGbHourMinor: price("A gigabyte of memory for an hour", 1_000_000),
  priceFlatMinor: price("Each lease", 100_000_000),
  warmSize: Type.Integer({
    minimum: 0,
    maximum: 20,
    description:
      "Containers that are kept running for the next leases, which then begin at once. A lease " +
      "with variables, a command or a size of its own can't have one.",
    examples: [2],
  }),
  active: Type.Boolean({ description: "Only active ones can be leased.", examples: [true] }),
};

const scope = Type.Enum(["tenant", "platform"], {
  description: "Whose it is: the platform's may be leased by everybody.",
  examples: ["tenant"],
});

export const Template = strict(
  { id: Id, scope, ...members, ...stamps },
  { title: "LeaseTemplate" },
);
export type Template = Static<typeof Template>;

const wanted = newOf(members, ["name", "image"]);
export const NewTemplate = strict(
  { scope: Type.Optional(scope), ...wanted.properties },
  { title: "NewLeaseTemplate", examples: [{ name: "python", image: "python" }] },
);
export type NewTemplate = Static<typeof NewTemplate>;

export const TemplateChanges = changesOf(members, {
  title: "LeaseTemplateChanges",
  examples: [{ memoryMb: 1_024 }],
});
export type TemplateChanges = Static<typeof TemplateChanges>;

export const TemplateFilter = strict({
  ...ListQuery.properties,
  scope: Type.Optional(scope),
  active: Type.Optional(Type.Boolean({ description: "Only active ones, or only retired ones." })),
});
export type TemplateFilter = Static<typeof TemplateFilter>;

export const TemplatePage = pageOf(Template, { title: "LeaseTemplatePage" });
