import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { apiKeyRoutes } from "./routes/api-keys.ts";
import { auditRoutes } from "./routes/audit.ts";
import { authRoutes } from "./routes/auth.ts";
import { breakerRoutes } from "./routes/breakers.ts";
import { eventRoutes } from "./routes/events.ts";
import { faultRoutes } from "./routes/faults.ts";
import { flagRoutes } from "./routes/flags.ts";
import { invitationRoutes } from "./routes/invitations.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { memberRoutes } from "./routes/members.ts";
import { oidcRoutes } from "./routes/oidc.ts";
import { roleRoutes } from "./routes/roles.ts";
import { sessionRoutes } from "./routes/sessions.ts";
import { settingsRoutes } from "./routes/settings.ts";
import { signingKeyRoutes } from "./routes/signing-keys.ts";
import { tenantRoutes } from "./routes/tenants.ts";
import { totpRoutes } from "./routes/totp.ts";
import { webhookRoutes } from "./routes/webhooks.ts";

/** What the reference groups the kernel's API by. */
export const platformAreas = {
  authentication: "Registering, signing in and out, one's own account and its second factor.",
  members: "Who belongs to the tenant, what they may do, and inviting others.",
  "API keys": "Access for programs.",
  tenants: "The settings of one's own tenant.",
  events: "What happens in the tenant, as a stream.",
  webhooks: "Events sent to addresses of one's own, and what became of each delivery.",
  audit: "Who changed what and when, in a log that shows tampering.",
  administration: "For platform admins: all tenants, keys, jobs, flags, breakers and faults.",
};

/** Every area of the kernel's API. */
export const platformRoutes: Routes<PlatformDeps> = (app, deps) => {
  apiKeyRoutes(app, deps);
  auditRoutes(app, deps);
  authRoutes(app, deps);
  breakerRoutes(app, deps);
  eventRoutes(app, deps);
  faultRoutes(app, deps);
  flagRoutes(app, deps);
  invitationRoutes(app, deps);
  jobRoutes(app, deps);
  memberRoutes(app, deps);
  oidcRoutes(app, deps);
  roleRoutes(app, deps);
  sessionRoutes(app, deps);
  settingsRoutes(app, deps);
  signingKeyRoutes(app, deps);
  tenantRoutes(app, deps);
  totpRoutes(app, deps);
  webhookRoutes(app, deps);
};
