import type { RunningApp } from "#kernel/app.ts";
import type { TenantRow } from "#kernel/tenancy/store.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { startQuietly } from "./quiet-server.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const pageTenants = 100;

export const secretsCommands: readonly CommandSpec[] = [
  {
    name: "generate",
    summary: "print a complete .env of fresh secrets for production",
    async run({ out }) {
      const { generateProductionEnv } = await import("#kernel/config/generate.ts");
      const { systemClock } = await import("#kernel/clock.ts");
      const { systemRandom } = await import("#kernel/random.ts");
      const text = generateProductionEnv(systemRandom(systemClock));
      out.result(parseEnv(text), () => out.line(text.trimEnd()));
    },
  },
  {
    name: "rotate",
    summary: "seal everything under the newest PLIMSOLL_MASTER_KEY",
    help:
      "Run it with the old key in PLIMSOLL_MASTER_KEY_PREVIOUS. Broken off, it goes on where it\n" +
      "stopped. Keep the old key for a day longer: answers kept for repeated requests use it too.",
    run: rotate,
  },
];

async function rotate({ out }: Invocation): Promise<void> {
  const [{ rotateAll }, { resealIdentities }] = await Promise.all([
    import("#kernel/secrets/secrets.ts"),
    import("#kernel/identity/housekeeping.ts"),
  ]);
  const app = await startQuietly();
  const progress = out.progress("Tenants:", null);
  try {
    const { db } = app.identity;
    const { secrets } = app.depsOf("platform");
    const accounts = await resealIdentities(app.identity);
    const tenants = everyTenant(app, (count) => progress.update(count));
    const answer = { ...(await rotateAll(db, secrets, tenants)), accounts };
    progress.end();
    out.result(answer, () => {
      const { resealed, tenants: count } = answer;
      out.success(
        `Sealed ${resealed} secrets of ${count} tenants and ${accounts} of accounts anew`,
      );
    });
  } finally {
    progress.end();
    await app.stop();
  }
}

/** Inactive tenants too: what is theirs must still open when they are let in again. */
async function* everyTenant(
  { identity }: Pick<RunningApp, "identity">,
  tell: (count: number) => void,
): AsyncGenerator<TenantRef> {
  const { listTenants } = await import("#kernel/tenancy/store.ts");
  let after: [createdAt: string, id: string] | null = null;
  let count = 0;
  for (;;) {
    const from = { limit: pageTenants, after };
    const page: TenantRow[] = await identity.db.inPlatform((tx) => listTenants(tx, from));
    for (const tenant of page) {
      yield tenant;
      count += 1;
      tell(count);
    }
    const last = page.at(-1);
    if (!last || page.length < pageTenants) return;
    after = [last.createdAt, last.id];
  }
}

/** The variables of an .env text, for --json. */
function parseEnv(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => /^[A-Z_]+=/.test(line));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}
