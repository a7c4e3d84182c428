import { hostOf } from "./addresses.ts";
import { outgoingErrors } from "./outgoing-errors.ts";

export interface OutgoingInit {
  method?: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array;
  /** Largest body accepted, before and after decompression; 10 MiB by default. */
  maxBytes?: number;
  /** Limit of the whole exchange with redirects and body; 30 s by default. */
  timeoutMs?: number;
  /** 5 by default; 0 answers the redirect itself. */
  maxRedirects?: number;
  /** Whose request it is: a host that fails one tenant is not held against another. */
  tenantId?: string;
  /**
   * How often it is repeated where no server was there (no connection, 502, 503, 504), within the
   * same `timeoutMs`; 2 for GET and HEAD by default, else 0.
   */
  retries?: number;
  signal?: AbortSignal;
}

const maxUrlCharacters = 4_096;
const refusedHeaders =
  /^(host|connection|keep-alive|proxy-.*|te|trailer|(transfer-en|content-le)\w+|upgrade|expect)$/i;
/**
 * What may follow a redirect to another origin: nothing that could be a credential or a signature.
 */
const harmlessHeaders = /^(accept|accept-language|accept-encoding|user-agent|content-type)$/i;

/** A web address without credentials and fragment; throws `ERR_OUTGOING_BAD_URL`. */
export function parseUrl(text: string, base?: URL): URL {
  const bad = (detail: string) => outgoingErrors.bad_url({ detail });
  if (text.length > maxUrlCharacters) throw bad(`It has more than ${maxUrlCharacters} characters.`);
  if (!URL.canParse(text, base?.href)) throw bad("It is not an absolute address.");
  const url = new URL(text, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw bad("It must be http or https.");
  if (url.username !== "" || url.password !== "") throw bad("It must not hold credentials.");
  if (hostOf(url) === "") throw bad("It names no host.");
  url.hash = "";
  return url;
}

/** What goes out, after checks. */
export interface Request {
  method: string;
  headers: Record<string, string>;
  body: string | Uint8Array | null;
}

/** Throws `ERR_OUTGOING_BAD_REQUEST` for what would steer the connection. */
export function requestOf(init: OutgoingInit): Request {
  const method = (init.method ?? "GET").toUpperCase();
  if (!/^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method)) {
    throw outgoingErrors.bad_request({ detail: "The method is not allowed." });
  }
  const headers: Record<string, string> = { "user-agent": "plimsoll" };
  for (const [name, value] of Object.entries(init.headers ?? {})) {
    if (refusedHeaders.test(name)) {
      throw outgoingErrors.bad_request({ detail: `The header ${name} is not allowed.` });
    }
    headers[name.toLowerCase()] = value;
  }
  headers["accept-encoding"] = "gzip, br";
  return { method, headers, body: init.body ?? null };
}

/** The request that a redirect asks for (RFC 9110, 15.4; credentials as in WHATWG Fetch). */
export function redirected(request: Request, status: number, from: URL, to: URL): Request {
  const becomesGet =
    (status === 303 && request.method !== "HEAD") ||
    ((status === 301 || status === 302) && request.method === "POST");
  const isElsewhere = from.origin !== to.origin;
  const headers = Object.entries(request.headers).filter(([name]) => {
    if (becomesGet && name.startsWith("content-")) return false;
    return !isElsewhere || harmlessHeaders.test(name);
  });
  return {
    method: becomesGet ? "GET" : request.method,
    headers: Object.fromEntries(headers),
    body: becomesGet ? null : request.body,
  };
}
