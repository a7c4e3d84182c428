import type { RunningApp } from "./app.ts";
import { createPlatformAdmin, hasPlatformAdmin } from "./identity/people.ts";

/** The admin that the environment names, at the first boot of a database that has none. */
export async function ensureFirstAdmin({ config, identity, log }: RunningApp): Promise<void> {
  const { admin } = config;
  if (!admin || (await hasPlatformAdmin(identity))) return;
  const { user } = await createPlatformAdmin(identity, {
    ...admin,
    name: "Administrator",
    tenant: { name: "Operations", slug: "operations" },
  });
  log.info({ user: user.id }, "made the first platform admin");
}
