import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";

/** Of one connection, and not of what comes over it (RFC 9110, 7.6.1). */
const ofConnection = [
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** What a container must not be told: who asks here, by what right, and by which way. */
const askedWithout = new Set([
  ...ofConnection,
  "authorization",
  "cookie",
  "cookie2",
  "expect",
  "forwarded",
  "host",
  "via",
  "x-api-key",
  "x-real-ip",
]);

/**
 * What a container must not say to a browser that takes the answer for ours: it would hold for all
 * of our origin, or lead away from it.
 */
const answeredWithout = new Set([
  ...ofConnection,
  "accept-ch",
  "activate-storage-access",
  "alt-svc",
  "cache-control",
  "clear-site-data",
  "content-location",
  "content-security-policy",
  "content-security-policy-report-only",
  "critical-ch",
  "document-policy",
  "expires",
  "feature-policy",
  "integrity-policy",
  "location",
  "nel",
  "origin-agent-cluster",
  "permissions-policy",
  "pragma",
  "public-key-pins",
  "referrer-policy",
  "refresh",
  "report-to",
  "reporting-endpoints",
  "service-worker-allowed",
  "set-cookie",
  "set-cookie2",
  "set-login",
  "speculation-rules",
  "strict-transport-security",
  "timing-allow-origin",
  "traceresponse",
  "vary",
  "via",
  "www-authenticate",
  "x-content-type-options",
  "x-frame-options",
  "x-request-id",
]);
const answeredWithoutBeginnings = ["access-control-", "cross-origin-", "ratelimit", "sec-"];

/** A page out of a container: no origin, no script, in no frame, kept by nobody. */
export const sandboxHeaders = {
  "content-security-policy": "sandbox; frame-ancestors 'none'",
  "cache-control": "no-store",
  via: "1.1 plimsoll",
} as const;

const isForwardedFor = (name: string) => name.startsWith("x-forwarded-");

/** Names that `Connection` lists: those headers are the connection's too. */
const listedIn = ({ connection = "" }: IncomingHttpHeaders): Set<string> =>
  new Set(connection.split(",").map((name) => name.trim().toLowerCase()));

/** How a request came to us. */
export interface CameBy {
  readonly address: string;
  readonly protocol: "http" | "https";
  readonly host: string;
  readonly prefix: string;
  readonly requestId: string;
}

/** The name by which programs in a container know themselves. */
export const hostOf = (port: number): string => `localhost:${port}`;

/** What a request tells the container: everything but credentials and what is the connection's. */
export function askedHeaders(
  headers: IncomingHttpHeaders,
  port: number,
  came: CameBy,
): OutgoingHttpHeaders {
  const listed = listedIn(headers);
  const kept = Object.entries(headers).filter(
    ([name]) => !askedWithout.has(name) && !listed.has(name) && !isForwardedFor(name),
  );
  return {
    ...Object.fromEntries(kept),
    host: hostOf(port),
    via: sandboxHeaders.via,
    "x-forwarded-for": came.address,
    "x-forwarded-proto": came.protocol,
    "x-forwarded-host": came.host,
    "x-forwarded-prefix": came.prefix,
    "x-request-id": came.requestId,
  };
}

/** The same for one that opens a WebSocket; a ticket for us is not the container's to see. */
export function upgradeHeaders(
  headers: OutgoingHttpHeaders,
  protocols: readonly string[],
): OutgoingHttpHeaders {
  const { "sec-websocket-protocol": _said, ...rest } = headers;
  return {
    ...rest,
    ...(protocols.length > 0 && { "sec-websocket-protocol": protocols.join(", ") }),
    connection: "Upgrade",
    upgrade: "websocket",
  };
}

/** What of a container's answer reaches who asked. `location` was looked at by `rewrite`. */
export function answeredHeaders(
  headers: IncomingHttpHeaders,
  location: string | null,
): OutgoingHttpHeaders {
  const listed = listedIn(headers);
  const kept = Object.entries(headers).filter(
    ([name]) =>
      !answeredWithout.has(name) &&
      !listed.has(name) &&
      !answeredWithoutBeginnings.some((beginning) => name.startsWith(beginning)),
  );
  return {
    ...Object.fromEntries(kept),
    ...sandboxHeaders,
    ...(location !== null && { location }),
  };
}

const upgradeAnswers = [
  "sec-websocket-accept",
  "sec-websocket-protocol",
  "sec-websocket-extensions",
];

/** The head of an answer that opens a WebSocket. */
export function upgradeAnswer(headers: IncomingHttpHeaders, requestId: string): string {
  const said = upgradeAnswers.flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [`${name}: ${String(value)}`];
  });
  return [
    "HTTP/1.1 101 Switching Protocols",
    "connection: Upgrade",
    "upgrade: websocket",
    ...said,
    `x-request-id: ${requestId}`,
    "",
    "",
  ].join("\r\n");
}

/**
 * Where a container's redirect leads, below `prefix`. Null for what leads elsewhere: whoever
 * followed it might carry their credentials there. `path`: what was asked of the container.
 */
export function rewriteLocation(
  location: string,
  { prefix, path, hosts }: { prefix: string; path: string; hosts: readonly string[] },
): string | null {
  const base = URL.parse(path, `http://${hosts[0]}`);
  const url = base && URL.parse(location, base.href);
  if (!url || !/^https?:$/.test(url.protocol) || !hosts.includes(url.host)) return null;
  const { pathname, search, hash } = url;
  // Some programs know by X-Forwarded-Prefix where they are.
  const isBelow = pathname === prefix || pathname.startsWith(`${prefix}/`);
  return `${isBelow ? pathname : `${prefix}${pathname}`}${search}${hash}`;
}

const address = /^\/api\/v1\/leases\/[^/?#]+\/ports\/[^/?#]+(\/[^?#]*)(\?[^#]*)?$/i;

/** What is asked of the container, letter for letter; null for what is no such address. */
export function pathBelow(url: string): string | null {
  const match = address.exec(url);
  return match ? `${match[1]}${match[2] ?? ""}` : null;
}
