import { createInterface } from "node:readline";
import type { Connection } from "./kubernetes-connection.ts";
import { ApiFailure, failureOf, problemOf } from "./kubernetes-errors.ts";
import { label } from "./kubernetes-objects.ts";
import { identityOf, isOutOfMemory, stateOf } from "./kubernetes-pod.ts";
import type { ListOf, Pod, Status } from "./kubernetes-types.ts";
import type { Identity, RuntimeEvent } from "./types.ts";

/** A watch ends by itself after this, and all is listed anew: some die without a word. */
const usualWatchSeconds = 240;
/** One that goes on for longer than it should has died. */
const patience = 1.25;
const pageSize = 500;
const firstWaitMs = 250;
const longestWaitMs = 30_000;

interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: Pod | Status;
}

/** All pods of the installation, and the version from which changes can be watched. */
export async function listPods(
  connection: Connection,
  signal?: AbortSignal,
): Promise<{ pods: Pod[]; version: string }> {
  const { namespace, installId } = connection.options;
  const pods: Pod[] = [];
  let next: string | undefined;
  for (;;) {
    const { body } = await connection.ask<ListOf<Pod>>("list the pods", {
      method: "GET",
      path: `/api/v1/namespaces/${namespace}/pods`,
      query: {
        labelSelector: `${label.install}=${installId}`,
        limit: pageSize,
        ...(next !== undefined && { continue: next }),
      },
      ...(signal && { signal }),
    });
    pods.push(...body.items);
    next = body.metadata.continue;
    if (!next) return { pods, version: body.metadata.resourceVersion };
  }
}

interface Known {
  readonly identity: Identity;
  isOver: boolean;
}

/** Compares what is seen with what is known, and gives what is new in it. */
function memory(installId: string) {
  const known = new Map<string, Known>();
  const see = (pod: Pod): RuntimeEvent | null => {
    const identity = identityOf(pod, installId);
    if (identity === null) return null;
    const one = known.get(pod.metadata.uid) ?? { identity, isOver: false };
    known.set(pod.metadata.uid, one);
    if (one.isOver || stateOf(pod) !== "exited") return null;
    one.isOver = true;
    return { type: isOutOfMemory(pod) ? "out_of_memory" : "exited", identity };
  };
  const forget = (uid: string): RuntimeEvent | null => {
    const one = known.get(uid);
    known.delete(uid);
    return one ? { type: "removed", identity: one.identity } : null;
  };
  return {
    see,
    forget,
    /** What has happened between two lists, or ever. */
    compare(pods: readonly Pod[]): RuntimeEvent[] {
      const uids = new Set(pods.map(({ metadata }) => metadata.uid));
      const gone = [...known.keys()].filter((uid) => !uids.has(uid)).map(forget);
      const seen = pods.map(see);
      return [...gone, ...seen].filter((event) => event !== null);
    },
  };
}

/** Changes since a version, until the server or the deadline ends it. */
async function* changesSince(
  connection: Connection,
  version: string,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  const { namespace, installId, watchSeconds = usualWatchSeconds } = connection.options;
  const limit = AbortSignal.timeout(watchSeconds * patience * 1_000);
  const answer = await connection.open("watch the pods", {
    method: "GET",
    path: `/api/v1/namespaces/${namespace}/pods`,
    query: {
      labelSelector: `${label.install}=${installId}`,
      watch: true,
      resourceVersion: version,
      allowWatchBookmarks: true,
      timeoutSeconds: watchSeconds,
    },
    signal: AbortSignal.any([signal, limit]),
  });
  const reader = createInterface({ input: answer });
  let fault: Error | null = null;
  answer.on("error", (error) => {
    fault = error;
    reader.close();
  });
  try {
    for await (const line of reader) {
      if (line !== "") yield JSON.parse(line) as WatchEvent;
    }
  } finally {
    answer.destroy();
  }
  if (fault !== null) throw problemOf("watch the pods", fault);
}

/**
 * What happens to an installation's pods: a list, then a watch from its version, again and again.
 * Those that are over when the first list comes are told too: nobody may have heard of it.
 * A version that is too old (410) only means that the next list comes at once; failures are waited
 * after, longer each time.
 */
export async function* podEvents(
  connection: Connection,
  signal: AbortSignal,
): AsyncGenerator<RuntimeEvent> {
  const { clock, random, installId, log } = connection.options;
  const ends = AbortSignal.any([signal, connection.closing]);
  const { see, forget, compare } = memory(installId);
  let waitMs = firstWaitMs;
  while (!ends.aborted) {
    try {
      const { pods, version } = await listPods(connection, ends);
      yield* compare(pods);
      for await (const { type, object } of changesSince(connection, version, ends)) {
        if (type === "ERROR") throw new ApiFailure((object as Status).code ?? 0, object as Status);
        waitMs = firstWaitMs;
        if (type === "BOOKMARK") continue;
        const pod = object as Pod;
        const event = type === "DELETED" ? forget(pod.metadata.uid) : see(pod);
        if (event !== null) yield event;
      }
    } catch (error) {
      if (ends.aborted) return;
      const isOld = failureOf(error)?.status === 410;
      if (!isOld) log.info({ err: error, waitMs }, "watching the pods failed");
    }
    if (ends.aborted) return;
    await clock.sleep(waitMs * (0.5 + random.float() / 2), ends).catch(() => {
      // Nobody listens any more; the loop sees it.
    });
    waitMs = Math.min(waitMs * 2, longestWaitMs);
  }
}
