import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import type { Routes } from "#kernel/service.ts";
import { askKey, openStoreOf } from "../changes/ask.ts";
import { consistencyErrors } from "../errors.ts";
import type { EngineAsk } from "../engines/types.ts";
import { assertKey, assertValue, expectedKeyVersion, keyTag } from "../rules/keys.ts";
import { usualLevel } from "../rules/stores.ts";
import {
  ByKey,
  Consistency,
  type KeyAnswer as Answered,
  KeyAnswer,
  NewValue,
  SessionHeaders,
} from "../schemas/keys.ts";
import type { ConsistencyDeps } from "../types.ts";

export const openErrors = [
  consistencyErrors.store_elsewhere,
  consistencyErrors.too_many_open,
  consistencyErrors.no_engine,
];

const askErrors = [
  ...openErrors,
  consistencyErrors.refused,
  consistencyErrors.outcome_unknown,
  consistencyErrors.bad_session_token,
  consistencyErrors.stale_session,
];

const valueBytesMost = 65_536;

/** What stands in stores. Their own history is the record of it; the audit is not. */
export const keyRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  app.get(
    "/stores/:id/keys/:key",
    {
      schema: {
        summary: "Read a key",
        description: "A level is given or refused, never lowered.",
        params: ByKey,
        querystring: Consistency,
        headers: SessionHeaders,
        response: { 200: KeyAnswer },
      },
      config: { permission: "store:get", errors: [...askErrors, consistencyErrors.no_such_key] },
    },
    (request, reply) => answer(deps, request, reply, { op: "read", value: null }),
  );

  app.put(
    "/stores/:id/keys/:key",
    {
      schema: {
        summary: "Write a key",
        description:
          "With If-Match, only where that version stands there; with `If-None-Match: *`, only " +
          "where nothing does. 504 says that nobody knows whether it took effect.",
        params: ByKey,
        querystring: Consistency,
        headers: SessionHeaders,
        body: NewValue,
        response: { 200: KeyAnswer },
      },
      config: {
        permission: "store:put",
        acceptsIfMatch: true,
        bodyLimitBytes: valueBytesMost,
        errors: [...askErrors, consistencyErrors.version_mismatch],
      },
    },
    (request, reply) => {
      const { value } = request.body;
      assertValue(value);
      return answer(deps, request, reply, { op: "write", value });
    },
  );

  app.delete(
    "/stores/:id/keys/:key",
    {
      schema: {
        summary: "Delete a key",
        description: "Whether there was anything is not said; with If-Match, it was that version.",
        params: ByKey,
        querystring: Consistency,
        headers: SessionHeaders,
        response: { 200: KeyAnswer },
      },
      config: {
        permission: "store:put",
        errors: [...askErrors, consistencyErrors.version_mismatch],
      },
    },
    (request, reply) => answer(deps, request, reply, { op: "delete", value: null }),
  );
};

/** A compare-and-set where the headers name a version. */
function casOf(
  { headers }: MutatingRequest,
  op: EngineAsk["op"],
): Pick<EngineAsk, "op" | "expected"> {
  const version = op === "read" ? null : expectedKeyVersion(headers);
  if (version === null) return { op, expected: null };
  return { op: "cas", expected: version === "none" ? null : version };
}

async function answer(
  deps: ConsistencyDeps,
  request: MutatingRequest,
  reply: MutatingReply,
  { op, value }: Pick<EngineAsk, "op" | "value">,
): Promise<Answered> {
  const { tenant, params, query, headers } = request;
  const { id, key } = params as { id: string; key: string };
  assertKey(key);
  const opened = await openStoreOf(deps, tenant, id);
  const level = (query as Consistency).consistency ?? usualLevel(opened.row.mode);
  const sessionToken = headers["x-session-token"] as string | undefined;
  const ask = { ...casOf(request, op), value, tenant, key, level, sessionToken };
  const answered = await askKey(deps, opened, ask);
  const { version } = answered.receipt;
  if (version) reply.header("etag", keyTag(version));
  return answered;
}
