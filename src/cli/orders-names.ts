import type { Client } from "./client.ts";
import { CommandError } from "./errors.ts";
import { oneLine } from "./text.ts";

type Item = Record<string, unknown>;

interface Kind {
  one: string;
  path: string;
  /** What people call one of them, in the order in which it is tried. */
  names: readonly string[];
  /** A part of the name is enough where nothing else has it. */
  takesPart?: true;
}

const kinds = {
  shop: { one: "shop", path: "/shops", names: ["name"], takesPart: true },
  product: { one: "product", path: "/products", names: ["sku"] },
  customer: { one: "customer", path: "/customers", names: ["email", "name"] },
  order: { one: "order", path: "/orders", names: ["number"] },
} as const satisfies Record<string, Kind>;

const identifier = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const searchChars = 100;
const pagesAtMost = 20;
const toldAtMost = 5;

/**
 * The id of what a person names: a shop by its name or a part of it, a product by its SKU, a
 * customer by e-mail address or name, an order by its number; in upper or lower case. An id is
 * taken as it is. `whole`: no part will do. Throws a CommandError where there is none, or several.
 */
export async function idOf(
  client: Client,
  of: keyof typeof kinds,
  text: string,
  { whole = false }: { whole?: boolean } = {},
): Promise<string> {
  if (identifier.test(text)) return text;
  const kind: Kind = kinds[of];
  const found = await search(client, kind, text);
  const exact = found.filter((item) => namesOf(kind, item).includes(text));
  const alike = found.filter((item) =>
    namesOf(kind, item).some((name) => name.toLowerCase() === text.toLowerCase()),
  );
  const part = kind.takesPart && !whole ? found : [];
  const chosen = [exact, alike, part].find(({ length }) => length > 0) ?? [];
  if (chosen.length === 1) return String(chosen[0]?.id);
  const [one, named] = [kind.one, oneLine(text)];
  if (chosen.length > 1) {
    const ids = chosen.slice(0, toldAtMost).map((item) => `${item.id} ${told(kind, item)}`);
    throw new CommandError(`"${named}" is what several ${one}s are called`, ids.join("\n  "));
  }
  const near = found.slice(0, toldAtMost).map((item) => told(kind, item));
  const hint = near.length > 0 ? `There are: ${near.join(", ")}` : undefined;
  throw new CommandError(`There is no ${one} "${named}"`, hint);
}

const namesOf = ({ names }: Kind, item: Item): string[] =>
  names.map((name) => item[name]).filter((name) => typeof name === "string");

const told = (kind: Kind, item: Item) => oneLine(namesOf(kind, item).join(" "));

/** Everything that has the text somewhere in its name. */
async function search(client: Client, kind: Kind, text: string): Promise<Item[]> {
  const found: Item[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < pagesAtMost; page += 1) {
    const query = { q: text.slice(0, searchChars), limit: 100, cursor };
    const { items, nextCursor } = await client.list({ path: kind.path, query });
    found.push(...items);
    const isFound = items.some((item) => namesOf(kind, item).includes(text));
    if (nextCursor === null || isFound) break;
    cursor = nextCursor;
  }
  return found;
}

/** The one active shop that there is, for who names none. */
export async function onlyShop(client: Client): Promise<string> {
  const { items } = await client.list({ path: "/shops", query: { active: true, limit: 100 } });
  if (items.length === 1) return String(items[0]?.id);
  const names = items.map(({ name }) => oneLine(String(name))).slice(0, toldAtMost);
  throw new CommandError(
    items.length === 0 ? "There is no shop yet" : "Say with --shop which shop it is for",
    items.length === 0 ? "Make one: plimsoll orders shops create --name …" : names.join(", "),
  );
}
