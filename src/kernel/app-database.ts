import { type Embedded, startEmbedded } from "./db/embedded.ts";
import { migrate } from "./db/migrate.ts";
import type { MigrationSource } from "./db/migration-files.ts";
import { ensureRoles, withClient } from "./db/roles.ts";
import { checkCatalogue } from "./db/catalogue.ts";
import { installJobs } from "./jobs/install.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Logger } from "./telemetry/logger.ts";

export interface OpenedDatabase {
  /** The role that migrates and keeps the jobs' book. */
  readonly ownerUrl: string;
  /** The role of every request, to which row-level security applies. */
  readonly appUrl: string;
  /** Resolves with the reason when an embedded PostgreSQL is gone for good; else never. */
  readonly exited: Promise<string>;
  close(): Promise<void>;
}

/**
 * Finds or starts PostgreSQL, makes its roles, migrates it and checks that every tenant table is
 * isolated. Throws, naming what is wrong, with nothing left running.
 */
export async function openDatabase(
  config: Config,
  services: readonly MigrationSource[],
  { log, clock }: { log: Logger; clock: Clock },
): Promise<OpenedDatabase> {
  const embedded = config.databaseUrl
    ? null
    : await startEmbedded({ dataDir: config.dataDir, log, clock });
  const ownerUrl = config.databaseUrl ?? (embedded as Embedded).ownerUrl;
  // An exit that is forced, or that an uncaught error brings about, leaves no PostgreSQL behind.
  const release = () => embedded?.release();
  process.once("exit", release);
  const close = async () => {
    await embedded?.stop();
    process.off("exit", release);
  };
  try {
    const appUrl = await ensureRoles({
      ownerUrl,
      appUrl: config.databaseAppUrl,
      masterKey: config.masterKey,
    });
    const report = await migrate({ ownerUrl, services, log });
    if (report.applied.length > 0) log.info({ applied: report.applied.length }, "migrated");
    await installJobs(ownerUrl, log);
    await assertIsolated(ownerUrl, appUrl);
    return {
      ownerUrl,
      appUrl,
      exited: embedded?.exited ?? new Promise(() => {}),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Refuses to go on where a tenant's rows could be seen by another. */
async function assertIsolated(ownerUrl: string, appUrl: string): Promise<void> {
  const appRole = decodeURIComponent(new URL(appUrl).username);
  await withClient(ownerUrl, (client) => checkCatalogue(client, { appRole }));
}
