import { defineErrors } from "#kernel/errors.ts";

/** What only the platform's own API answers; most of its errors are the kernel's. */
export const platformErrors = defineErrors("platform", {});
