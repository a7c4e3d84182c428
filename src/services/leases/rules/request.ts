import { type FieldError, type Problem } from "#kernel/errors.ts";
import { leasesErrors } from "../errors.ts";
import type { Egress, RuntimeName } from "../runtimes/types.ts";
import type { LeasesConfig, Limits } from "./config.ts";
import { allowedImage, priceOf } from "./images.ts";
import type { LeaseTerms, PreStop } from "./lease.ts";
import { microsOf, type Price, rateOf } from "./money.ts";
import { defaultPreset, type PresetName, presets } from "./presets.ts";

/** What somebody may say of a lease; the rest comes from a template, a preset or a default. */
export interface WantedLease {
  readonly name?: string;
  readonly preset?: PresetName;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly cpuMillis?: number;
  readonly memoryMb?: number;
  readonly diskMb?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly ports?: readonly number[];
  readonly ttlSeconds?: number;
  readonly idleTtlSeconds?: number;
  readonly preStop?: PreStop;
  readonly snapshotOnEnd?: boolean;
  readonly maxRestarts?: number;
}

/** What a template, or the lease that a snapshot was taken of, brings along. */
export interface Base {
  readonly templateId: string | null;
  readonly templateName: string | null;
  readonly restoredFrom: string | null;
  readonly image: string;
  readonly command: readonly string[] | null;
  readonly cpuMillis: number;
  readonly memoryMb: number;
  readonly diskMb: number | null;
  readonly ttlSeconds: number;
  readonly idleTtlSeconds: number | null;
  readonly maxCpuMillis: number | null;
  readonly maxMemoryMb: number | null;
  readonly maxDiskMb: number | null;
  readonly maxTtlSeconds: number | null;
  readonly pidsMax: number;
  readonly runAs: string | null;
  readonly writable: boolean;
  readonly egress: Egress;
  readonly ociRuntime: string | null;
  readonly ports: readonly number[];
  readonly preStop: PreStop | null;
  readonly snapshotOnEnd: boolean;
  readonly maxRestarts: number;
  /** Null: what the installation asks for the image. */
  readonly price: Partial<Record<keyof Price, number | null>> | null;
}

export const defaultPidsMax = 256;
export const defaultMaxRestarts = 3;

/** What a lease without a template stands on: read-only, alone, without a way out. */
function plainBase(wanted: WantedLease, limits: Limits): Base {
  if (wanted.image === undefined) {
    throw leasesErrors.no_image({
      detail: "Name an image that may be leased, or a template.",
      errors: [{ path: "/image", message: "is missing, and so is /template" }],
    });
  }
  const image = allowedImage(wanted.image, limits.allowedImages);
  if (image === null) throw notAllowed(wanted.image, limits);
  const { cpuMillis, memoryMb, ttlSeconds } = presets[wanted.preset ?? defaultPreset];
  return {
    templateId: null,
    templateName: null,
    restoredFrom: null,
    image,
    command: null,
    cpuMillis,
    memoryMb,
    diskMb: null,
    ttlSeconds,
    idleTtlSeconds: null,
    maxCpuMillis: null,
    maxMemoryMb: null,
    maxDiskMb: null,
    maxTtlSeconds: null,
    pidsMax: defaultPidsMax,
    runAs: null,
    writable: false,
    egress: "none",
    ociRuntime: null,
    ports: [],
    preStop: null,
    snapshotOnEnd: false,
    maxRestarts: defaultMaxRestarts,
    price: null,
  };
}

function notAllowed(image: string, { allowedImages }: Limits): Problem {
  const names = allowedImages.map(({ text }) => text);
  const list = names.length > 0 ? `what may be leased is ${names.join(", ")}` : "none may be";
  return leasesErrors.image_not_allowed({
    detail: `"${image}" may not be leased; ${list}.`,
    errors: [{ path: "/image", message: "is not on the list of allowed images" }],
  });
}

/** Members of the body that a template or a snapshot has decided. */
function assertUndecided(wanted: WantedLease, base: Base): void {
  const source = base.restoredFrom === null ? "template" : "snapshot";
  const said = (["image", "preset"] as const).filter((name) => wanted[name] !== undefined);
  if (said.length === 0) return;
  throw leasesErrors.template_decides({
    detail: `The ${source} says it already; leave out ${said.join(" and ")}.`,
    errors: said.map((name) => ({ path: `/${name}`, message: `is the ${source}'s to say` })),
  });
}

interface Range {
  readonly path: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
}

/** Throws `beyond_limit` naming each value that is not between its bounds. */
export function assertRanges(ranges: readonly Range[]): void {
  const errors: FieldError[] = ranges
    .filter(({ value, least, most }) => value < least || value > most)
    .map(({ path, least, most }) => ({ path, message: `must be ${least} to ${most}` }));
  if (errors.length === 0) return;
  const said = errors.map(({ path, message }) => `${path.slice(1)} ${message}`);
  throw leasesErrors.beyond_limit({ detail: `${said.join("; ")}.`, errors });
}

const leastOf = (...values: readonly (number | null)[]): number =>
  Math.min(...values.filter((value) => value !== null));

/** The bounds of a time to live under limits; `most` of a template among them. */
export const ttlRange = (value: number, limits: Limits, most: number | null = null): Range => ({
  path: "/ttlSeconds",
  value,
  least: limits.minTtlSeconds,
  most: leastOf(limits.maxTtlSeconds, limits.hardCapSeconds, most),
});

const leastCpuMillis = 10;
const leastMemoryMb = 16;
/** Of the whole time to live, when a warning comes at the earliest. */
const warnPart = 5;

interface Sizes {
  readonly cpuMillis: number;
  readonly memoryMb: number;
  readonly diskMb: number | null;
  readonly ttlSeconds: number;
}

function rangesOf({ cpuMillis, memoryMb, diskMb, ttlSeconds }: Sizes, base: Base, limits: Limits) {
  const range = (path: string, value: number, least: number, own: number | null, most: number) => ({
    path,
    value,
    least,
    most: leastOf(own, most),
  });
  return [
    range("/cpuMillis", cpuMillis, leastCpuMillis, base.maxCpuMillis, limits.maxCpuMillis),
    range("/memoryMb", memoryMb, leastMemoryMb, base.maxMemoryMb, limits.maxMemoryMb),
    range("/diskMb", diskMb ?? 1, 1, base.maxDiskMb, limits.maxDiskMb),
    ttlRange(ttlSeconds, limits, base.maxTtlSeconds),
  ];
}

/** Whose lease it is to be, and where its container comes from. */
export interface Agreed {
  readonly id: string;
  readonly ownerId: string;
  readonly runtime: RuntimeName;
  readonly runtimePlace: string;
  readonly nowMs: number;
}

/**
 * The terms of a lease: what was asked for, over what its template, snapshot or preset says, within
 * the tenant's limits. Throws `no_image`, `image_not_allowed`, `template_decides`, `beyond_limit`
 * and `read_only`.
 */
export function agree(
  wanted: WantedLease,
  given: Base | null,
  { limits, config }: { limits: Limits; config: LeasesConfig },
  { nowMs, ...agreed }: Agreed,
): { terms: LeaseTerms; ttlSeconds: number } {
  if (given) assertUndecided(wanted, given);
  const base = given ?? plainBase(wanted, limits);
  const cpuMillis = wanted.cpuMillis ?? base.cpuMillis;
  const memoryMb = wanted.memoryMb ?? base.memoryMb;
  const diskMb = wanted.diskMb ?? base.diskMb;
  const ttlSeconds = wanted.ttlSeconds ?? base.ttlSeconds;
  assertRanges(rangesOf({ cpuMillis, memoryMb, diskMb, ttlSeconds }, base, limits));
  const snapshotOnEnd = wanted.snapshotOnEnd ?? base.snapshotOnEnd;
  if (snapshotOnEnd) assertWritable(base, "/snapshotOnEnd");
  const price: Price = { ...priceOf(base.image, config.prices), ...known(base.price) };
  const terms: LeaseTerms = {
    ...agreed,
    name: wanted.name ?? null,
    templateId: base.templateId,
    templateName: base.templateName,
    restoredFrom: base.restoredFrom,
    image: base.image,
    command: wanted.command ?? base.command,
    preStop: wanted.preStop ?? base.preStop,
    envNames: Object.keys(wanted.env ?? {}).sort(),
    cpuMillis,
    memoryMb,
    diskMb,
    pidsMax: base.pidsMax,
    runAs: base.runAs,
    writable: base.writable,
    egress: base.egress,
    ociRuntime: base.ociRuntime,
    ports: [...new Set(wanted.ports ?? base.ports)],
    idleTtlSeconds: wanted.idleTtlSeconds ?? base.idleTtlSeconds,
    pauseSeconds: config.pauseSeconds,
    warnSeconds: Math.min(config.warnSeconds, Math.floor(ttlSeconds / warnPart)),
    snapshotOnEnd,
    maxRestarts: wanted.maxRestarts ?? base.maxRestarts,
    price,
    rate: rateOf(price, { cpuMillis, memoryMb }),
    flatMicros: microsOf(price.flatMinor),
    currency: config.currency,
    createdAtMs: nowMs,
    hardExpiresAtMs: nowMs + limits.hardCapSeconds * 1_000,
  };
  return { terms, ttlSeconds };
}

function known(price: Base["price"]): Partial<Price> {
  const said = Object.entries(price ?? {}).filter(([, minor]) => minor !== null);
  return Object.fromEntries(said);
}

/** Throws `read_only` where nothing of the container could be kept. */
export function assertWritable({ writable }: { writable: boolean }, path?: string): void {
  if (writable) return;
  throw leasesErrors.read_only({
    detail: "Its container is read-only: only a template that says `writable` can be kept.",
    ...(path !== undefined && { errors: [{ path, message: "needs a writable template" }] }),
  });
}

export const envNamesMost = 64;
const envBytesMost = 32_768;
const envName = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** Throws `bad_environment` for names that no shell knows, too many or too much of them. */
export function assertEnvironment(env: Readonly<Record<string, string>>): void {
  const entries = Object.entries(env);
  const errors: FieldError[] = entries
    .filter(([name]) => !envName.test(name))
    .map(([name]) => {
      const path = `/env/${name.slice(0, 128).replaceAll("~", "~0").replaceAll("/", "~1")}`;
      return { path, message: "is no name of a variable" };
    });
  if (entries.length > envNamesMost) {
    errors.push({ path: "/env", message: `has more than ${envNamesMost} variables` });
  }
  const bytes = entries.reduce((sum, [name, value]) => sum + name.length + utf8Bytes(value), 0);
  if (bytes > envBytesMost) {
    errors.push({ path: "/env", message: `has more than ${envBytesMost} bytes` });
  }
  if (errors.length === 0) return;
  throw leasesErrors.bad_environment({ detail: "Mend the variables that are named.", errors });
}

const utf8Bytes = (text: string): number => Buffer.byteLength(text, "utf8");
