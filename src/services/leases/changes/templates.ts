import { audit } from "#kernel/audit/audit.ts";
import { auditPlatform } from "#kernel/audit/platform.ts";
import { alsoIn } from "#kernel/db/tx.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { thePlatform } from "#kernel/tenancy/types.ts";
import { current, type Expected } from "#kernel/versions.ts";
import { leasesErrors } from "../errors.ts";
import { assertTemplate, templateOf, type TemplateValues } from "../rules/templates.ts";
import type { NewTemplate, Template, TemplateChanges } from "../schemas/templates.ts";
import {
  deleteTemplate,
  insertTemplate,
  lockTemplate,
  updateTemplate,
} from "../store/templates.ts";
import type { LeasesDeps } from "../types.ts";
import { readLimits } from "./limits.ts";
import { lookAtPoolsAfter } from "./warm.ts";

type TemplateDeps = Pick<LeasesDeps, "settings" | "leases" | "random" | "clock">;

/** Who changes a template: only a platform admin may change the platform's. */
export interface TemplateChange {
  readonly id: string;
  readonly version: Expected;
  readonly isPlatformAdmin: boolean;
}

const resourceOf = ({ id }: Pick<Template, "id">) => ({ type: "template", id });

const platformOnly = () =>
  leasesErrors.platform_template({
    detail: "The template is the platform's; make one of the tenant's own instead.",
  });

/** Limits that its owner is bound by; the platform by none. */
const limitsFor = (tx: Tx, deps: TemplateDeps, scope: Template["scope"]) =>
  scope === "platform" ? null : readLimits(tx, deps);

async function tell(
  tx: Tx,
  type: string,
  change: { before?: Template; after?: Template },
): Promise<void> {
  const template = (change.after ?? change.before) as Template;
  const record = { action: type, resource: resourceOf(template), ...change };
  const write = template.scope === "platform" ? auditPlatform : audit;
  write(tx, record);
  const events = { create: "created", update: "updated", delete: "deleted" } as const;
  const event = `template.${events[type.slice("template.".length) as keyof typeof events]}`;
  emit(tx, { type: event, resource: resourceOf(template), data: template });
  const isPooled = [change.before, change.after].some((one) => (one?.warmSize ?? 0) > 0);
  // Pools that other tenants have of the platform's follow within a minute.
  if (isPooled) await lookAtPoolsAfter(tx);
}

/**
 * Makes a template of the tenant, or of the platform. Throws `platform_template`,
 * `template_name_taken` and what `assertTemplate` throws.
 */
export async function createTemplate(
  tx: Tx,
  deps: TemplateDeps,
  wanted: NewTemplate,
  isPlatformAdmin: boolean,
): Promise<Template> {
  const { scope = "tenant" } = wanted;
  if (scope === "platform" && !isPlatformAdmin) throw platformOnly();
  const values = templateOf(wanted);
  assertTemplate(values, await limitsFor(tx, deps, scope));
  const owner = scope === "platform" ? alsoIn(tx, thePlatform) : tx;
  const { random, clock } = deps;
  const after = await insertTemplate(owner, { ...values, id: random.id(), clock });
  await tell(tx, "template.create", { after });
  return after;
}

/** The template as it is, locked, and whose transaction it is changed in. */
async function lockOwned(
  tx: Tx,
  { id, version, isPlatformAdmin }: TemplateChange,
): Promise<{ owner: Tx; before: Template }> {
  const platform = alsoIn(tx, thePlatform);
  const own = await lockTemplate(tx, id);
  const before = current(own ?? (await lockTemplate(platform, id)), version);
  if (before.scope === "platform" && !isPlatformAdmin) throw platformOnly();
  return { owner: before.scope === "platform" ? platform : tx, before };
}

/** Throws what `createTemplate` throws, and the kernel's `not_found` and `version_conflict`. */
export async function changeTemplate(
  tx: Tx,
  deps: TemplateDeps,
  change: TemplateChange,
  changes: TemplateChanges,
): Promise<Template> {
  const { owner, before } = await lockOwned(tx, change);
  const { id, scope, version: _, createdAt: __, updatedAt: ___, ...values } = before;
  const wanted: TemplateValues = { ...values, ...changes };
  assertTemplate(wanted, await limitsFor(tx, deps, scope));
  const after = await updateTemplate(owner, { ...wanted, id, clock: deps.clock });
  await tell(tx, "template.update", { before, after });
  return after;
}

/** Leases that were made of it stay as they are. */
export async function removeTemplate(tx: Tx, change: TemplateChange): Promise<void> {
  const { owner, before } = await lockOwned(tx, change);
  await owner.batch([deleteTemplate(owner, before.id)]);
  await tell(tx, "template.delete", { before });
}
