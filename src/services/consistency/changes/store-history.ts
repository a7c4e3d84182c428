import { activeFaults, finalReads, headLines } from "../engines/registry-history.ts";
import { consistencyErrors } from "../errors.ts";
import type { NewStoreCheck } from "../schemas/checks.ts";
import type { ConsistencyDeps, Opened } from "../types.ts";

/**
 * A store's history as far as something can be said of it, and in words what is left out. Throws
 * `empty_history`.
 */
export async function storeHistory(
  { clock }: Pick<ConsistencyDeps, "clock">,
  { row, open }: Opened,
  { finalReads: wanted }: NewStoreCheck,
): Promise<{ lines: string[]; leftOut: string | null }> {
  const { recording } = open;
  const head = await headLines(row, open);
  const lines = [...head, ...recording.lines({ whole: true })];
  if (lines.length === head.length) {
    throw consistencyErrors.empty_history({
      detail:
        recording.kept === 0
          ? "Nothing was asked of it since it was opened; read or write a key first."
          : "Of every key some operations are not kept, so that nothing can be said of it.",
    });
  }
  // What is under way may yet come: final reads are of what is over.
  const isQuiet = activeFaults(open) === 0 && open.runId === null;
  const finals = (wanted ?? isQuiet) ? await finalReads(open, recording.wholeKeys(), clock) : [];
  return {
    lines: [...lines, ...finals.map((one) => JSON.stringify(one))],
    leftOut: leftOutOf(open),
  };
}

function leftOutOf({ recording }: Opened["open"]): string | null {
  const { dropped, spoiledKeys } = recording;
  if (spoiledKeys === 0) return null;
  return (
    `Left out are ${spoiledKeys} keys of which not all operations are kept` +
    (dropped > 0 ? ` (${dropped} operations were dropped).` : ".")
  );
}
