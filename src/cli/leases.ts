import { deskCommands } from "./leases-desk.ts";
import { infoCommands } from "./leases-info.ts";
import { reachCommands } from "./leases-reach.ts";
import type { CommandSpec } from "./types.ts";

export const commands: readonly CommandSpec[] = [
  ...deskCommands,
  ...reachCommands,
  ...infoCommands,
];
