import { createHash } from "node:crypto";
import type { FastifyReply } from "fastify";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { requestErrors } from "#kernel/errors.ts";
import { isKnown } from "#kernel/http/etag.ts";
import { ById } from "#kernel/http/schemas.ts";
import { spoolBody } from "#kernel/http/spool.ts";
import type { Routes } from "#kernel/service.ts";
import { openStoreOf } from "../changes/ask.ts";
import { beginCheck, runCheck } from "../changes/checks.ts";
import { storeHistory } from "../changes/store-history.ts";
import { consistencyErrors } from "../errors.ts";
import { shownCheck } from "../rules/checks.ts";
import { Check, CheckFilter, CheckPage, NewStoreCheck, UploadQuery } from "../schemas/checks.ts";
import { getCheck, getCheckPage, listChecks } from "../store/checks.ts";
import type { ConsistencyDeps } from "../types.ts";
import { openErrors } from "./keys.ts";

const uploadBytesMost = 16 * 2 ** 20;
const arrivalTimeoutMs = 120_000;
const mediaTypes = ["application/x-ndjson", "text/plain", "application/edn"];
const unpack = promisify(gunzip);
const unpackedBytesMost = 64 * 2 ** 20;

const operationExample =
  '{"process":"c1","key":"x","op":"write","value":1,"call":0,"return":1,"outcome":"ok"}\n';

/** What histories proved. */
export const checkRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  readRoutes(app, deps);
  pageRoute(app, deps);
  storeCheckRoute(app, deps);
  uploadRoute(app, deps);
};

const readRoutes: Routes<ConsistencyDeps> = (app, { db, clock }) => {
  app.get(
    "/checks",
    {
      schema: {
        summary: "List checks",
        description: "Newest first. A tenant's last 200 are kept.",
        querystring: CheckFilter,
        response: { 200: CheckPage },
      },
      config: { permission: "check:read" },
    },
    async ({ tenant, query }) => {
      const { items, nextCursor } = await listChecks(db, tenant, query);
      return { items: items.map((one) => shownCheck(one, clock.nowMs())), nextCursor };
    },
  );

  app.get(
    "/checks/:id",
    {
      schema: {
        summary: "Get a check",
        description: "A verdict for every guarantee, each violation with its counterexample.",
        params: ById,
        response: { 200: Check },
      },
      config: { permission: "check:read" },
    },
    async ({ tenant, params }) => {
      const check = await getCheck(db, tenant, params.id);
      if (!check) throw requestErrors.not_found();
      return shownCheck(check, clock.nowMs());
    },
  );
};

const pageRoute: Routes<ConsistencyDeps> = (app, { db }) => {
  app.get(
    "/checks/:id/page",
    {
      schema: {
        summary: "Download a check's page",
        description: "The verdicts and a timeline, as one HTML file that needs nothing else.",
        params: ById,
        response: {
          200: {
            description: "The page.",
            content: { "text/html": { schema: { type: "string" }, example: "<!doctype html>" } },
          },
        },
      },
      config: { permission: "check:read", errors: [consistencyErrors.no_page] },
    },
    async (request, reply) => {
      const found = await getCheckPage(db, request.tenant, request.params.id);
      if (!found) throw requestErrors.not_found();
      if (!found.page) {
        throw consistencyErrors.no_page({
          detail: "It is not done, has failed, or its page would have more than 8 MiB.",
        });
      }
      const html = await unpack(found.page, { maxOutputLength: unpackedBytesMost });
      const tag = `"${createHash("sha256").update(html).digest("base64url")}"`;
      const isUnchanged = isKnown(request, reply, tag);
      const untyped = reply as FastifyReply;
      untyped
        .header("content-type", "text/html; charset=utf-8")
        // Its own policy, by hashes, is in the page: here it may not even be framed by ours.
        .header("content-security-policy", "sandbox allow-scripts; frame-ancestors 'none'")
        .header("content-disposition", `attachment; filename="check-${request.params.id}.html"`);
      return (isUnchanged ? untyped.code(304).send() : untyped.send(html)) as unknown as never;
    },
  );
};

const storeCheckRoute: Routes<ConsistencyDeps> = (app, deps) => {
  const { mutate, random, checker } = deps;
  app.post(
    "/stores/:id/checks",
    {
      schema: {
        summary: "Check a store's history",
        description:
          "As far as it is kept. Keys some of whose operations were dropped are left out; then " +
          "it finds violations but is never ok.",
        params: ById,
        body: NewStoreCheck,
        response: { 202: Check },
      },
      config: {
        permission: "check:create",
        idempotent: true,
        errors: [...openErrors, consistencyErrors.empty_history, consistencyErrors.checks_busy],
      },
    },
    async (request, reply) => {
      const { tenant, params, body, actor } = request;
      const opened = await openStoreOf(deps, tenant, params.id);
      checker.assertRoom();
      const { lines, leftOut } = await storeHistory(deps, opened, body);
      const check = {
        id: random.id(),
        storeId: params.id,
        leftOut,
        work: {
          name: opened.row.name,
          options: { level: body.level ?? null },
          source: { kind: "recorded", lines },
        },
      } as const;
      const on = { actor, requestId: request.id };
      return mutate(request, reply, 202, async (tx) => {
        tx.afterCommit(() => void runCheck(deps, tenant, check, on));
        return beginCheck(tx, deps, check);
      });
    },
  );
};

const uploadRoute: Routes<ConsistencyDeps> = (app, deps) => {
  const { mutate, random, checker } = deps;
  app.post(
    "/checks",
    {
      schema: {
        summary: "Check an uploaded history",
        description:
          "Of up to 16 MiB: NDJSON as `GET /stores/{id}/history` writes it, JSON, Jepsen's EDN, " +
          "lines of Jepsen's log, or Porcupine's key-value text.",
        querystring: UploadQuery,
        response: { 202: Check },
      },
      config: {
        permission: "check:create",
        accepts: mediaTypes,
        bodyExamples: {
          "application/x-ndjson": operationExample,
          "text/plain": "INFO  jepsen.util - 0\t:invoke\t:write\t1\n",
          "application/edn": "{:process 0, :type :invoke, :f :write, :value 1}\n",
        },
        bodyLimitBytes: uploadBytesMost,
        arrivalTimeoutMs,
        idempotent: true,
        errors: [consistencyErrors.checks_busy],
      },
    },
    async (request, reply) => {
      const { tenant, query, actor } = request;
      checker.assertRoom();
      const chunks: Buffer[] = [];
      const append = async (bytes: Buffer | string) => void chunks.push(Buffer.from(bytes));
      await spoolBody(request, { append, read: () => chunksOf(chunks) });
      const { name = "Uploaded history", format = null, model = null, level = null } = query;
      const check = {
        id: random.id(),
        storeId: null,
        leftOut: null,
        work: { name, options: { format, model, level }, source: { kind: "uploaded", chunks } },
      } as const;
      const on = { actor, requestId: request.id };
      return mutate(request, reply, 202, async (tx) => {
        tx.afterCommit(() => void runCheck(deps, tenant, check, on));
        return beginCheck(tx, deps, check);
      });
    },
  );
};

async function* chunksOf(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}
