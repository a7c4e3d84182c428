import type { FieldError } from "#kernel/errors.ts";
import type { StoreSpec, Topology } from "../engines/types.ts";
import { consistencyErrors } from "../errors.ts";
import type { NewStore, NewTopology, Store, StoreTopology } from "../schemas/stores.ts";
import type { HistoryMeta, LevelName } from "./history.ts";

export const storesMost = 100;

const usual = {
  engine: "embedded",
  mode: "CP",
  maxStalenessMs: null,
  maxStalenessVersions: null,
  operationTimeoutMs: 1_000,
  breaker: { failures: 3, openMs: 500 },
} as const;

/** What a new store is, as far as its maker decides it. */
export type StoreValues = Omit<Store, "id" | "version" | "createdAt" | "updatedAt">;

/**
 * A new store with what was left out. `seed` is of the embedded engine that names none. Throws
 * `bad_topology` and `node_not_allowed`.
 */
export function newStore(
  wanted: NewStore,
  { seed, allowedNodes }: { seed: number; allowedNodes: ReadonlySet<string> },
): StoreValues & { password: string | null } {
  const { topology = {}, replicas, ...rest } = wanted;
  const values = { ...usual, ...rest };
  assertMembers(values.engine, topology);
  const nodes = nodesOf(topology);
  for (const { node, path } of nodes) {
    if (allowedNodes.has(node.toLowerCase())) continue;
    throw consistencyErrors.node_not_allowed({
      detail: `No store may name the node "${node}"; whoever runs this installation can allow it.`,
      errors: [{ path, message: "is not allowed" }],
    });
  }
  const count = values.engine === "embedded" ? (replicas ?? 3) : nodes.length;
  if (values.engine === "embedded" ? count !== 3 && count !== 5 : (replicas ?? count) !== count) {
    const must = values.engine === "embedded" ? "be 3 or 5" : `be ${count}, as the nodes are`;
    throw badTopology(`The replicas are ${replicas}; they must ${must}.`, "/replicas", must);
  }
  assertBounds(values);
  const { password = null, ...shown } = topology;
  const ofEngine: StoreTopology =
    values.engine === "embedded"
      ? { seed: shown.seed ?? seed }
      : values.engine === "redis"
        ? { ...shown, hasPassword: password !== null }
        : shown;
  return { ...values, replicas: count, topology: ofEngine, password };
}

/** Throws `bad_bounds`: nobody knows how many writes the others of an AP store have accepted. */
export function assertBounds({
  mode,
  maxStalenessVersions,
}: Pick<StoreValues, "mode" | "maxStalenessVersions">): void {
  if (mode === "CP" || maxStalenessVersions === null) return;
  throw consistencyErrors.bad_bounds({
    detail: "An AP store can't bound its staleness in versions; bound it in time, or make it CP.",
    errors: [{ path: "/maxStalenessVersions", message: "must be null in AP" }],
  });
}

const badTopology = (detail: string, path: string, must: string) => {
  const errors: FieldError[] = [{ path, message: `must ${must}` }];
  return consistencyErrors.bad_topology({ detail, errors });
};

const membersOf = {
  embedded: { needed: [], known: ["seed"] },
  redis: { needed: ["primary"], known: ["primary", "replicas", "password"] },
  etcd: { needed: ["endpoints"], known: ["endpoints"] },
} as const satisfies Record<Store["engine"], { needed: string[]; known: string[] }>;

function assertMembers(engine: Store["engine"], topology: NewTopology): void {
  const { needed, known }: { needed: readonly string[]; known: readonly string[] } =
    membersOf[engine];
  for (const name of Object.keys(topology)) {
    if (known.includes(name)) continue;
    const detail = `The topology has "${name}", which ${engine} does not know.`;
    throw badTopology(detail, `/topology/${name}`, "be left out");
  }
  for (const name of needed) {
    if (name in topology) continue;
    const detail = `The topology lacks "${name}", which ${engine} needs.`;
    throw badTopology(detail, `/topology/${name}`, "be given");
  }
}

function nodesOf({ primary, replicas = [], endpoints = [] }: NewTopology) {
  const listed = (name: string) => (node: string, at: number) => ({
    node,
    path: `/topology/${name}/${at}`,
  });
  return [
    ...(primary === undefined ? [] : [{ node: primary, path: "/topology/primary" }]),
    ...replicas.map(listed("replicas")),
    ...endpoints.map(listed("endpoints")),
  ];
}

/** What an engine is told of a store. */
export function specOf(store: StoreValues, password: string | null): StoreSpec {
  const { mode, maxStalenessMs, maxStalenessVersions, operationTimeoutMs, breaker } = store;
  return {
    mode,
    replicas: store.replicas === 5 ? 5 : 3,
    maxStalenessMs,
    maxStalenessVersions,
    operationTimeoutMs,
    breaker,
    topology: topologyOf(store, password),
  };
}

function topologyOf({ engine, topology }: StoreValues, password: string | null): Topology {
  const { seed = 1, primary = "", replicas = [], endpoints = [] } = topology;
  if (engine === "embedded") return { kind: engine, seed };
  if (engine === "redis") return { kind: engine, primary, replicas, password };
  return { kind: engine, endpoints };
}

/** The level of a request that asks for none. */
export const usualLevel = (mode: Store["mode"]): LevelName =>
  mode === "CP" ? "strong" : "eventual";

/** How late this process's own timers may be before an answer counts as late. */
const timersLateMs = 250;

/** What holds for a store's history as a whole. */
export function historyMeta(store: Pick<Store, keyof StoreValues>): Partial<HistoryMeta> {
  const { name, mode, maxStalenessMs, maxStalenessVersions, operationTimeoutMs } = store;
  return {
    name,
    versions: "global",
    maxStalenessMs,
    maxStalenessVersions,
    operationTimeoutMs: operationTimeoutMs + timersLateMs,
    // What an AP store answers is its replicas' and its breakers' to say; only CP is a promise.
    mode: mode === "CP" ? mode : null,
  };
}
