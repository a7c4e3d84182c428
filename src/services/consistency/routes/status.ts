import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { ById } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { openStoreOf } from "../changes/ask.ts";
import { faultsOf, healStore, injectFault } from "../changes/faults.ts";
import { activeFaults, headLines } from "../engines/registry-history.ts";
import { consistencyErrors } from "../errors.ts";
import { FaultsAnswer, NewFault, ReplicaBreakers, StoreStatus } from "../schemas/faults.ts";
import type { ConsistencyDeps } from "../types.ts";
import { openErrors } from "./keys.ts";

/** How stores are, what happens to them, and what has happened. */
export const statusRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  statusRoute(app, deps);
  breakersRoute(app, deps);
  faultRoutes(app, deps);
  historyRoute(app, deps);
};

const statusRoute: Routes<ConsistencyDeps> = (app, deps) => {
  app.get(
    "/stores/:id/status",
    {
      schema: {
        summary: "See how a store is",
        description: "Its replicas, lag, terms and breakers, and how much of its history is kept.",
        params: ById,
        response: { 200: StoreStatus },
      },
      config: { permission: "store:read", errors: openErrors },
    },
    async ({ tenant, params }) => {
      const { open } = await openStoreOf(deps, tenant, params.id);
      const { engine, recording } = open;
      return {
        storeId: open.id,
        generation: open.generation,
        process: engine.name === "embedded" ? deps.engines.process : null,
        nowMs: engine.nowMs(),
        faultKinds: [...engine.faultKinds],
        activeFaults: activeFaults(open),
        history: { operations: recording.kept, droppedOperations: recording.dropped },
        replicas: (await engine.status()).map((one) => ({ ...one })),
      };
    },
  );
};

const breakersRoute: Routes<ConsistencyDeps> = (app, deps) => {
  app.get(
    "/stores/:id/breakers",
    {
      schema: {
        summary: "See a store's breakers",
        params: ById,
        response: { 200: ReplicaBreakers },
      },
      config: { permission: "store:read", errors: openErrors },
    },
    async ({ tenant, params }) => {
      const { open } = await openStoreOf(deps, tenant, params.id);
      const replicas = await open.engine.status();
      return { items: replicas.map(({ name, breaker }) => ({ replica: name, ...breaker })) };
    },
  );
};

const faultRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  app.post(
    "/stores/:id/faults",
    {
      schema: {
        summary: "Inject a fault into a store",
        description: "It lasts until all are ended. Faults add up; a crash ends with them too.",
        params: ById,
        body: NewFault,
        response: { 200: FaultsAnswer },
      },
      config: {
        permission: "store:fault",
        errors: [...openErrors, consistencyErrors.bad_fault],
      },
    },
    async ({ tenant, params, body, actor, id: requestId }) => {
      const opened = await openStoreOf(deps, tenant, params.id);
      await injectFault(deps, tenant, opened, { fault: body, on: { actor, requestId } });
      return faultsOf(opened);
    },
  );

  app.delete(
    "/stores/:id/faults",
    {
      schema: {
        summary: "End a store's faults",
        description: "All of them: links are mended, what was stopped is started.",
        params: ById,
        response: { 200: FaultsAnswer },
      },
      config: { permission: "store:fault", errors: openErrors },
    },
    async ({ tenant, params, actor, id: requestId }) => {
      const opened = await openStoreOf(deps, tenant, params.id);
      await healStore(deps, tenant, opened, { actor, requestId });
      return faultsOf(opened);
    },
  );
};

const historyExample = `{"history":1,"name":"Cart","mode":"CP"}
{"id":"w1","session":"s1","process":"s1","key":"x","op":"write","value":4,"level":"strong",\
"call":0,"return":3.2,"outcome":"ok","replica":"n1","version":{"term":1,"seq":17}}
`;

const linesOfChunk = 1_000;

const historyRoute: Routes<ConsistencyDeps> = (app, deps) => {
  app.get(
    "/stores/:id/history",
    {
      schema: {
        summary: "Download a store's history",
        description:
          "Every operation that is kept, one JSON object a line, as `POST /checks` and `plimsoll " +
          "consistency check` read it. Kept are 200,000 operations or 32 MiB since the store was " +
          "opened; the first line says in `dropped` how many older ones are not there.",
        params: ById,
        response: {
          200: {
            description: "The history.",
            content: {
              "application/x-ndjson": { schema: { type: "string" }, example: historyExample },
            },
          },
        },
      },
      config: { permission: "store:read", errors: openErrors },
    },
    async ({ tenant, params }, given) => {
      // Its schema says text, and what is sent is a stream.
      const reply = given as FastifyReply;
      const { row, open } = await openStoreOf(deps, tenant, params.id);
      const [meta = "{}", ...others] = await headLines(row, open);
      const { recording, generation } = open;
      const first = { ...JSON.parse(meta), generation, dropped: recording.dropped };
      const lines = [JSON.stringify(first), ...others, ...recording.lines({ whole: false })];
      reply
        .header("content-type", "application/x-ndjson; charset=utf-8")
        .header("content-disposition", 'attachment; filename="history.ndjson"');
      return reply.send(Readable.from(chunks(lines))) as unknown as never;
    },
  );
};

function* chunks(lines: readonly string[]): Generator<string> {
  for (let at = 0; at < lines.length; at += linesOfChunk) {
    yield `${lines.slice(at, at + linesOfChunk).join("\n")}\n`;
  }
}
