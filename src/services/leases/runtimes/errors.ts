import { defineErrors } from "#kernel/errors.ts";

/** What every runtime throws; whoever drives one tells by the code whether to try again. */
export const runtimeErrors = defineErrors("leases_runtime", {
  unavailable: { status: 503, title: "The container runtime does not answer" },
  image_missing: { status: 422, title: "The container runtime has no such image" },
  refused: { status: 422, title: "The container runtime can't or must not do this" },
  conflict: { status: 409, title: "The container is not in a state that allows this" },
  gone: { status: 410, title: "There is no such container any more" },
  path_refused: { status: 422, title: "The path leads out of the places that may be reached" },
  file_missing: { status: 404, title: "The container has no such file" },
  file_too_large: { status: 413, title: "The file is larger than may be sent" },
  disk_full: { status: 507, title: "The container's disk is full" },
});
