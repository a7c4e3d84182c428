import { money } from "./money.ts";
import { given, integer, listQuery, moment, pageOptions, textOf } from "./options.ts";
import { idOf } from "./orders-names.ts";
import type { Column } from "./table.ts";
import { path } from "./transport.ts";
import type { CommandSpec } from "./types.ts";

const columns: readonly Column[] = [
  { title: "Id", value: "id" },
  { title: "Booked", value: "createdAt" },
  {
    title: "Amount",
    value: ({ amountMinor, currency }) => money(amountMinor, currency),
    isAmount: true,
  },
  {
    title: "VAT in it",
    value: ({ vatMinor, currency }) => money(vatMinor, currency),
    isAmount: true,
  },
  { title: "Rate", value: "vatRate" },
  { title: "Reference", value: "reference" },
];

/** The ledger, which grows and never changes. */
export const transactionCommands: readonly CommandSpec[] = [
  {
    name: "list",
    summary: "list what was booked, newest first",
    options: [
      { flags: "--order <order>", summary: "only of this order, by number or id" },
      { flags: "--from <time>", summary: "booked at this day or moment or after", parse: moment },
      { flags: "--to <time>", summary: "booked before this day or moment", parse: moment },
      ...pageOptions,
    ],
    async run({ client, options, out }) {
      const order = textOf(options, "order");
      const query = {
        ...listQuery(options, ["from", "to"]),
        ...(order !== undefined && { orderId: await idOf(client, "order", order) }),
      };
      const call = { path: "/transactions", query };
      out.page(columns, await client.list(call, { all: options.all === true }));
    },
  },
  {
    name: "get <id>",
    summary: "show what was booked",
    run: async ({ client, args, out }) =>
      out.record(await client.call({ path: path`/transactions/${args[0] as string}` })),
  },
  {
    name: "create",
    summary: "book money that came in or went out; a mistake is mended by a second one",
    options: [
      {
        flags: "--amount-minor <amount>",
        summary: "with VAT, in the currency's smallest unit; negative: paid out",
        parse: integer,
        required: true,
      },
      {
        flags: "--vat-rate <rate>",
        summary: "as the tax office has it",
        choices: ["zero", "reduced", "standard", "exempt"],
        required: true,
      },
      { flags: "--reference <text>", summary: "what it is for", required: true },
      {
        flags: "--vat-minor <amount>",
        summary: "the VAT in it, of the entry that it takes back; computed unless given",
        parse: integer,
      },
      { flags: "--order <order>", summary: "the order that it belongs to, by number or id" },
      { flags: "--currency <code>", summary: "the order's, or GBP, unless given" },
    ],
    async run({ client, options, out }) {
      const order = textOf(options, "order");
      const body = {
        ...given(options, ["amountMinor", "vatRate", "vatMinor", "reference", "currency"]),
        ...(order !== undefined && { orderId: await idOf(client, "order", order) }),
      };
      const call = { method: "POST" as const, path: "/transactions", body, isCreation: true };
      const made = await client.call(call);
      out.record(made);
      out.success(`Booked ${money(made.amountMinor, made.currency)}`);
    },
  },
];
