/** Headers of every answer of the API: nothing of it is ever a page. */
const apiHeaders = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
} as const;

/** What a page of ours may do: load from here, talk to here, and nothing else. */
const pagePolicy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
];

/** Headers of a page, over those of the API. */
export const pageHeaders = {
  "content-security-policy": pagePolicy.join("; "),
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "cache-control": "no-cache",
} as const;

/** A page's policy with one directive widened, such as `style-src` by `'unsafe-inline'`. */
export function pagePolicyWith(directive: string, ...sources: string[]): string {
  return pagePolicy
    .map((entry) => (entry.startsWith(`${directive} `) ? [entry, ...sources].join(" ") : entry))
    .join("; ");
}

const HSTS_SECONDS = 31_536_000;

/**
 * Headers that every answer carries. `secure`: it reaches the client over TLS, here or at a proxy,
 * so browsers are told to never come without again.
 */
export function standardHeaders(secure: boolean): Readonly<Record<string, string>> {
  if (!secure) return apiHeaders;
  const transport = `max-age=${HSTS_SECONDS}; includeSubDomains`;
  return { ...apiHeaders, "strict-transport-security": transport };
}
