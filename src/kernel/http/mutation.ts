import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Db, OnBehalf, Tx } from "../db/types.ts";
import { Problem, requestErrors } from "../errors.ts";
import type { Faults } from "../resilience/faults.ts";
import type { Sealer } from "../secrets/seal.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { etag } from "./etag.ts";
import {
  ANSWERED,
  claimIdempotencyKey,
  getKeptAnswer,
  type IdempotencyKey,
  isClaimTimeout,
  type KeptAnswer,
  keepAnswer,
} from "./store.ts";
import type { Mutate, MutatingReply, MutatingRequest } from "./types.ts";

export interface MutateOptions {
  db: Db;
  /** Encrypts kept answers of routes with `secretAnswer`. */
  sealer: Pick<Sealer, "seal" | "open">;
  clock: Clock;
  /** How long a duplicate waits for the first one before it is told to come back. */
  duplicateWaitMs: number;
  faults?: Pick<Faults, "at">;
}

type Answer = Omit<KeptAnswer, "requestHash">;

interface Claim extends IdempotencyKey {
  requestHash: Buffer;
  /** Names the key among all tenants' and callers'. */
  context: string;
  seals: boolean;
}

const JSON_TYPE = "application/json; charset=utf-8";

/**
 * Makes the function that changes things for requests, over one service's database. In order:
 *
 * 1. On routes with `idempotent`, reads Idempotency-Key (400 unless 1 to 255 printable characters).
 * 2. Opens the tenant transaction for the caller.
 * 3. Runs `work`. With a key, the key is claimed in the flight of its first statement, before it: a
 *    duplicate of a request under way waits there, then is answered with the kept bytes and
 *    `Idempotent-Replayed: true`; another request under the key is refused (422), and so is a wait
 *    that takes too long (409). `work` must therefore do nothing outside of the transaction before
 *    its first statement.
 * 4. What `work` throws rolls everything back: nothing is kept of a refusal. Null is `not_found`.
 * 5. Writes the answer with the route's own serializer; ETag from `version`, Location from `id` for
 *    201.
 * 6. With a key, the answer is kept by a statement that travels with COMMIT.
 * 7. Only after COMMIT does the handler get the result, to return it: the reply sends the kept
 *    bytes.
 */
export function createMutate(options: MutateOptions): Mutate {
  const { db } = options;
  const queue = createQueue(options);

  return async <T>(
    request: MutatingRequest,
    reply: MutatingReply,
    status: number,
    work: (tx: Tx) => Promise<T | null>,
  ) => {
    const claim = readClaim(request);
    const on = { actor: request.actor, requestId: request.id };
    const faults = request.routeOptions.config.spared ? undefined : options.faults;
    const change = async (tx: Tx) => {
      const made = await answerOf(request, reply, status, work, tx);
      await faults?.at("mutate.before_commit");
      return made;
    };
    const made = claim
      ? await queue(claim.context, () => once(options, request.tenant, claim, change, on))
      : await db.inTenant(request.tenant, change, on);
    await faults?.at("mutate.after_commit");
    const { answer, replayed } = made;
    reply.code(answer.status).headers(answer.headers);
    if (replayed) reply.header("idempotent-replayed", "true");
    reply.serializer(() => answer.body.toString());
    return made.result;
  };
}

interface Made<T> {
  answer: Answer;
  result: T;
  replayed: boolean;
}

/** Does the change under a key, or finds what it answered before. */
async function once<T>(
  { db, sealer }: MutateOptions,
  tenant: TenantRef,
  claim: Claim,
  change: (tx: Tx) => Promise<Made<T>>,
  on: OnBehalf,
): Promise<Made<T>> {
  const { requestHash, context, seals } = claim;
  try {
    return await db.inTenant(
      tenant,
      async (tx) => {
        const made = await change(tx);
        const body = seals ? sealer.seal(made.answer.body, context) : made.answer.body;
        tx.defer(
          keepAnswer(tenant.id, claim, { ...made.answer, requestHash, body, sealed: seals }),
        );
        return made;
      },
      { ...on, guard: claimIdempotencyKey(tenant.id, claim) },
    );
  } catch (error) {
    if (causesOf(error).some(isClaimTimeout)) throw inFlight(error);
    const isAnswered = causesOf(error).some(({ code }) => code === ANSWERED);
    // A refusal from before the first statement has not met the claim yet.
    if (!isAnswered && !(error instanceof Problem)) throw error;
    const kept = await keptFor(db, tenant, claim);
    if (kept) return replay<T>(kept, claim, sealer);
    throw isAnswered ? inFlight(error) : error;
  }
}

/** The error and the one that it was made of. */
function causesOf(error: unknown): { code?: unknown }[] {
  const { cause } = error as { cause?: object };
  return [error as object, ...(cause ? [cause] : [])];
}

function replay<T>(kept: Answer, { context }: Claim, sealer: MutateOptions["sealer"]): Made<T> {
  const body = kept.sealed ? sealer.open(kept.body, context) : kept.body;
  const result = body.length === 0 ? undefined : JSON.parse(body.toString());
  return { answer: { ...kept, body }, result, replayed: true };
}

/** Null where nothing is kept. Throws `idempotency_key_reused` where it is another request's. */
async function keptFor(db: Db, tenant: TenantRef, claim: Claim): Promise<Answer | null> {
  const kept = await getKeptAnswer(db, tenant, claim);
  if (!kept) return null;
  if (kept.requestHash.equals(claim.requestHash)) return kept;
  throw requestErrors.idempotency_key_reused({
    detail: "This key was used for a request with another address or body; make a new one.",
  });
}

const printable = /^[\x20-\x7e]{1,255}$/;

/** The Idempotency-Key of a request to a route with `idempotent`; null without. Throws 400. */
export function idempotencyKeyOf(request: MutatingRequest): string | null {
  const key = request.headers["idempotency-key"];
  if (key === undefined || !request.routeOptions.config.idempotent) return null;
  if (typeof key === "string" && printable.test(key)) return key;
  throw requestErrors.bad_idempotency_key({
    detail: "Idempotency-Key must be 1 to 255 printable ASCII characters.",
  });
}

function readClaim(request: MutatingRequest): Claim | null {
  const key = idempotencyKeyOf(request);
  if (key === null) return null;
  const { accepts } = request.routeOptions.config;
  if (accepts && request.bodyDigest === null && request.bodyBytes === null) {
    throw new Error(
      "A route that is idempotent and streams has to spool its body before it mutates",
    );
  }
  const { method, url } = request.raw;
  const requestHash = createHash("sha256")
    .update(`${method} ${url}\n`)
    .update(request.bodyDigest ?? request.bodyBytes ?? "")
    .digest();
  const principal = `${request.actor.kind}:${request.actor.id}`;
  return {
    key,
    principal,
    requestHash,
    context: `idempotency/${request.tenant.id}/${principal}/${key}`,
    seals: request.routeOptions.config.secretAnswer === true,
  };
}

function inFlight(cause?: unknown): Error {
  return requestErrors.idempotency_in_flight({
    detail: "Send it again in a moment to get its answer.",
    headers: { "retry-after": "1" },
    cause,
  });
}

async function answerOf<T>(
  request: MutatingRequest,
  reply: MutatingReply,
  status: number,
  work: (tx: Tx) => Promise<T | null>,
  tx: Tx,
): Promise<Made<T>> {
  const result = await work(tx);
  if (result === null) throw requestErrors.not_found();
  const headers: Record<string, string> = {};
  if (status === 204) {
    const answer = { status, headers, body: Buffer.alloc(0), sealed: false };
    return { answer, result, replayed: false };
  }
  const { version, id } = (result ?? {}) as { version?: unknown; id?: unknown };
  if (typeof version === "number") headers.etag = etag(version);
  if (status === 201 && typeof id === "string") headers.location = `${pathOf(request)}/${id}`;
  headers["content-type"] = JSON_TYPE;
  const text = reply.code(status).serialize(result) as string;
  const answer = { status, headers, body: Buffer.from(text), sealed: false };
  return { answer, result, replayed: false };
}

function pathOf(request: MutatingRequest): string {
  return (request.raw.url as string).split("?", 1)[0] as string;
}

type Queue = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/**
 * Lets duplicates that meet in this process wait here, for nothing, instead of each with a database
 * connection in its hands: a client that retries fast could otherwise drain the pool. Those that
 * meet in different processes wait for the row.
 */
function createQueue({ clock, duplicateWaitMs }: MutateOptions): Queue {
  const running = new Map<string, Promise<unknown>>();
  return async (key, work) => {
    if (running.has(key)) {
      const patience = new AbortController();
      const timeout = clock.sleep(duplicateWaitMs, patience.signal).then(
        () => "timeout",
        () => "stopped",
      );
      // Looked at again after each wait: of several that wake together, only one goes on.
      for (let first = running.get(key); first; first = running.get(key)) {
        if ((await Promise.race([first, timeout])) === "timeout") throw inFlight();
      }
      patience.abort();
    }
    const done = work();
    const settled = done.then(
      () => running.delete(key),
      () => running.delete(key),
    );
    running.set(key, settled);
    return done;
  };
}
