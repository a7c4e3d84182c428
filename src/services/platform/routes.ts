import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";

/** Every area of the kernel's API. */
export const platformRoutes: Routes<PlatformDeps> = (_app, _deps) => {};
