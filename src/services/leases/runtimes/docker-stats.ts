import type { Stats } from "./types.ts";

/** The part of the engine's `GET /containers/{id}/stats` that is read. */
export interface EngineStats {
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly pids_stats?: { readonly current?: number };
  readonly networks?: Readonly<
    Record<string, { readonly rx_bytes?: number; readonly tx_bytes?: number }>
  >;
}

/**
 * Numbers as the service shows them. Files that the kernel only keeps for speed don't count as the
 * container's memory, as in `docker stats`.
 */
export function statsOf(seen: EngineStats, diskBytes: number | null): Stats {
  const { usage = 0, limit = 0, stats = {} } = seen.memory_stats ?? {};
  const kept = stats["total_inactive_file"] ?? stats["inactive_file"] ?? 0;
  const networks = seen.networks === undefined ? null : Object.values(seen.networks);
  const sum = (member: "rx_bytes" | "tx_bytes") =>
    networks?.reduce((total, each) => total + (each[member] ?? 0), 0) ?? null;
  return {
    cpuSeconds: (seen.cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e9,
    memoryBytes: kept < usage ? usage - kept : usage,
    memoryLimitBytes: limit,
    pids: seen.pids_stats?.current ?? 0,
    networkInBytes: sum("rx_bytes"),
    networkOutBytes: sum("tx_bytes"),
    diskBytes,
  };
}
