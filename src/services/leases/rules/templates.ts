import type { Limits } from "./config.ts";
import { allowedImage, parseImage } from "./images.ts";
import { leasesErrors } from "../errors.ts";
import type { NewTemplate, Template } from "../schemas/templates.ts";
import { presets } from "./presets.ts";
import { assertRanges, assertWritable, defaultMaxRestarts, defaultPidsMax } from "./request.ts";

/** What of a template its owner decides. */
export type TemplateValues = Omit<Template, "id" | "scope" | "version" | "createdAt" | "updatedAt">;

/** What holds of a new template that says nothing of it. */
const usual: Omit<TemplateValues, "name" | "image"> = {
  description: "",
  command: null,
  cpuMillis: presets.standard.cpuMillis,
  memoryMb: presets.standard.memoryMb,
  diskMb: null,
  ttlSeconds: presets.standard.ttlSeconds,
  idleTtlSeconds: null,
  maxCpuMillis: null,
  maxMemoryMb: null,
  maxDiskMb: null,
  maxTtlSeconds: null,
  pidsMax: defaultPidsMax,
  user: null,
  writable: false,
  egress: "none",
  ociRuntime: null,
  ports: [],
  preStop: null,
  snapshotOnEnd: false,
  maxRestarts: defaultMaxRestarts,
  priceCpuHourMinor: null,
  priceGbHourMinor: null,
  priceFlatMinor: null,
  warmSize: 0,
  active: true,
};

/** A new template as it was asked for, with what is usual for the rest. */
export function templateOf({ scope: _, ...said }: NewTemplate): TemplateValues {
  return { ...usual, ...said };
}

/**
 * Throws for a template that could not be leased: `image_not_allowed`, `beyond_limit`, `read_only`.
 * The platform's own may be of any image, and are bound by no tenant's limits.
 */
export function assertTemplate(values: TemplateValues, limits: Limits | null): void {
  const { image, cpuMillis, memoryMb, diskMb, ttlSeconds } = values;
  const isAllowed = limits ? allowedImage(image, limits.allowedImages) : parseImage(image);
  if (isAllowed === null) {
    throw leasesErrors.image_not_allowed({
      detail: `"${image}" may not be leased.`,
      errors: [{ path: "/image", message: "is not on the list of allowed images" }],
    });
  }
  if (values.snapshotOnEnd) assertWritable(values, "/snapshotOnEnd");
  const most = (own: number | null, limit: number | undefined) =>
    Math.min(own ?? Number.MAX_SAFE_INTEGER, limit ?? Number.MAX_SAFE_INTEGER);
  const range = (path: string, value: number, own: number | null, limit?: number) => ({
    path,
    value,
    least: 1,
    most: most(own, limit),
  });
  assertRanges([
    range("/cpuMillis", cpuMillis, values.maxCpuMillis, limits?.maxCpuMillis),
    range("/memoryMb", memoryMb, values.maxMemoryMb, limits?.maxMemoryMb),
    range("/diskMb", diskMb ?? 1, values.maxDiskMb, limits?.maxDiskMb),
    range("/ttlSeconds", ttlSeconds, values.maxTtlSeconds, limits?.maxTtlSeconds),
  ]);
}
