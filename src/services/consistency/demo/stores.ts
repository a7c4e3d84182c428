import type { Tx } from "#kernel/db/types.ts";
import type { KernelDeps } from "#kernel/service.ts";
import { createStore } from "../changes/stores.ts";

/** Two stores to try the same on: one refuses rather than be wrong, the other answers. */
export async function consistencyDemo(tx: Tx, deps: KernelDeps): Promise<void> {
  const makes = { ...deps, allowedNodes: new Set<string>() };
  const common = { engine: "embedded", topology: { seed: 7 }, maxStalenessMs: 500 } as const;
  await createStore(tx, makes, { ...common, name: "Ledger of the till", mode: "CP" });
  await createStore(tx, makes, { ...common, name: "Shopping carts", mode: "AP" });
}
