import { join } from "node:path";
import { runtimeErrors } from "./errors.ts";
import { type Context, find, need, needRunning } from "./process-context.ts";
import { execIn, terminalIn } from "./process-exec.ts";
import { readFileBelow, writeFileBelow } from "./process-files.ts";
import { type DiskFile, readPart } from "./process-folder.ts";
import { readLog } from "./process-log.ts";
import { freeze, isAlive, listens, thaw, usageOf } from "./process-proc.ts";
import { deleteSnapshot, listKept, takeSnapshot } from "./process-snapshots.ts";
import type { Runtime, SnapshotRequest, TakenSnapshot } from "./types.ts";

const mebibyte = 1_048_576;

async function portAddress(context: Context, id: string, port: number) {
  const running = needRunning(context, id);
  const { kept, live } = running;
  if (!kept.spec.ports.includes(port)) {
    throw runtimeErrors.refused({ detail: `Port ${port} is not one of the container's.` });
  }
  if (!listens(live.init.pid, port)) return null;
  const { ownNetwork } = need(context, id).live ?? { ownNetwork: true };
  return ownNetwork ? context.ports.open(running, port) : { host: "127.0.0.1", port };
}

async function snapshot(
  context: Context,
  id: string,
  request: SnapshotRequest,
): Promise<TakenSnapshot> {
  const { options, places, tools } = context;
  if (!(await tools()).canTar) {
    throw runtimeErrors.refused({ detail: "There is no `tar` to archive the workspace with." });
  }
  const { folder, live, state } = need(context, id);
  // Standing still, its files are those of one moment.
  if (state === "running" && live !== null) await freeze(live.init, options.clock);
  try {
    return await takeSnapshot(places.snapshots, join(folder, "workspace"), request, options.random);
  } finally {
    if (state === "running" && live !== null) thaw(live.init);
  }
}

/** What is put into a container, kept of it and taken out. */
export function filesOf(context: Context) {
  const { random } = context.options;
  return {
    putFile: async (id, path, content, sizeBytesMax) => {
      const { folder, kept } = need(context, id);
      const { hostUid } = kept.way;
      const owner = hostUid === null ? null : { uid: hostUid, gid: hostUid };
      const root = join(folder, "workspace");
      return writeFileBelow(root, path, content, sizeBytesMax, owner, random);
    },
    getFile: async (id, path) => readFileBelow(join(need(context, id).folder, "workspace"), path),
    snapshot: (id, request) => snapshot(context, id, request),
    removeSnapshot: (image) => deleteSnapshot(context.places.snapshots, image),
    keptImages: async () => listKept(context.places.snapshots),
  } satisfies Partial<Runtime>;
}

/** What goes on in a running container. */
export function streamsOf(context: Context) {
  const { clock } = context.options;
  return {
    exec: async (id, request) => execIn(needRunning(context, id), request, clock),
    terminal: async (id, size, command) => {
      if (!(await context.tools()).canTerminal) {
        throw runtimeErrors.refused({ detail: "There is no `script` to make a terminal with." });
      }
      return terminalIn(needRunning(context, id), size, command, clock);
    },
    portAddress: (id, port) => portAddress(context, id, port),
    async *logs(id, request) {
      const { folder } = need(context, id);
      const isOver = () => (find(context, id)?.state ?? "exited") === "exited";
      yield* readLog(folder, request, clock, isOver);
    },
    stats: async (id) => {
      const { kept, live, state, folder } = need(context, id);
      if (live === null || !isAlive(live.init)) {
        throw runtimeErrors.conflict({ detail: `The container is ${state}; nothing runs in it.` });
      }
      return {
        ...usageOf(live.init),
        memoryLimitBytes: kept.spec.memoryMb * mebibyte,
        networkInBytes: null,
        networkOutBytes: null,
        diskBytes: readPart<DiskFile>(folder, "disk")?.bytes ?? null,
      };
    },
  } satisfies Partial<Runtime>;
}
