import { Type } from "typebox";
import { defineErrors } from "#kernel/errors.ts";
import { Id } from "#kernel/http/schemas.ts";

const text = (description: string, example: string) =>
  Type.String({ description, examples: [example] });
const amount = (description: string, example: number) =>
  Type.Integer({ minimum: 0, description, examples: [example] });
const state = text("The lease's, now.", "running");

/** What this service refuses by a name of its own; what engines refuse is in runtimes/errors.ts. */
export const leasesErrors = defineErrors("leases", {
  over: {
    status: 410,
    title: "The lease is over",
    members: { state, terminationReason: text("Why it has ended.", "expired") },
  },
  wrong_state: {
    status: 409,
    title: "The lease's state does not allow this",
    members: {
      state,
      allowed: Type.Array(Type.String({ examples: ["resume"] }), {
        description: "What can be asked of it instead.",
      }),
    },
  },
  quota_exceeded: {
    status: 409,
    title: "The quota does not allow this",
    members: {
      limit: text("Which one.", "leases"),
      scope: text("Whose.", "tenant"),
      allowed: amount("How much it allows.", 5),
      used: amount("How much is in use.", 5),
      wanted: amount("How much more was asked for.", 1),
    },
  },
  beyond_limit: { status: 422, title: "The lease asks for more, or less, than may be leased" },
  image_not_allowed: { status: 422, title: "The image is not one that may be leased" },
  no_image: { status: 422, title: "The lease names no image and no template" },
  unknown_template: { status: 422, title: "There is no such template" },
  template_retired: { status: 422, title: "The template is retired" },
  template_decides: { status: 422, title: "The template says this already" },
  template_name_taken: { status: 409, title: "There is another template of this name" },
  platform_template: { status: 403, title: "Only a platform admin may change this template" },
  bad_environment: { status: 422, title: "The environment variables are not valid" },
  read_only: { status: 409, title: "Nothing of a read-only container can be kept" },
  snapshot_not_ready: {
    status: 409,
    title: "The snapshot is not ready",
    members: { state: text("The snapshot's, now.", "pending") },
  },
  snapshot_in_use: {
    status: 409,
    title: "A lease that lives was restored from the snapshot",
    members: { leaseId: { ...Id, description: "That lease." } },
  },
  snapshot_elsewhere: { status: 409, title: "The snapshot belongs to another runtime" },
  not_supported: { status: 422, title: "The runtime at hand can't do this" },
  no_runtime: { status: 503, title: "No container runtime is available" },
  busy: { status: 429, title: "As much is done in the lease at once as may be" },
  wrong_checksum: {
    status: 422,
    title: "The file is not the one that was announced",
    members: { sha256: text("Of what came.", "9f86d081…"), sizeBytes: amount("Of the same.", 4) },
  },
  terminal_gone: { status: 410, title: "There is no such terminal any more" },
  terminal_elsewhere: { status: 409, title: "The terminal is held by another server" },
  terminal_taken: { status: 409, title: "Another connection has taken over the terminal" },
  terminal_word: { status: 400, title: "The message is none of the terminal's protocol" },
  unknown_port: { status: 404, title: "The lease has no such port" },
  port_silent: { status: 502, title: "Nothing that speaks HTTP/1.1 listens at the port" },
  port_late: { status: 504, title: "What listens at the port does not answer in time" },
  too_long_ago: { status: 422, title: "The period is longer than can be reported at once" },
});
