import { type Static, Type } from "typebox";
import { Currency, Id, strict, Timestamp } from "#kernel/http/schemas.ts";
import { Micros, Minor, orNull, OwnerId } from "./common.ts";

export const groupings = ["lease", "owner", "template", "image", "day"] as const;

const period = {
  from: Type.Optional(Timestamp),
  to: Type.Optional(Timestamp),
  owner: Type.Optional(OwnerId),
};

export const UsageFilter = strict({
  ...period,
  groupBy: Type.Enum([...groupings], {
    default: "day",
    description: "What each line is about; days are those of UTC.",
    examples: ["owner"],
  }),
});
export type UsageFilter = Static<typeof UsageFilter>;

const amounts = {
  leases: Type.Integer({ minimum: 0, examples: [3] }),
  seconds: Type.Integer({ minimum: 0, description: "That they ran.", examples: [5_400] }),
  cpuSeconds: Type.Integer({ minimum: 0, description: "CPU × time.", examples: [2_700] }),
  gbSeconds: Type.Integer({ minimum: 0, description: "Memory in GiB × time.", examples: [2_700] }),
  costMinor: Minor,
  costMicros: Micros,
};

export const Usage = strict(
  {
    from: Timestamp,
    to: Timestamp,
    groupBy: Type.Enum([...groupings]),
    items: Type.Array(
      strict({
        group: orNull(
          Type.String({
            description: "The lease, owner, template, image or day; null: none.",
            examples: ["2026-11-20"],
          }),
        ),
        ...amounts,
        currency: Currency,
      }),
    ),
    totals: Type.Array(strict({ currency: Currency, ...amounts }), {
      description: "Exact sums, one for each currency.",
    }),
    isPartial: Type.Boolean({
      description: "True where there are more lines than are shown; take the CSV then.",
    }),
  },
  { title: "LeaseUsage" },
);
export type Usage = Static<typeof Usage>;

export const UsageExportFilter = strict(period);
export type UsageExportFilter = Static<typeof UsageExportFilter>;

/** One interval in which a lease ran. */
export const Interval = strict({
  leaseId: Id,
  ownerId: OwnerId,
  template: orNull(Type.String({ examples: ["python"] })),
  image: Type.String({ examples: ["alpine:3.20"] }),
  startedAt: Timestamp,
  endedAt: orNull(Timestamp),
  milliseconds: Type.Integer({ minimum: 0, examples: [1_800_000] }),
  cpuMillis: Type.Integer({ examples: [500] }),
  memoryMb: Type.Integer({ examples: [512] }),
  costMicros: Micros,
  currency: Currency,
});
export type Interval = Static<typeof Interval>;

/** The columns of an export: the members of an interval, in their order. */
export const intervalColumns = Object.fromEntries(
  Object.keys(Interval.properties).map((name) => [
    name,
    (interval: Interval) => interval[name as keyof Interval],
  ]),
) as Record<keyof Interval, (interval: Interval) => unknown>;
