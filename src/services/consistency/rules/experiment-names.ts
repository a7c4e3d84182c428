/** What can be tried on a store. */
export const experimentNames = [
  "partition-cp",
  "partition-ap",
  "failover-lost-write",
  "stale-read",
  "read-your-writes",
  "breaker-cycle",
] as const;
export type ExperimentName = (typeof experimentNames)[number];
