import { timingSafeEqual } from "node:crypto";
import { type Clock, isoOf } from "../clock.ts";
import { isLockTimeout } from "../db/pg-errors.ts";
import type { Db, PlatformTx } from "../db/types.ts";
import { requestErrors } from "../errors.ts";
import type { Sealer } from "../secrets/seal.ts";
import * as store from "./kept-answer-store.ts";
import { keptAnswerTtlMs } from "./lifetimes.ts";
import { keptAnswerContext } from "./seal-contexts.ts";

/** A request that its sender may send again. */
export interface Repeat {
  /** The client's Idempotency-Key. */
  key: string;
  /** All that must be the same the second time, but for the password. */
  request: string;
}

/** An answer, and whether it is that of an earlier request. */
export interface Answered<T> {
  answer: T;
  replayed: boolean;
}

export interface KeptAnswerDeps {
  /** Of the platform's own tables. */
  db: Db;
  clock: Clock;
  sealer: Sealer;
}

type Outcome<T> = { answer: T } | { kept: store.KeptAnswerRow };

/**
 * Does `work` in one transaction, or answers what it answered before under the same key of the same
 * `caller`, for 24 hours: for requests that come before there is a tenant to keep answers in, as
 * `http/mutation.ts` does for all others. Nothing is kept of a refusal. Throws
 * ERR_REQUEST_IDEMPOTENCY_KEY_REUSED where the request is another one or `prove` says no, and
 * ERR_REQUEST_IDEMPOTENCY_IN_FLIGHT where the first one takes too long.
 */
export async function answerOnce<T extends object>(
  deps: KeptAnswerDeps,
  from: {
    caller: string;
    repeat: Repeat | null;
    /** Whether whoever asks again may have the answer; asked outside of any transaction. */
    prove?: () => Promise<boolean>;
  },
  work: (tx: PlatformTx) => Promise<T>,
): Promise<Answered<T>> {
  const { db, clock, sealer } = deps;
  const { caller, repeat, prove } = from;
  if (!repeat) return { answer: await db.inPlatform(work), replayed: false };
  const scope = sealer.code(JSON.stringify([caller, repeat.key]), "kept answer scope");
  const requestCode = sealer.code(repeat.request, "kept answer request");
  const context = keptAnswerContext(scope);
  const outcome = await db.inPlatform(async (tx): Promise<Outcome<T>> => {
    const nowMs = clock.nowMs();
    const kept = await store.claimAnswer(tx, scope, isoOf(nowMs)).catch(inFlight);
    if (kept) return { kept };
    const answer = await work(tx);
    const sealed = sealer.seal(Buffer.from(JSON.stringify(answer)), context);
    const expiresAt = isoOf(nowMs + keptAnswerTtlMs);
    tx.defer(store.keepAnswer({ scope, requestCode, sealed, expiresAt }));
    return { answer };
  });
  if ("answer" in outcome) return { answer: outcome.answer, replayed: false };
  const { kept } = outcome;
  // Asked in either case, so that a wrong password and another body look the same.
  const isProven = prove ? await prove() : true;
  if (!isProven || !timingSafeEqual(kept.requestCode, requestCode)) throw reused();
  return { answer: JSON.parse(sealer.open(kept.sealed, context).toString()), replayed: true };
}

function inFlight(error: unknown): never {
  if (!isLockTimeout(error)) throw error;
  throw requestErrors.idempotency_in_flight({
    detail: "Send it again in a moment to get its answer.",
    headers: { "retry-after": "1" },
    cause: error,
  });
}

function reused(): Error {
  return requestErrors.idempotency_key_reused({
    detail: "This key was used for a request with another body; make a new one.",
  });
}
