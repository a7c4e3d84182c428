import { CommandError } from "./errors.ts";
import type { Config } from "#kernel/config.ts";
import type { MigrationReport, MigrationStatus } from "#kernel/db/migrate.ts";
import { textOf } from "./options.ts";
import type { Output } from "./output.ts";
import type { CommandSpec, Invocation } from "./types.ts";

export const migrate: CommandSpec = {
  name: "migrate",
  summary: "bring the database to this version",
  options: [
    { flags: "--status", summary: "only tell what has run and what would" },
    { flags: "--dry-run", summary: "only tell what would run" },
    { flags: "--tenant <id>", summary: "only this dedicated tenant's schemas" },
  ],
  help: "Uses DATABASE_URL (the owner), or the embedded PostgreSQL of PLIMSOLL_DATA_DIR.",
  run: async (invocation) => {
    const { options, out } = invocation;
    const isReport = options.status === true || options.dryRun === true;
    const answer = await onDatabase(invocation, isReport);
    if (!("pending" in answer)) return out.result(answer, () => showReport(out, answer));
    const { pending, faults } = answer;
    const shown = options.dryRun ? { pending, faults } : answer;
    out.result(shown, () => showStatus(out, answer, options.dryRun === true));
    if (faults.length > 0) throw new CommandError("Nothing can run before this is mended");
  },
};

/** Migrates, or only looks, over the database that the environment names or the embedded one. */
async function onDatabase(
  { options }: Invocation,
  isReport: boolean,
): Promise<MigrationReport | MigrationStatus> {
  const [main, { services }, kernel, { ensureRoles }] = await Promise.all([
    import("../main.ts"),
    import("../services.ts"),
    import("#kernel/db/migrate.ts"),
    import("#kernel/db/roles.ts"),
  ]);
  const config = main.configure();
  const { ownerUrl, stop } = await openOwner(config);
  const tenantId = textOf(options, "tenant");
  try {
    if (isReport) return await kernel.migrationStatus({ ownerUrl, services, tenantId });
    const { databaseAppUrl: appUrl, masterKey } = config;
    await ensureRoles({ ownerUrl, appUrl, masterKey });
    return await kernel.migrate({ ownerUrl, services, tenantId });
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error));
  } finally {
    await stop();
  }
}

async function openOwner({ databaseUrl, dataDir }: Pick<Config, "databaseUrl" | "dataDir">) {
  if (databaseUrl) return { ownerUrl: databaseUrl, stop: async () => {} };
  const { startEmbedded } = await import("#kernel/db/embedded.ts");
  return startEmbedded({ dataDir });
}

function showReport(out: Output, { applied }: MigrationReport): void {
  for (const label of applied) out.line(`${out.paint("green", "✔")} ${label}`);
  const done = `Ran ${applied.length} migrations`;
  out.success(applied.length === 0 ? "The database is up to date" : done);
}

function showStatus(out: Output, status: MigrationStatus, isDryRun: boolean): void {
  const applied = isDryRun ? [] : status.applied;
  for (const { schema, name, appliedAt } of applied) {
    const when = appliedAt.toISOString().slice(0, 19).replace("T", " ");
    out.line(`${out.paint("green", "✔")} ${schema}: ${name}  ${out.paint("dim", `${when}Z`)}`);
  }
  for (const label of status.pending) out.line(`${out.paint("yellow", "○")} ${label}  to run`);
  for (const fault of status.faults) out.line(`${out.paint("red", "✖")} ${fault}`);
  if (status.pending.length + status.faults.length === 0) out.success("Nothing to run");
}
