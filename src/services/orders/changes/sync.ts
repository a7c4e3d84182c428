import { createHash } from "node:crypto";
import { accessErrors } from "#kernel/access/errors.ts";
import type { Clock } from "#kernel/clock.ts";
import { isConnectionError } from "#kernel/db/pg-errors.ts";
import type { Db, OnBehalf, Tx } from "#kernel/db/types.ts";
import { type Problem, requestErrors } from "#kernel/errors.ts";
import { problemOf } from "#kernel/http/problem.ts";
import { isUuid, type Random } from "#kernel/random.ts";
import type { Logger } from "#kernel/telemetry/logger.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { ordersErrors } from "../errors.ts";
import type { Caller } from "../rules/orders.ts";
import {
  alreadySays,
  assertState,
  permissionsFor,
  priceDifferences,
  referencesOf,
  type SyncType,
  type SyncVerb,
  textOfChange,
  verbOf,
  whyNotMoved,
  withIds,
} from "../rules/sync.ts";
import type { Order } from "../schemas/orders.ts";
import type { SyncItem, SyncResult } from "../schemas/sync.ts";
import { keepReceipt, lockSyncKey, nameOf, readReceipts } from "../store/sync.ts";
import { type Resource, syncKinds } from "./sync-kinds.ts";

export interface SyncContext {
  db: Db;
  random: Random;
  clock: Clock;
  log: Logger;
  tenant: TenantRef;
  caller: Caller;
  on: OnBehalf;
  /** Throws `invalid` for data that the resource's own endpoint would refuse for its shape. */
  validate(type: SyncType, verb: "create" | "update", data: unknown): void;
}

type Result = Omit<SyncResult, "clientId" | "type" | "key">;

/**
 * Applies one item of a batch, in a transaction of its own and under the rules of the API: it calls
 * what the endpoints call. The key is locked first, so that the same item in another request waits
 * and is then known again. Never throws for what is wrong with the item; where the database is gone
 * the whole batch ends, to be sent again. `place` is the item's in the batch.
 */
export async function applySyncItem(
  context: SyncContext,
  item: SyncItem,
  place: number,
): Promise<SyncResult> {
  const { db, tenant, on } = context;
  const { clientId, type, key } = item;
  const guard = lockSyncKey(tenant.id, item);
  try {
    const result = await db.inTenant(tenant, (tx) => apply(tx, context, item, place), {
      ...on,
      guard,
    });
    return { clientId, type, key, ...result };
  } catch (error) {
    if (isConnectionError(error)) throw error;
    return { clientId, type, key, ...refused(error, context, place) };
  }
}

async function apply(tx: Tx, context: SyncContext, item: SyncItem, place: number): Promise<Result> {
  const { caller } = context;
  const { type, key, data } = item;
  const baseVersion = item.baseVersion ?? 0;
  const verb = verbOf(baseVersion, data);
  if (verb === "delete" && !syncKinds[type].remove) {
    throw requestErrors.method_not_allowed({ detail: "Orders are cancelled, never deleted." });
  }
  assertState(type, verb, data);
  assertMay(caller, permissionsFor(type, verb, data));
  const change = createHash("sha256").update(textOfChange(baseVersion, data)).digest();
  const { receipt, ids } = await readReceipts(tx, item, change, referencesOf(type, data));
  const id = receipt?.resourceId ?? serverId(baseVersion, key);
  const before = id === null ? null : await syncKinds[type].lock(tx, id, caller);
  const resolved = data && withIds(type, data, (of, name) => ids.get(nameOf(of, name)) ?? name);
  const shown = (outcome: Result["outcome"], resource: Resource | null) =>
    answer(outcome, id, resource, resolved);

  // Orders are never deleted: one that was made and can't be seen is somebody else's.
  if (receipt && !before && type === "order") throw requestErrors.not_found();
  if (receipt?.isKnown) return shown("unchanged", before);
  if (!before && (verb === "delete" || receipt)) {
    return shown(verb === "delete" ? "unchanged" : "conflict", null);
  }
  if (!before && verb === "update") throw requestErrors.not_found();
  if (before && resolved && alreadySays(type, before, resolved)) return shown("unchanged", before);
  if (before && before.version !== baseVersion) return shown("conflict", before);
  const why =
    before && type === "order" && resolved ? whyNotMoved(orderOf(before), resolved) : null;
  if (why) return { ...shown("conflict", before), problem: publicOf(why, place) };
  const made = await write(tx, context, item, { verb, before, data: resolved });
  tx.defer(keepReceipt(tx.tenant.id, item, made?.id ?? (id as string), change));
  return answer("applied", made?.id ?? id, made, resolved);
}

interface Work {
  verb: SyncVerb;
  before: Resource | null;
  /** With the server's ids. */
  data: Record<string, unknown> | null;
}

/** Null: the resource was deleted. */
async function write(
  tx: Tx,
  context: SyncContext,
  { type }: SyncItem,
  { verb, before, data }: Work,
): Promise<Resource | null> {
  const kind = syncKinds[type];
  if (verb === "delete") {
    await kind.remove?.(tx, before as Resource);
    return null;
  }
  assertResolved(type, data as Record<string, unknown>);
  context.validate(type, verb, data);
  return before
    ? kind.change(tx, context, before, data as Record<string, unknown>)
    : kind.create(tx, context, data as Record<string, unknown>);
}

function assertMay({ scopeOf }: Caller, permissions: readonly string[]): void {
  const missing = permissions.find((permission) => scopeOf(permission) === undefined);
  if (missing === undefined) return;
  throw accessErrors.forbidden({ detail: `This needs the permission "${missing}".` });
}

/** What a till got from the server it calls by the server's id. */
function serverId(baseVersion: number, key: string): string | null {
  const id = key.toLowerCase();
  return baseVersion > 0 && isUuid(id) ? id : null;
}

function assertResolved(type: SyncType, data: Record<string, unknown>): void {
  const unknown = referencesOf(type, data).filter(({ key }) => !isUuid(key.toLowerCase()));
  const [first] = unknown;
  if (!first) return;
  throw ordersErrors.sync_unknown_key({
    detail: `This till has brought in no ${first.type} with the key "${first.key}".`,
    errors: unknown.map(({ path }) => ({ path, message: "is no known key and no id" })),
  });
}

function answer(
  outcome: Result["outcome"],
  id: string | null,
  resource: Resource | null,
  data: Record<string, unknown> | null,
): Result {
  const differences = pricesOf(resource, data);
  return {
    outcome,
    id,
    version: resource?.version ?? null,
    resource,
    ...(differences.length > 0 && { priceDifferences: differences }),
  };
}

function pricesOf(order: Resource | null, data: Record<string, unknown> | null) {
  if (!order || !Array.isArray(order.items) || !Array.isArray(data?.items)) return [];
  return priceDifferences(order as unknown as Parameters<typeof priceDifferences>[0], data.items);
}

const orderOf = (resource: Resource) => resource as unknown as Order;

function refused(error: unknown, { log }: SyncContext, place: number): Result {
  const problem: Problem = problemOf(error);
  const { code, status, options } = problem;
  if (status >= 500)
    log.error({ err: options.cause ?? error, code }, "an item could not be synced");
  return {
    outcome: "refused",
    id: null,
    version: null,
    resource: null,
    problem: publicOf(problem, place),
  };
}

/** What of a problem is answered, with paths into the batch. */
function publicOf({ code, title, status, options }: Problem, place: number): SyncResult["problem"] {
  const errors = options.errors?.map(({ path, message }) => ({
    path: `/items/${place}/data${path}`,
    message,
  }));
  const detail = options.detail ?? `${title}.`;
  return { ...options.extensions, code, title, status, detail, ...(errors && { errors }) };
}
