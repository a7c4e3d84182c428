import { type Static, Type } from "typebox";
import { Id, ListQuery, pageOf, stamps, strict } from "#kernel/http/schemas.ts";
import { description, orNone, orNull, OwnerId, title } from "./common.ts";

export const snapshotStates = ["pending", "ready", "failed", "deleting"] as const;

/** What was kept of a container, as everybody sees it who may. */
export const Snapshot = strict(
  {
    id: Id,
    name: orNull(title),
    description,
    tenantId: Id,
    ownerId: OwnerId,
    leaseId: Id,
    state: Type.Enum([...snapshotStates], { examples: ["ready"] }),
    automatic: Type.Boolean({ description: "Taken by itself at its lease's end." }),
    runtime: Type.Enum(["docker", "kubernetes", "process"]),
    sourceImage: Type.String({ examples: ["alpine:3.20"] }),
    sizeBytes: orNull(Type.Integer({ minimum: 0, examples: [8_388_608] })),
    message: orNone(Type.String({ examples: ["The container was gone before it was kept."] })),
    ...stamps,
  },
  { title: "LeaseSnapshot" },
);
export type Snapshot = Static<typeof Snapshot>;

export const NewSnapshot = strict(
  { name: Type.Optional(title), description: Type.Optional(description) },
  { title: "NewLeaseSnapshot", examples: [{ name: "Before the upgrade" }] },
);
export type NewSnapshot = Static<typeof NewSnapshot>;

export const SnapshotFilter = strict({
  ...ListQuery.properties,
  leaseId: Type.Optional(Id),
  state: Type.Optional(Type.Enum([...snapshotStates])),
});
export type SnapshotFilter = Static<typeof SnapshotFilter>;

export const SnapshotPage = pageOf(Snapshot, { title: "LeaseSnapshotPage" });
