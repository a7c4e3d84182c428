import { type Static, Type } from "typebox";
import { Id, strict, Timestamp } from "#kernel/http/schemas.ts";
import { driftKinds } from "../rules/drift.ts";
import { orNull } from "./common.ts";

/** Where what is stored and what is there differ. */
export const DriftItem = strict(
  {
    kind: Type.Enum([...driftKinds], { examples: ["orphan_container"] }),
    tenantId: Id,
    leaseId: orNull(Type.String({ examples: ["019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a"] })),
    containerId: orNull(Type.String({ examples: ["4c01db0b339c"] })),
    containerName: orNull(Type.String({ examples: ["plm-3f9a1c2b4d-019a9f6e-1"] })),
    detail: Type.String({ examples: ["There is no such lease."] }),
  },
  { title: "LeaseDriftItem" },
);
export type DriftItem = Static<typeof DriftItem>;

export const Drift = strict(
  {
    checkedAt: Timestamp,
    containers: Type.Integer({ minimum: 0, description: "That were looked at.", examples: [12] }),
    leases: Type.Integer({ minimum: 0, description: "That were looked at.", examples: [12] }),
    items: Type.Array(DriftItem),
    unreachable: Type.Array(
      Type.String({ description: "Runtimes that did not answer.", examples: ["docker"] }),
    ),
  },
  { title: "LeaseDrift" },
);
export type Drift = Static<typeof Drift>;

export const RepairRequest = strict(
  {
    tenantId: Type.Optional(Id),
    kind: Type.Optional(Type.Enum([...driftKinds])),
    containerId: Type.Optional(Type.String({ minLength: 1, maxLength: 128, examples: ["4c01db"] })),
  },
  { title: "LeaseRepair", examples: [{ kind: "orphan_container" }] },
);
export type RepairRequest = Static<typeof RepairRequest>;

export const Repaired = strict(
  {
    repaired: Type.Array(DriftItem),
    failed: Type.Array(
      strict({ item: DriftItem, problem: Type.String({ examples: ["Docker does not answer."] }) }),
    ),
  },
  { title: "LeaseRepaired" },
);
export type Repaired = Static<typeof Repaired>;
