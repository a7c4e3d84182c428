import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export type Scope = "platform" | "shared" | "dedicated";

/** A service as far as migrations are concerned; a `Service` is one. */
export interface MigrationSource {
  readonly name: string;
  readonly migrations?: URL | undefined;
}

export interface MigrationFile {
  readonly service: string;
  /** The file's name without ".sql", such as "0001_shops". */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly text: string;
  /** SHA-256 of the text, with line ends as on Unix, in hex. */
  readonly checksum: string;
}

/** The kernel's own migrations, which come before those of every service. */
export const kernelMigrations: MigrationSource = {
  name: "platform",
  migrations: new URL("../migrations/", import.meta.url),
};

// PostgreSQL cuts names at 63 bytes; "_t_" and a tenant's 32 digits take 35 of them.
const serviceNameLengthAtMost = 28;

/** The PostgreSQL schema of one dedicated tenant's rows in one service. */
export function dedicatedSchema(service: string, tenantId: string): string {
  return `${service}_t_${tenantId.replaceAll("-", "").toLowerCase()}`;
}

function parseScopes(where: string, text: string): Set<Scope> {
  const list = /^-- scope: *([a-z, ]+?) *\n/.exec(text)?.[1]?.split(/ *, */) ?? [];
  const known = list.filter((scope) => ["platform", "shared", "dedicated"].includes(scope));
  const alone = !known.includes("platform") || known.length === 1;
  if (list.length > 0 && known.length === list.length && alone) return new Set(known as Scope[]);
  throw new Error(
    `Migration ${where} must begin with "-- scope: platform", "-- scope: shared", ` +
      '"-- scope: dedicated" or "-- scope: shared, dedicated"',
  );
}

const ownTransaction =
  /^\s*(?:commit|rollback|start\s+transaction|begin(?:\s+(?:transaction|work))?)\s*;/im;

function readFile(source: MigrationSource, folder: URL, file: string): MigrationFile {
  const where = `${source.name}/${file}`;
  if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(file)) {
    throw new Error(`Migration ${where} must be named like 0001_what_it_does.sql`);
  }
  const text = readFileSync(new URL(file, folder), "utf8").replaceAll("\r\n", "\n");
  const scopes = parseScopes(where, text);
  if (scopes.has("dedicated") && source.name.length > serviceNameLengthAtMost) {
    throw new Error(
      `Service ${source.name} has tenants' own schemas, so its name may have at most ` +
        `${serviceNameLengthAtMost} letters`,
    );
  }
  const own = ownTransaction.exec(text)?.[0]?.trim();
  if (own) {
    throw new Error(`Migration ${where} says "${own}": each file runs in one transaction already`);
  }
  const checksum = createHash("sha256").update(text).digest("hex");
  return { service: source.name, name: file.slice(0, -".sql".length), scopes, text, checksum };
}

function readFolder(source: MigrationSource): MigrationFile[] {
  const folder = source.migrations;
  if (!folder) return [];
  if (!existsSync(folder)) {
    throw new Error(`Service ${source.name} has no folder ${fileURLToPath(folder)}`);
  }
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .sort();
  const numbers = files.map((file) => file.slice(0, 4));
  const twice = numbers.find((number, index) => numbers.indexOf(number) !== index);
  if (twice) throw new Error(`Service ${source.name} has two migrations with number ${twice}`);
  return files.map((file) => readFile(source, folder, file));
}

/**
 * Reads every migration of the kernel and of `services`, in the order in which they run: the kernel
 * first, then the services as listed, each by number. Throws naming the file that is not as it
 * should be.
 */
export function readMigrations(
  services: readonly MigrationSource[],
  kernel: MigrationSource = kernelMigrations,
): MigrationFile[] {
  const others = services.filter(
    ({ migrations }) => migrations && migrations.href !== kernel.migrations?.href,
  );
  const names = [kernel, ...others].map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) throw new Error(`Two services with migrations are called ${twice}`);
  return [kernel, ...others].flatMap(readFolder);
}

/** Changes when any migration does; names the template that test databases are copied from. */
export function migrationsHash(files: readonly MigrationFile[]): string {
  const hash = createHash("sha256");
  for (const { service, name, checksum } of files) hash.update(`${service}/${name} ${checksum}\n`);
  return hash.digest("hex").slice(0, 16);
}
