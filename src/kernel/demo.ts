import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunningApp } from "./app.ts";
import { inTurn } from "./app-turns.ts";
import { createApiKey } from "./identity/api-keys.ts";
import { createPlatformAdmin } from "./identity/people.ts";
import type { Principal } from "./identity/types.ts";
import type { UserRow } from "./identity/user-store.ts";
import { findFirstTenant } from "./tenancy/store.ts";
import { systemActor, type TenantRef } from "./tenancy/types.ts";

/** What stands in `<data folder>/demo.json`, so that programs can sign in too. */
export interface DemoAccess {
  email: string;
  password: string;
  tenant: string;
  apiKey: string;
}

const passwordBytes = 12;
const on = { actor: systemActor("demo"), requestId: "demo" };

/**
 * On a database without any tenant: makes the demo tenant, its admin, an API key and each service's
 * demo data, and writes `demo.json`. Answers with what the file holds; null where there is no demo.
 */
export async function ensureDemo(app: RunningApp): Promise<DemoAccess | null> {
  const path = join(app.config.dataDir, "demo.json");
  if (!app.config.demo) return null;
  const isEmpty = async () =>
    (await app.identity.db.inPlatform((tx) => findFirstTenant(tx))) === null;
  if (!(await isEmpty())) return readAccess(path);
  return inTurn(app.ownerUrl, async () =>
    (await isEmpty()) ? makeDemo(app, path) : readAccess(path),
  );
}

async function makeDemo(app: RunningApp, path: string): Promise<DemoAccess> {
  const { random } = app.identity;
  const password = random.bytes(passwordBytes).toString("base64url");
  const { user, tenant } = await createPlatformAdmin(app.identity, {
    email: "demo@plimsoll.local",
    password,
    name: "Demo",
    tenant: { name: "Demo Deli", slug: "demo" },
  });
  for (const service of app.services) {
    const { demo } = service;
    const deps = app.depsOf(service.name);
    if (demo) await deps.db.inTenant(tenant, (tx) => demo(tx, deps), on);
  }
  const apiKey = await makeApiKey(app, tenant, user);
  const access = { email: user.email, password, tenant: tenant.slug, apiKey };
  await writeAccess(app.config.dataDir, path, access);
  return access;
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

async function readAccess(path: string): Promise<DemoAccess | null> {
  return readFile(path, "utf8").then(
    (text) => JSON.parse(text) as DemoAccess,
    () => null,
  );
}

/** Readable by its owner only, and never seen half written. */
async function writeAccess(dataDir: string, path: string, access: DemoAccess): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, `${JSON.stringify(access, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
