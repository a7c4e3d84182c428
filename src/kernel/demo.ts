import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunningApp } from "./app.ts";
import { inTurn } from "./app-turns.ts";
import { audit, resourceHistory } from "./audit/audit.ts";
import { createApiKey } from "./identity/api-keys.ts";
import { createPlatformAdmin } from "./identity/people.ts";
import type { Principal } from "./identity/types.ts";
import { findUserByEmail, type UserRow } from "./identity/user-store.ts";
import type { AnyService } from "./service.ts";
import { findFirstTenant } from "./tenancy/store.ts";
import { systemActor, type TenantRef } from "./tenancy/types.ts";

/** What stands in `<data folder>/demo.json`, so that programs can sign in too. */
export interface DemoAccess {
  email: string;
  password: string;
  tenant: string;
  apiKey: string;
}

/** What stands in `<data folder>/demo.begun.json` until the demo is whole. */
type DemoBegun = Omit<DemoAccess, "apiKey">;

interface DemoFiles {
  begun: string;
  done: string;
}

const passwordBytes = 12;
const on = { actor: systemActor("demo"), requestId: "demo" };

/**
 * On a database without any tenant: makes the demo tenant, its admin, an API key and each service's
 * demo data, and writes `demo.json`. The password is in a file before it is in the database, so a
 * start that was killed half-way is finished by the next one. Answers with what `demo.json` holds;
 * null where there is no demo.
 */
export async function ensureDemo(app: RunningApp): Promise<DemoAccess | null> {
  const { demo, dataDir } = app.config;
  if (!demo) return null;
  const files = { begun: join(dataDir, "demo.begun.json"), done: join(dataDir, "demo.json") };
  if (!existsSync(files.begun) && !(await isEmpty(app))) return read<DemoAccess>(files.done);
  return inTurn(app.ownerUrl, async () => {
    const begun = await read<DemoBegun>(files.begun);
    if (await isEmpty(app)) return makeDemo(app, files, begun ?? (await begin(app, files)));
    if (begun && (await isOwn(app, begun))) return makeDemo(app, files, begun);
    return read<DemoAccess>(files.done);
  });
}

async function isEmpty({ identity }: RunningApp): Promise<boolean> {
  return (await identity.db.inPlatform((tx) => findFirstTenant(tx))) === null;
}

async function begin({ config, identity }: RunningApp, { begun }: DemoFiles): Promise<DemoBegun> {
  const password = identity.random.bytes(passwordBytes).toString("base64url");
  const access = { email: "demo@plimsoll.local", password, tenant: "demo" };
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  await write(begun, access);
  return access;
}

/** Whether the demo that the file began is in this database, and not in another one. */
async function isOwn({ identity }: RunningApp, { email, password }: DemoBegun): Promise<boolean> {
  const user = await identity.db.inPlatform((tx) => findUserByEmail(tx, email));
  return user !== null && (await identity.passwords.verify(password, user.passwordHash)).ok;
}

/** Makes what is not there yet, which is all of it unless a start was cut short. */
async function makeDemo(app: RunningApp, files: DemoFiles, begun: DemoBegun): Promise<DemoAccess> {
  const { email, password } = begun;
  const { user, tenant } = await createPlatformAdmin(app.identity, {
    email,
    password,
    name: "Demo",
    tenant: { name: "Demo Deli", slug: begun.tenant },
  });
  for (const service of app.services) await fill(app, service, tenant);
  const known = await read<DemoAccess>(files.done);
  const access =
    known?.password === password
      ? known
      : { email, password, tenant: tenant.slug, apiKey: await makeApiKey(app, tenant, user) };
  await write(files.done, access);
  await rm(files.begun, { force: true });
  return access;
}

/** The record that a service has its data commits with the data. */
async function fill(app: RunningApp, service: AnyService, tenant: TenantRef): Promise<void> {
  const { name, demo } = service;
  if (!demo) return;
  const deps = app.depsOf(name);
  const resource = { type: "demo", id: name };
  await deps.db.inTenant(
    tenant,
    async (tx) => {
      if ((await resourceHistory(tx, resource, { limit: 1 })).length > 0) return;
      await demo(tx, deps);
      audit(tx, { action: "demo.fill", resource });
    },
    on,
  );
}

async function makeApiKey(app: RunningApp, tenant: TenantRef, user: UserRow): Promise<string> {
  const { identity } = app;
  const permissions = identity.roles.resolve("tenant_admin", null);
  const principal: Principal = {
    actor: { kind: "user", id: user.id, userId: user.id, name: user.email },
    tenant,
    role: "tenant_admin",
    permissions,
    expiresAtMs: Number.POSITIVE_INFINITY,
    platformAdmin: true,
  };
  const input = { name: "Demo", permissions: [...permissions.keys()] };
  const made = await identity.db.inTenant(
    tenant,
    (tx) => createApiKey(tx, identity, { principal, input }),
    on,
  );
  return made.key;
}

async function read<Content>(path: string): Promise<Content | null> {
  return readFile(path, "utf8").then(
    (text) => JSON.parse(text) as Content,
    () => null,
  );
}

/** Readable by its owner only, and never seen half written. */
async function write(path: string, content: DemoBegun): Promise<void> {
  await writeFile(`${path}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
