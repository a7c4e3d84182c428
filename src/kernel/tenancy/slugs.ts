import { tenancyErrors } from "./errors.ts";

/** 2 to 63 characters, as in a DNS label, so that a slug can become a host name. */
const slugPattern = /^[a-z0-9][a-z0-9-]{1,62}$/;
const maxSlugCharacters = 63;

/** Throws ERR_TENANCY_INVALID_SLUG unless a typed slug may be one. */
export function assertSlug(slug: string): void {
  if (!slugPattern.test(slug) || slug.endsWith("-") || isUuid(slug)) {
    throw tenancyErrors.invalid_slug({
      errors: [{ path: "/slug", message: "2 to 63 of a-z, 0-9 and inner hyphens, and no UUID" }],
    });
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
  return suffix ? `${base}-${suffix}` : base;
}

/** Lower-case UUID text of any version. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text);
}
