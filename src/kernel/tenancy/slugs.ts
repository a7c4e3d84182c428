import { isUuid } from "../random.ts";
import { tenancyErrors } from "./errors.ts";

/** 2 to 63 characters, as in a DNS label, so that a slug can become a host name. */
const slugPattern = /^[a-z0-9][a-z0-9-]{1,62}$/;
const maxSlugCharacters = 63;

/** In an address or a host name a tenant of such a name would read like a part of the platform. */
const reserved: ReadonlySet<string> = new Set([
  "admin",
  "api",
  "app",
  "auth",
  "console",
  "docs",
  "health",
  "metrics",
  "platform",
  "plimsoll",
  "ready",
  "root",
  "status",
  "support",
  "system",
  "www",
]);

/**
 * Throws ERR_TENANCY_INVALID_SLUG or ERR_TENANCY_RESERVED_SLUG unless a typed slug may be one;
 * `path` is where it stands in the body.
 */
export function assertSlug(slug: string, path = "/slug"): void {
  if (!slugPattern.test(slug) || slug.endsWith("-") || isUuid(slug)) {
    const message = "must be 2 to 63 of a-z, 0-9 and inner hyphens, and no UUID";
    throw tenancyErrors.invalid_slug({ errors: [{ path, message }] });
  }
  if (reserved.has(slug)) {
    const detail = `"${slug}" is kept for the platform; choose another slug.`;
    throw tenancyErrors.reserved_slug({ detail, errors: [{ path, message: "is reserved" }] });
  }
}

/**
 * A slug for a name: "Häfen & Söhne" → "hafen-sohne". Names without a Latin letter or digit get
 * "tenant". `suffix` tells it apart from one that is taken.
 */
export function slugOf(name: string, suffix = ""): string {
  const plain = name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-");
  const room = maxSlugCharacters - (suffix ? suffix.length + 1 : 0);
  let base = plain.replace(/^-+/, "").slice(0, room).replace(/-+$/, "");
  if (base.length < 2 || isUuid(base)) base = "tenant";
  if (reserved.has(base)) base = `${base}-tenant`;
  return suffix ? `${base}-${suffix}` : base;
}
