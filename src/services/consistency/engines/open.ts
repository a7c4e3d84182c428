import type { OpenEngine } from "./registry.ts";

/** The engine of a store; those that a process never needs are never loaded. */
export const openEngine: OpenEngine = async (spec, around) => {
  const { kind } = spec.topology;
  if (kind === "redis") return (await import("./redis.ts")).createRedisEngine(spec, around);
  if (kind === "etcd") return (await import("./etcd.ts")).createEtcdEngine(spec, around);
  return (await import("./embedded.ts")).createEmbeddedEngine(spec, around);
};
