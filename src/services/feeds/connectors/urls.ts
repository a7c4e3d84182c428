/** An address with these members in its query, in the place of those it had. */
export function withQuery(url: string, query: Readonly<Record<string, string | number>>): string {
  const target = new URL(url);
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, String(value));
  return target.href;
}

/** The value at a dotted path of a JSON body; the empty path is the body itself. */
export function valueAt(body: unknown, path: string): unknown {
  let value = body;
  for (const name of path === "" ? [] : path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** The address of `rel="next"` in a `Link` header (RFC 8288), or null. */
export function nextLink(header: string | undefined): string | null {
  for (const [, address, parameters = ""] of (header ?? "").matchAll(/<([^<>]*)>([^<]*)/g)) {
    if (/;\s*rel\s*=\s*("(?:[^"]*\s)?next(?:\s[^"]*)?"|next\s*(?=[;,]|$))/i.test(parameters)) {
      return address ?? null;
    }
  }
  return null;
}
