import { catalogueCommands } from "./orders-catalogue.ts";
import { deskCommands } from "./orders-desk.ts";
import { fileCommands } from "./orders-files.ts";
import { transactionCommands } from "./orders-ledger.ts";
import type { CommandSpec } from "./types.ts";

export const commands: readonly CommandSpec[] = [
  ...catalogueCommands,
  ...deskCommands,
  ...fileCommands,
  { name: "transactions", summary: "money in and out", commands: transactionCommands },
];
