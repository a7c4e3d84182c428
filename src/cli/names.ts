import type { Client } from "./client.ts";
import { CommandError } from "./errors.ts";
import { oneLine } from "./text.ts";
import { path } from "./transport.ts";

interface Kind {
  readonly one: string;
  readonly path: string;
  /** What is looked through, one after the other, until something has the name. */
  readonly queries: readonly Readonly<Record<string, string | number | boolean>>[];
}

const kinds = {
  // What lives comes first: the same name may have been given often before.
  lease: { one: "lease", path: "/leases", queries: [{ live: true }, { live: false }] },
  snapshot: { one: "snapshot", path: "/snapshots", queries: [{}] },
  template: { one: "template", path: "/leases/templates", queries: [{}] },
  store: { one: "store", path: "/stores", queries: [{}] },
} as const satisfies Record<string, Kind>;

const identifier = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const pagesAtMost = 20;
const toldAtMost = 5;

/**
 * The id of a lease, snapshot, template or store that a person calls by its name; an id is taken
 * as it is. Throws a CommandError where there is none, or several.
 */
export async function idOf(client: Client, of: keyof typeof kinds, text: string): Promise<string> {
  if (identifier.test(text)) return text;
  const { one, path: at, queries }: Kind = kinds[of];
  for (const query of queries) {
    const found = await named(client, at, query, text);
    if (found.length === 1) return String(found[0]?.id);
    if (found.length === 0) continue;
    const ids = found.slice(0, toldAtMost).map(({ id }) => oneLine(String(id)));
    throw new CommandError(
      `"${oneLine(text)}" is what several ${one}s are called`,
      ids.join("\n  "),
    );
  }
  throw new CommandError(`There is no ${one} "${oneLine(text)}"`);
}

async function named(
  client: Client,
  at: string,
  query: Kind["queries"][number],
  name: string,
): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < pagesAtMost; page += 1) {
    const call = { path: at, query: { ...query, limit: 100, cursor } };
    const { items, nextCursor } = await client.list(call);
    found.push(...items.filter((item) => item.name === name));
    if (nextCursor === null) break;
    cursor = nextCursor;
  }
  return found;
}

/** The address of the store that a person calls by its name or id. */
export const storeAt = async (client: Client, text = ""): Promise<string> =>
  path`/stores/${await idOf(client, "store", text)}`;
