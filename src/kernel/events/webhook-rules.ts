import { createHmac } from "node:crypto";
import type { Random } from "../random.ts";

const secretPrefix = "whsec_";
const secretBytes = 32;

/** A signing secret as the Standard Webhooks specification writes it. */
export function newSecret(random: Random): string {
  return secretPrefix + random.bytes(secretBytes).toString("base64");
}

/**
 * The headers that let a receiver check who sent a message and when (Standard Webhooks 1.0,
 * standardwebhooks.com). Every secret signs, so that a receiver may know either of them while it
 * changes over.
 */
export function signedHeaders(
  message: { id: string; timestampSeconds: number; body: string },
  secrets: readonly string[],
): Record<string, string> {
  const signed = `${message.id}.${message.timestampSeconds}.${message.body}`;
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(secretPrefix.length), "base64");
    return `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
  });
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.timestampSeconds),
    "webhook-signature": signatures.join(" "),
  };
}

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** Pauses before the second, third … attempt: about three days in all. */
const retryPausesMs = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
] as const;

const longestRetryAfterMs = 24 * hour;
const holdAfterFailures = 10;
const longestHoldMs = 5 * minute;
const givenUpAfterMs = 5 * 24 * hour;

/** What an attempt met: an answer's status, or why there was none. */
export interface AttemptOutcome {
  status: number | null;
  error: string | null;
  latencyMs: number;
  excerpt: string | null;
  /** What the receiver asked for with Retry-After. */
  retryAfterMs: number | null;
}

export type Verdict =
  | { state: "delivered" }
  | { state: "failed" }
  | { state: "pending"; retryInMs: number };

/** What becomes of a delivery after its attempt number `attempt`, 1 being the first. */
export function judge(outcome: AttemptOutcome, attempt: number): Verdict {
  const { status, retryAfterMs } = outcome;
  if (status !== null && status >= 200 && status < 300) return { state: "delivered" };
  const pauseMs = retryPausesMs[attempt - 1];
  if (pauseMs === undefined || status === 410) return { state: "failed" };
  const askedMs = Math.min(retryAfterMs ?? 0, longestRetryAfterMs);
  return { state: "pending", retryInMs: Math.max(pauseMs, askedMs) };
}

/** Retry-After in milliseconds, from seconds or a date (RFC 9110); null for neither. */
export function retryAfter(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header)) return Number(header) * second;
  const dateMs = Date.parse(header);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - nowMs);
}

/** How long an endpoint rests that has failed so often in a row; after it one delivery is tried. */
export function holdMs(failuresInRow: number): number {
  if (failuresInRow < holdAfterFailures) return 0;
  return Math.min(5 * second * 2 ** (failuresInRow - holdAfterFailures), longestHoldMs);
}

/** How many deliveries of an endpoint are under way together; one where it keeps failing. */
export function batchSize(failuresInRow: number, most: number): number {
  return failuresInRow < holdAfterFailures ? most : 1;
}

/** Why an endpoint is switched off after a failure; null while it is not. */
export function disables(
  outcomes: readonly AttemptOutcome[],
  failingSinceMs: number | null,
  nowMs: number,
): "gone" | "failing" | null {
  if (outcomes.some(({ status }) => status === 410)) return "gone";
  const failing = failingSinceMs !== null && nowMs - failingSinceMs >= givenUpAfterMs;
  return failing ? "failing" : null;
}
