import type { CommandSpec } from "./types.ts";

/** A command as `plimsoll --help` lists it; what it does is loaded when it is called. */
export interface CommandEntry {
  name: string;
  summary: string;
  load: () => Promise<CommandSpec>;
}

const group = (
  name: string,
  summary: string,
  load: () => Promise<readonly CommandSpec[]>,
): CommandEntry => ({
  name,
  summary,
  load: async () => ({ name, summary, commands: await load() }),
});

/** Every command there is, in the order of the help. */
export const commandEntries: readonly CommandEntry[] = [
  {
    name: "serve",
    summary: "run the server",
    load: async () => (await import("./local.ts")).serve,
  },
  {
    name: "migrate",
    summary: "bring the database to this version",
    load: async () => (await import("./migrate.ts")).migrate,
  },
  group("secrets", "make the secrets of a production server", async () => {
    return (await import("./secrets.ts")).secretsCommands;
  }),
  group("admin", "make platform admins, see whether leases and containers agree", async () => [
    ...(await import("./local.ts")).adminCommands,
    (await import("./leases-drift.ts")).drift,
  ]),
  {
    name: "register",
    summary: "make an account",
    load: async () => (await import("./accounts.ts")).register,
  },
  { name: "login", summary: "sign in", load: async () => (await import("./accounts.ts")).login },
  { name: "logout", summary: "sign out", load: async () => (await import("./accounts.ts")).logout },
  {
    name: "whoami",
    summary: "show who is signed in",
    load: async () => (await import("./accounts.ts")).whoami,
  },
  {
    name: "switch-tenant",
    summary: "go on in another tenant",
    load: async () => (await import("./accounts.ts")).switchTenant,
  },
  group(
    "orders",
    "shops, products, customers and orders",
    async () => (await import("./orders.ts")).commands,
  ),
  group("leases", "containers for a limited time", async () => {
    return (await import("./leases.ts")).commands;
  }),
  group("snapshots", "what is kept of leases", async () => {
    return (await import("./leases-snapshots.ts")).snapshotCommands;
  }),
  group("consistency", "replicated stores, and what their histories prove", async () => {
    return (await import("./consistency.ts")).commands;
  }),
  group("analyses", "what a repository's code is like", async () => {
    return (await import("./analyses-run.ts")).analysesCommands;
  }),
  group("tenants", "the platform's tenants", async () => {
    return (await import("./tenants.ts")).tenantCommands;
  }),
  group("settings", "settings of the tenant", async () => {
    return (await import("./tenants.ts")).settingCommands;
  }),
  group("members", "who belongs to the tenant", async () => {
    return (await import("./members.ts")).memberCommands;
  }),
  group("invitations", "who is asked to join the tenant", async () => {
    return (await import("./members.ts")).invitationCommands;
  }),
  group("roles", "roles of the tenant's own", async () => {
    return (await import("./members.ts")).roleCommands;
  }),
  group("sessions", "where you are signed in", async () => {
    return (await import("./members.ts")).sessionCommands;
  }),
  group("api-keys", "keys for programs", async () => {
    return (await import("./api-keys.ts")).apiKeyCommands;
  }),
  group("audit", "who did what", async () => (await import("./audit.ts")).auditCommands),
  group("webhooks", "events sent to other systems", async () => {
    return (await import("./webhooks.ts")).webhookCommands;
  }),
  group("events", "what happens, as it happens", async () => {
    return (await import("./events.ts")).eventCommands;
  }),
  group("jobs", "background work", async () => (await import("./admin.ts")).jobCommands),
  group("flags", "switches", async () => (await import("./admin.ts")).flagCommands),
  group("faults", "make things go wrong on purpose", async () => {
    return (await import("./admin.ts")).faultCommands;
  }),
  group("breakers", "dependencies on other systems", async () => {
    return (await import("./admin.ts")).breakerCommands;
  }),
  group("signing-keys", "keys that sign access tokens", async () => {
    return (await import("./admin.ts")).signingKeyCommands;
  }),
];
