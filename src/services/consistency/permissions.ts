import { definePermissions } from "#kernel/access/permissions.ts";

/** What may be done here; the role `user` has what says `user`. */
export const consistencyPermissions = definePermissions({
  "store:read": { title: "See stores, their status and their history", user: "all" },
  "store:create": { title: "Make a store" },
  "store:update": { title: "Change a store" },
  "store:delete": { title: "Delete a store" },
  "store:get": { title: "Read keys of a store", user: "all" },
  "store:put": { title: "Write and delete keys of a store", user: "all" },
  "store:fault": { title: "Inject faults into a store and end them" },
  "store:run": { title: "Run workloads and experiments on a store" },
  "check:read": { title: "See what histories proved", user: "all" },
  "check:create": { title: "Have a history checked", user: "all" },
});
