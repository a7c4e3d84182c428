import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** A folder of migrations made for one test: file names to their text. Removed after the test. */
export async function migrationFolder(
  t: { after(clean: () => Promise<void>): void },
  files: Record<string, string>,
): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), "plimsoll-migrations-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return pathToFileURL(`${folder}/`);
}

/** The statements that every table with a tenant_id needs after `create table`. */
export function protect(table: string): string {
  return `
    alter table ${table} enable row level security;
    alter table ${table} force row level security;
    create policy tenant_isolation on ${table}
      using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
      with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
    grant select, insert, update, delete on ${table} to plimsoll_app;`;
}
