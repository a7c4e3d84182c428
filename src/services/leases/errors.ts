import { defineErrors } from "#kernel/errors.ts";

/** What this service refuses by a name of its own; what engines refuse is in runtimes/errors.ts. */
export const leasesErrors = defineErrors("leases", {
  over: { status: 410, title: "The lease is over" },
  wrong_state: { status: 409, title: "The lease's state does not allow this" },
  quota_exceeded: { status: 409, title: "The quota does not allow this" },
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
  snapshot_not_ready: { status: 409, title: "The snapshot is not ready" },
  snapshot_in_use: { status: 409, title: "A lease that lives was restored from the snapshot" },
  snapshot_elsewhere: { status: 409, title: "The snapshot belongs to another runtime" },
  not_supported: { status: 422, title: "The runtime at hand can't do this" },
  no_runtime: { status: 503, title: "No container runtime is available" },
  too_long_ago: { status: 422, title: "The period is longer than can be reported at once" },
});
