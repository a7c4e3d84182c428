import type { RowReader } from "./values.ts";

/** Prepared statements that one connection keeps; each costs the server a plan's memory. */
export const STATEMENTS_PER_CONNECTION_MAX = 500;

/** How many of the oldest statements are asked before a new one goes without a name. */
const EVICTION_TRIES = 16;

/**
 * What the server knows of a statement. `uncertain` follows a flight that failed at or before its
 * Parse: a Close (harmless where there is nothing to close) makes it `absent` again.
 */
export type Parsed = "absent" | "parsed" | "uncertain";

/** One statement as one connection knows it. */
export interface Prepared {
  /** The server's name of it, "" when it is not kept. */
  readonly name: string;
  readonly path: string;
  readonly text: string;
  parsed: Parsed;
  /** Makes rows: null for a statement that has none, undefined while nobody has described it. */
  reader: RowReader | null | undefined;
  /** Second chance for eviction: set on use, cleared when passed over. */
  recent: boolean;
  /** The last flight that used it, which must not evict it. */
  flight: number;
}

/** The prepared statements of one connection, by search path and text. */
export interface Statements {
  /** The statement for this flight, kept under a name wherever there is room for one. */
  find(path: string, text: string, flight: number): Prepared;
  /** After the server has forgotten them all; new ones get new names. */
  clear(): void;
  /** Names that have to be closed before their statements are forgotten; empties the list. */
  takeEvicted(): readonly string[];
  readonly size: number;
}

const none: readonly string[] = [];

/**
 * Search paths and texts are part of the key, since a plan belongs to the path under which it was
 * parsed: a statement that met a different path would be planned anew each time.
 */
export function createStatements(max = STATEMENTS_PER_CONNECTION_MAX): Statements {
  const byPath = new Map<string, Map<string, Prepared>>();
  const kept = new Set<Prepared>();
  let evicted: string[] = [];
  let lastName = 0;

  function evict(flight: number): boolean {
    let tries = 0;
    for (const candidate of kept) {
      if (tries++ >= EVICTION_TRIES) return false;
      kept.delete(candidate);
      if (candidate.recent || candidate.flight === flight) {
        candidate.recent = false;
        kept.add(candidate);
        continue;
      }
      const texts = byPath.get(candidate.path);
      texts?.delete(candidate.text);
      if (texts?.size === 0) byPath.delete(candidate.path);
      if (candidate.parsed !== "absent") evicted.push(candidate.name);
      return true;
    }
    return false;
  }

  function add(path: string, text: string, flight: number): Prepared {
    const keep = kept.size < max || evict(flight);
    const name = keep ? `s${++lastName}` : "";
    const made: Prepared = {
      name,
      path,
      text,
      parsed: "absent",
      reader: undefined,
      recent: true,
      flight,
    };
    if (!keep) return made;
    kept.add(made);
    const texts = byPath.get(path);
    if (texts) texts.set(text, made);
    else byPath.set(path, new Map([[text, made]]));
    return made;
  }

  return {
    find(path, text, flight) {
      const found = byPath.get(path)?.get(text);
      if (!found) return add(path, text, flight);
      found.recent = true;
      found.flight = flight;
      return found;
    },
    clear() {
      byPath.clear();
      kept.clear();
      evicted = [];
    },
    takeEvicted() {
      if (evicted.length === 0) return none;
      const names = evicted;
      evicted = [];
      return names;
    },
    get size() {
      return kept.size;
    },
  };
}
