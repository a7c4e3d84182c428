import { defineEvents } from "#kernel/events/catalogue.ts";
import { Lease } from "./schemas/leases.ts";
import { Snapshot } from "./schemas/snapshots.ts";
import { Template } from "./schemas/templates.ts";

/**
 * Everything that `emit` may tell here. A change's event carries the thing as it is afterwards;
 * only types that stand here can be emitted and subscribed to.
 */
export const leasesEvents = defineEvents({
  "lease.created": { title: "A lease was asked for", data: Lease },
  "lease.starting": { title: "A lease's container is being made", data: Lease },
  "lease.running": { title: "A lease's container runs", data: Lease },
  "lease.renewed": { title: "A lease was renewed", data: Lease },
  "lease.expiring": { title: "A lease will end soon", data: Lease },
  "lease.pausing": { title: "A lease is to be paused", data: Lease },
  "lease.paused": { title: "A lease was paused", data: Lease },
  "lease.resuming": { title: "A paused lease is to go on", data: Lease },
  "lease.resumed": { title: "A paused lease goes on", data: Lease },
  "lease.restarting": { title: "A lease gets a new container", data: Lease },
  "lease.chaos_killed": { title: "The chaos monkey has ended a lease's program", data: Lease },
  "lease.stopping": { title: "A lease is being ended", data: Lease },
  "lease.ended": { title: "A lease has ended", data: Lease },
  "lease.failed": { title: "A lease could not be had", data: Lease },
  "snapshot.created": { title: "A snapshot was asked for", data: Snapshot },
  "snapshot.ready": { title: "A snapshot was taken", data: Snapshot },
  "snapshot.failed": { title: "A snapshot could not be taken", data: Snapshot },
  "snapshot.deleted": { title: "A snapshot was deleted", data: Snapshot },
  "template.created": { title: "A template was made", data: Template },
  "template.updated": { title: "A template was changed", data: Template },
  "template.deleted": { title: "A template was deleted", data: Template },
});
