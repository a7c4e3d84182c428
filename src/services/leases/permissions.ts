import { definePermissions } from "#kernel/access/permissions.ts";

/**
 * What may be done here. The role `user` has what says `user`: "all" for any row of its tenant,
 * "own" for the leases and snapshots that it made; `ownable` ones may be given for own ones.
 */
export const leasesPermissions = definePermissions({
  "lease:create": { title: "Lease a container", user: "all" },
  "lease:read": { title: "See leases, their expiry and their history", user: "own" },
  "lease:renew": { title: "Renew a lease and keep it alive", user: "own" },
  "lease:control": { title: "Pause, resume and restart a lease", user: "own" },
  "lease:delete": { title: "End a lease", user: "own" },
  "lease:logs": { title: "Read what a lease's program wrote", user: "own" },
  "lease:exec": { title: "Run programs in a lease and use its terminal", user: "own" },
  "lease:files": { title: "Read and write files of a lease", user: "own" },
  "lease:connect": { title: "Reach the ports of a lease", user: "own" },
  "snapshot:create": { title: "Take a snapshot of a lease", user: "own" },
  "snapshot:read": { title: "See snapshots", user: "own" },
  "snapshot:restore": { title: "Lease a container made of a snapshot", user: "own" },
  "snapshot:delete": { title: "Delete a snapshot", user: "own" },
  "template:read": { title: "See templates and their history", user: "all" },
  "template:create": { title: "Make a template" },
  "template:update": { title: "Change or retire a template" },
  "template:delete": { title: "Delete a template" },
  "usage:read": { title: "See what leases used and cost", user: "own" },
  "drift:read": { title: "See where containers and leases differ", platform: true },
  "drift:repair": { title: "Repair where containers and leases differ", platform: true },
});
