import { Type } from "typebox";
import type { SettingCatalogue } from "#kernel/settings.ts";

/** What the platform itself keeps for each tenant. */
export const platformSettings = {
  requests_per_minute: {
    title: "Requests a minute that the tenant may make; null for the server's default",
    schema: Type.Integer({ minimum: 1, maximum: 100_000_000 }),
    platform: true,
  },
} as const satisfies SettingCatalogue;
