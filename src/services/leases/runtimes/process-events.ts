import { watch } from "node:fs/promises";
import { basename, join } from "node:path";
import { containerFolders, lookMark } from "./process-folder.ts";
import { look } from "./process-view.ts";
import type { Identity, RuntimeEvent } from "./types.ts";

/**
 * What happens to an installation's containers, as the folder of their folders tells: a supervisor
 * lets a mark appear when its container is over; a folder whose name vanishes is a removal. One
 * whose supervisor was killed tells nothing, and is found by the next sweep. Those that are over
 * already are told first.
 */
export async function* processEvents(
  containers: string,
  installId: string,
  signal: AbortSignal,
): AsyncGenerator<RuntimeEvent> {
  const known = new Map<string, Identity>();
  const told = new Set<string>();
  const see = (name: string): RuntimeEvent | null => {
    const seen = look(join(containers, name), installId);
    const identity = seen?.kept.spec.identity ?? known.get(name);
    if (identity === undefined) return null;
    if (seen === null) {
      known.delete(name);
      told.delete(name);
      return { type: "removed", identity };
    }
    known.set(name, identity);
    if (seen.state !== "exited" || told.has(name)) return null;
    told.add(name);
    return { type: seen.end?.outOfMemory ? "out_of_memory" : "exited", identity };
  };
  const changes = watch(containers, { signal });
  try {
    for (const folder of containerFolders(containers)) {
      const event = see(basename(folder));
      if (event !== null) yield event;
    }
    for await (const { filename } of changes) {
      if (filename === null) continue;
      const name = filename.startsWith(lookMark) ? filename.slice(lookMark.length) : filename;
      const event = name.startsWith(".") ? null : see(name);
      if (event !== null) yield event;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
