import { type Static, Type } from "typebox";
import {
  changesOf,
  Id,
  line,
  ListQuery,
  newOf,
  pageOf,
  stamps,
  strict,
} from "#kernel/http/schemas.ts";
import { orNull, whole } from "./common.ts";

const node = Type.String({
  minLength: 3,
  maxLength: 260,
  description: "host:port, one that this installation allows.",
  examples: ["redis-1.example.com:6379"],
});
const nodes = (description: string, example: string[]) =>
  Type.Array(node, {
    minItems: 1,
    maxItems: 8,
    uniqueItems: true,
    description,
    examples: [example],
  });

const topologyMembers = {
  seed: Type.Optional(whole(0, 2 ** 32 - 1, "Of the embedded engine's chance.", 7)),
  primary: Type.Optional(node),
  replicas: Type.Optional(nodes("Of Redis, besides the primary.", ["redis-2.example.com:6379"])),
  endpoints: Type.Optional(nodes("Of etcd.", ["etcd-1.example.com:2379"])),
};

export const NewTopology = strict(
  {
    ...topologyMembers,
    password: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description: "Of Redis; sealed when stored and never shown.",
        examples: ["s3cr3t"],
      }),
    ),
  },
  { title: "NewTopology", description: "Where its nodes are.", examples: [{ seed: 7 }] },
);
export type NewTopology = Static<typeof NewTopology>;

export const StoreTopology = strict(
  {
    ...topologyMembers,
    hasPassword: Type.Optional(Type.Boolean({ description: "Of Redis.", examples: [false] })),
  },
  { title: "StoreTopology", examples: [{ seed: 7 }] },
);
export type StoreTopology = Static<typeof StoreTopology>;

export const Breaker = strict(
  {
    failures: whole(1, 100, "So many in a row open it.", 3),
    openMs: whole(50, 600_000, "After so long it lets probes through.", 500),
  },
  { description: "Around each replica." },
);

const changeable = {
  name: line(100, "Unique in the tenant.", "Cart"),
  maxStalenessMs: orNull(whole(1, 600_000, "How old a bounded read may be.", 500)),
  maxStalenessVersions: orNull(whole(0, 1_000_000, "How many writes it may miss.", 10)),
  operationTimeoutMs: whole(50, 30_000, "After so long a request is answered.", 1_000),
  breaker: Breaker,
};

const fixed = {
  engine: Type.Enum(["embedded", "redis", "etcd"], {
    description: "Embedded is for learning and testing: it lives in one process's memory.",
    examples: ["embedded"],
  }),
  mode: Type.Enum(["CP", "AP"], {
    description:
      "CP refuses rather than be wrong; AP answers from what is reachable. Also the level of " +
      "requests that ask for none: strong, or eventual.",
    examples: ["CP"],
  }),
  replicas: whole(1, 9, "3 or 5 of the embedded engine; of others, as the topology says.", 3),
};

export const Store = strict(
  { id: Id, ...changeable, ...fixed, topology: StoreTopology, ...stamps },
  { title: "Store" },
);
export type Store = Static<typeof Store>;

export const StorePage = pageOf(Store, { title: "StorePage" });

export const NewStore = newOf({ ...changeable, ...fixed, topology: NewTopology }, ["name"], {
  title: "NewStore",
  examples: [{ name: "Cart", mode: "CP", operationTimeoutMs: 1_000 }],
});
export type NewStore = Static<typeof NewStore>;

export const StoreChanges = changesOf(changeable, {
  title: "StoreChanges",
  examples: [{ operationTimeoutMs: 2_000 }],
});
export type StoreChanges = Static<typeof StoreChanges>;

export const StoreFilter = ListQuery;
export type StoreFilter = Static<typeof StoreFilter>;
