import { type TSchema, Type } from "typebox";
import { strict, Timestamp, Version } from "#kernel/http/schemas.ts";
import type { SettingCatalogue } from "#kernel/settings.ts";

/** What the platform itself keeps for each tenant. */
export const platformSettings = {
  requests_per_minute: {
    title: "Requests a minute that the tenant may make; null for the server's default",
    schema: Type.Integer({ minimum: 1, maximum: 100_000_000 }),
    platform: true,
  },
} as const satisfies SettingCatalogue;

const Masked = (title: string) =>
  Type.Union([Type.String(), Type.Null()], {
    description: `${title}. Write-only: answered by its last four characters.`,
    examples: ["…c0de"],
  });

/** One schema of all settings that the services declare, as they are answered. */
export function settingsAnswer(catalogue: SettingCatalogue) {
  const members: Record<string, TSchema> = {};
  for (const [name, { title, schema, default: value, secret }] of Object.entries(catalogue)) {
    const examples = [value ?? null];
    members[name] = secret
      ? Masked(title)
      : Type.Union([schema, Type.Null()], { description: title, examples });
  }
  return strict(
    { settings: strict(members), version: Version, updatedAt: Timestamp },
    { title: "TenantSettings" },
  );
}

/** The same as they are sent: whatever is absent falls back to its default, and secrets stay. */
export function settingsChange(catalogue: SettingCatalogue) {
  const members: Record<string, TSchema> = {};
  for (const [name, { title, schema, default: value, secret, platform }] of Object.entries(
    catalogue,
  )) {
    const stays = secret ? " Absent or sent back masked, it stays; null removes it." : "";
    const admins = platform ? " Changed by platform admins only." : "";
    const text = Type.String({ minLength: 1, maxLength: 4_096 });
    members[name] = Type.Optional(
      Type.Union([secret ? text : schema, Type.Null()], {
        description: `${title}.${stays}${admins}`,
        examples: [value ?? null],
      }),
    );
  }
  return strict({ settings: strict(members) }, { title: "TenantSettingsChange" });
}
