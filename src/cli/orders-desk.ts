import type { Client } from "./client.ts";
import { UsageError } from "./errors.ts";
import { money } from "./money.ts";
import { given, integer, listQuery, moment, pageOptions, textOf } from "./options.ts";
import { idOf, onlyShop } from "./orders-names.ts";
import { orderColumns, type ShownOrder, showOrder } from "./orders-show.ts";
import { dataOptions, historyColumns, ifVersion, readBody, versionTag } from "./resource.ts";
import type { Column } from "./table.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation, OptionSpec } from "./types.ts";

const states = ["draft", "pending", "confirmed", "preparing", "ready", "completed", "cancelled"];

/** The filters of a list of orders, and of an export. */
export const orderFilters: readonly OptionSpec[] = [
  { flags: "--state <state>", summary: "only those in this state", choices: states },
  { flags: "--shop <shop>", summary: "only those of this shop, by name or id" },
  { flags: "--customer <customer>", summary: "only this one's, by e-mail address, name or id" },
  { flags: "--from <time>", summary: "made at this day or moment or after", parse: moment },
  { flags: "--to <time>", summary: "made before this day or moment", parse: moment },
  { flags: "--q <text>", summary: "part of the number or the customer's name" },
];

/** The query of a list of orders, with the ids of what was named. */
export async function orderQuery({ client, options }: Invocation) {
  const [shop, customer] = [textOf(options, "shop"), textOf(options, "customer")];
  return {
    ...listQuery(options, ["state", "from", "to", "q"]),
    ...(shop !== undefined && { shopId: await idOf(client, "shop", shop) }),
    ...(customer !== undefined && { customerId: await idOf(client, "customer", customer) }),
  };
}

const list: CommandSpec = {
  name: "list",
  summary: "list orders, newest first",
  options: [...orderFilters, ...pageOptions],
  async run(invocation) {
    const { client, options, out } = invocation;
    const call = { path: "/orders", query: await orderQuery(invocation) };
    out.page(orderColumns, await client.list(call, { all: options.all === true }));
  },
};

interface Item {
  sku: string;
  quantity: number;
}

function item(text: string): Item {
  const at = text.lastIndexOf("=");
  if (at === -1) return { sku: text, quantity: 1 };
  if (at === 0) throw new UsageError("Write it as SKU=quantity.");
  return { sku: text.slice(0, at), quantity: integer(text.slice(at + 1)) };
}

const bodyOptions: readonly OptionSpec[] = [
  { flags: "--shop <shop>", summary: "by name, a part of it, or id" },
  {
    flags: "--item <SKU=quantity>",
    summary: "a product by SKU or id, and how many of it; may be given many times",
    parse: item,
    repeat: true,
  },
  { flags: "--customer <customer>", summary: "by e-mail address, name or id" },
  { flags: "--customer-name <name>", summary: "of somebody who is not written down" },
  { flags: "--customer-email <address>", summary: "the same one's" },
  { flags: "--customer-phone <number>", summary: "the same one's" },
  { flags: "--notes <text>", summary: "for who prepares it" },
  ...dataOptions,
];

const bodyMembers = ["customerName", "customerEmail", "customerPhone", "notes"];

/** What was given of an order, with the ids of what was named. */
async function orderBody(invocation: Invocation): Promise<Record<string, unknown>> {
  const { client, options } = invocation;
  const body = await readBody(invocation, bodyMembers);
  const [shop, customer] = [textOf(options, "shop"), textOf(options, "customer")];
  if (shop !== undefined) body.shopId = await idOf(client, "shop", shop);
  if (customer !== undefined) body.customerId = await idOf(client, "customer", customer);
  if (Array.isArray(options.item)) body.items = await itemsOf(client, options.item);
  return body;
}

async function itemsOf(client: Client, items: readonly Item[]) {
  const found: { productId: string; quantity: number }[] = [];
  for (const { sku, quantity } of items) {
    found.push({ productId: await idOf(client, "product", sku), quantity });
  }
  return found;
}

const acknowledge: OptionSpec = {
  flags: "--acknowledge-allergens",
  summary: "although it holds what the customer must not eat",
};

const create: CommandSpec = {
  name: "create",
  summary: "take an order, as a draft",
  options: [
    ...bodyOptions,
    { flags: "--submit", summary: "submit it at once" },
    { ...acknowledge, summary: `with --submit: ${acknowledge.summary}` },
  ],
  help: "Without --shop it is for the only shop that there is.",
  async run(invocation) {
    const { client, options, out } = invocation;
    const body = await orderBody(invocation);
    if (body.items === undefined) throw new UsageError("Say with --item what is ordered");
    body.shopId ??= await onlyShop(client);
    const call = { method: "POST" as const, path: "/orders", body, isCreation: true };
    const made = await client.call<ShownOrder>(call);
    const order = options.submit === true ? await submitNew(invocation, made) : made;
    showOrder(out, order);
    out.success(`Made the order ${order.number}, which is ${order.state}`);
  },
};

/** Whoever is refused here has an order all the same, and must not take it a second time. */
async function submitNew(
  { client, options, out }: Invocation,
  made: ShownOrder,
): Promise<ShownOrder> {
  const body = given(options, ["acknowledgeAllergens"]);
  return move(client, made.id, "submit", { body }).catch((error: unknown) => {
    showOrder(out, made);
    out.note(`Made the order ${made.number}, which stays a draft: it could not be submitted.`);
    throw error;
  });
}

const get: CommandSpec = {
  name: "get <order>",
  summary: "show one order, by number or id",
  async run({ client, args, out }) {
    const id = await idOf(client, "order", args[0] as string);
    showOrder(out, await client.call<ShownOrder>({ path: path`/orders/${id}` }));
  },
};

const update: CommandSpec = {
  name: "update <order>",
  summary: "change a draft; items that are given replace all of its items",
  options: [...bodyOptions, ifVersion],
  async run(invocation) {
    const { client, args, out } = invocation;
    const target = path`/orders/${await idOf(client, "order", args[0] as string)}`;
    const body = await orderBody(invocation);
    if (Object.keys(body).length === 0) throw new UsageError("There is nothing to change");
    const headers = { "if-match": await versionTag(invocation, target) };
    const order = await client.call<ShownOrder>({ method: "PATCH", path: target, body, headers });
    showOrder(out, order);
    out.success(`Changed the order ${order.number}`);
  },
};

const history: CommandSpec = {
  name: "history <order>",
  summary: "show the past of an order",
  options: pageOptions,
  async run({ client, args, options, out }) {
    const id = await idOf(client, "order", args[0] as string);
    const call = { path: path`/orders/${id}/history`, query: listQuery(options) };
    out.page(historyColumns, await client.list(call, { all: options.all === true }));
  },
};

function move(
  client: Client,
  id: string,
  event: string,
  { body = {}, headers = {} }: { body?: object; headers?: Record<string, string> },
): Promise<ShownOrder> {
  const target = `${path`/orders/${id}`}/${event}`;
  return client.call({ method: "POST", path: target, body, headers, isCreation: true });
}

const reason: OptionSpec = { flags: "--reason <text>", summary: "kept in the order's history" };
/** What moves an order on, as the API names it. */
const moves: readonly [event: string, summary: string, extra?: OptionSpec][] = [
  ["submit", "submit a draft", acknowledge],
  ["confirm", "confirm an order, which takes its stock"],
  ["start-preparation", "start preparing an order"],
  ["mark-ready", "say that an order is ready"],
  ["complete", "hand an order over, which books its money"],
  ["cancel", "cancel an order, which gives its stock back"],
];

const moveCommands: readonly CommandSpec[] = moves.map(([event, summary, extra]) => ({
  name: `${event} <order>`,
  summary,
  options: [reason, ...(extra ? [extra] : []), ifVersion],
  async run({ client, args, options, out }) {
    const id = await idOf(client, "order", args[0] as string);
    const version = textOf(options, "ifVersion");
    const body = given(options, ["reason", "acknowledgeAllergens"]);
    const headers: Record<string, string> = version ? { "if-match": `"${version}"` } : {};
    const order = await move(client, id, event, { body, headers });
    out.result(order, () => {
      const next = order.allowedTransitions.join(", ");
      out.success(`Order ${order.number} is ${order.state}`);
      if (next !== "") out.note(`What can be done now: ${next}`);
    });
  },
}));

const summary: CommandSpec = {
  name: "summary",
  summary: "count orders by state, and revenue by day",
  options: [
    { flags: "--shop <shop>", summary: "only of this shop, by name or id" },
    { flags: "--from <time>", summary: "from this day or moment on", parse: moment },
    { flags: "--to <time>", summary: "before this day or moment", parse: moment },
  ],
  async run({ client, options, out }) {
    const shop = textOf(options, "shop");
    const query = {
      ...listQuery(options, ["from", "to"]),
      ...(shop !== undefined && { shopId: await idOf(client, "shop", shop) }),
    };
    const found = await client.call<Summary>({ path: "/orders/summary", query });
    out.result(found, () => {
      const counts = Object.entries(found.counts).map(([state, orders]) => ({ state, orders }));
      out.page(countColumns, { items: counts, nextCursor: null });
      out.line("");
      if (found.revenue.length === 0) return out.note("Nothing was completed.");
      out.page(revenueColumns, { items: found.revenue, nextCursor: null });
    });
  },
};

interface Summary {
  counts: Record<string, number>;
  revenue: Record<string, unknown>[];
}

const countColumns: readonly Column[] = [
  { title: "State", value: "state" },
  { title: "Orders", value: "orders" },
];

const revenueColumns: readonly Column[] = [
  { title: "Day", value: "day" },
  { title: "Orders", value: "orders" },
  { title: "Net", value: ({ netMinor, currency }) => money(netMinor, currency), isAmount: true },
  { title: "VAT", value: ({ vatMinor, currency }) => money(vatMinor, currency), isAmount: true },
  {
    title: "Total",
    value: ({ totalMinor, currency }) => money(totalMinor, currency),
    isAmount: true,
  },
];

/** Orders: what they are and what becomes of them. */
export const deskCommands: readonly CommandSpec[] = [
  list,
  create,
  get,
  update,
  ...moveCommands,
  history,
  summary,
];
