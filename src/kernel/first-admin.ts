import type { RunningApp } from "./app.ts";
import { inTurn } from "./app-turns.ts";
import { createPlatformAdmin, hasPlatformAdmin } from "./identity/people.ts";

/** The admin that the environment names, at the first boot of a database that has none. */
export async function ensureFirstAdmin(app: RunningApp): Promise<void> {
  const { identity, log } = app;
  const { admin } = app.config;
  if (!admin || (await hasPlatformAdmin(identity))) return;
  await inTurn(app.ownerUrl, async () => {
    if (await hasPlatformAdmin(identity)) return;
    const { user } = await createPlatformAdmin(identity, {
      ...admin,
      name: "Administrator",
      tenant: { name: "Operations", slug: "operations" },
    });
    log.info({ user: user.id }, "made the first platform admin");
  });
}
