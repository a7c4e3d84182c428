import type { Clock } from "#kernel/clock.ts";
import { newerOf, noVersion } from "../engine/member.ts";
import type { Version } from "../rules/history.ts";
import type { Backend } from "./real-backend.ts";
import type { Freshness } from "./real-freshness.ts";
import type { Guard } from "./real-guard.ts";
import type { EngineAnswer, EngineAsk, StoreSpec } from "./types.ts";

/** What the parts of a real engine share. */
export interface Real {
  readonly backend: Backend;
  readonly guard: Guard;
  readonly freshness: Freshness;
  readonly spec: StoreSpec;
  readonly clock: Clock;
  nowMs(): number;
  /** A name for one more call that an ask makes. */
  callName(ask: EngineAsk): string;
  /** Ends what waits when the store is closed. */
  readonly closing: AbortSignal;
}

/** The barrier of a session that has now seen `version`. */
export function tokenAfter({ token }: EngineAsk, version: Version | null): EngineAnswer["token"] {
  return { version: newerOf(version ?? noVersion, token?.version ?? noVersion), vector: null };
}

/** The nodes whose breakers let a call through, then the others, whose refusals name the reason. */
export const admittedFirst = (guard: Guard, nodes: readonly string[]): string[] => [
  ...nodes.filter((node) => guard.admits(node)),
  ...nodes.filter((node) => !guard.admits(node)),
];

/** It never took effect. */
export const refusal = (ask: EngineAsk, replica: string | null, reason: string): EngineAnswer => ({
  status: "refused",
  reason,
  value: null,
  version: null,
  replica,
  acknowledgements: 0,
  achieved: null,
  stalenessMs: null,
  stalenessVersions: null,
  token: ask.token,
});
