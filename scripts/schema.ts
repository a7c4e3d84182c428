// Keeps schema.sql equal to a migrated database: `--check` compares and says where they part,
// `--write` writes it anew. Either way the migrated database has to keep tenants apart.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import pg from "pg";
import { checkCatalogue } from "../src/kernel/db/catalogue.ts";
import { migrate, provisionDedicated } from "../src/kernel/db/migrate.ts";
import type { MigrationSource } from "../src/kernel/db/migration-files.ts";
import { dumpSchema } from "../src/kernel/db/schema-dump.ts";
import { emptyDatabase } from "../src/kernel/testing/database.ts";

const schemaFile = new URL("../schema.sql", import.meta.url);
const servicesFile = new URL("../src/services.ts", import.meta.url);
const dedicatedTenant = "00000000-0000-7000-8000-000000000001";
const linesAround = 3;

async function listServices(): Promise<readonly MigrationSource[]> {
  return existsSync(servicesFile) ? (await import(servicesFile.href)).services : [];
}

/** Migrates an empty database, with a dedicated tenant, checks it and answers with its schema. */
async function dumpMigrated(database: { ownerUrl: string; appUrl: string }): Promise<string> {
  const services = await listServices();
  const { ownerUrl, appUrl } = database;
  await migrate({ ownerUrl, services });
  const client = new pg.Client(ownerUrl);
  await client.connect();
  try {
    await client.query(
      `insert into platform.tenant (id, slug, name, isolation)
       values ($1, 'dedicated', 'Dedicated', 'dedicated')`,
      [dedicatedTenant],
    );
    await provisionDedicated(ownerUrl, dedicatedTenant, services);
    await checkCatalogue(client, { appRole: new URL(appUrl).username });
    return await dumpSchema(client);
  } finally {
    await client.end();
  }
}

/** The first place where two texts part, with the lines around it. */
function difference(committed: string, migrated: string): string {
  const [have, want] = [committed.split("\n"), migrated.split("\n")];
  const first = want.findIndex((line, index) => line !== have[index]);
  const at = first === -1 ? want.length : first;
  const show = (lines: string[], mark: string) =>
    lines.slice(at, at + linesAround).map((line) => `${mark} ${line}`);
  const before = want.slice(Math.max(0, at - linesAround), at).map((line) => `  ${line}`);
  return [`schema.sql:${at + 1}`, ...before, ...show(have, "-"), ...show(want, "+")].join("\n");
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { check: { type: "boolean" }, write: { type: "boolean" } },
  });
  if (values.check === values.write) {
    console.error("Usage: npm run schema -- --check | --write");
    return 2;
  }
  const cleanups: (() => Promise<void>)[] = [];
  try {
    const database = await emptyDatabase({ after: (clean) => void cleanups.push(clean) });
    const migrated = await dumpMigrated(database);
    if (values.write) {
      writeFileSync(schemaFile, migrated);
      return 0;
    }
    const committed = existsSync(schemaFile) ? readFileSync(schemaFile, "utf8") : "";
    if (committed === migrated) return 0;
    console.error(`schema.sql is not what the migrations make: run npm run schema -- --write
${difference(committed, migrated)}`);
    return 1;
  } finally {
    for (const clean of cleanups) await clean();
  }
}

process.exitCode = await main();
