import type { FastifyReply, FastifyRequest } from "fastify";
import type { Config } from "../config.ts";

/** A cookie that the server sets, whatever is in it. */
export interface CookieKind {
  readonly name: string;
  /** Sent to addresses below this one only. */
  readonly path: string;
  /** Lax for what must come along when another site leads back to us. */
  readonly sameSite: "Strict" | "Lax";
}

/** Sets a cookie that no script can read. Values of base64url characters need no quoting. */
export function setCookie(
  reply: FastifyReply,
  config: Pick<Config, "publicUrl" | "tls">,
  kind: CookieKind,
  { value, maxAgeSeconds }: { value: string; maxAgeSeconds: number },
): void {
  const secure = config.tls !== undefined || config.publicUrl.startsWith("https:");
  const parts = [
    `${kind.name}=${value}`,
    `Path=${kind.path}`,
    `Max-Age=${maxAgeSeconds}`,
    "HttpOnly",
    `SameSite=${kind.sameSite}`,
    ...(secure ? ["Secure"] : []),
  ];
  reply.header("set-cookie", parts.join("; "));
}

/** Makes the browser forget a cookie. */
export function clearCookie(
  reply: FastifyReply,
  config: Pick<Config, "publicUrl" | "tls">,
  kind: CookieKind,
): void {
  setCookie(reply, config, kind, { value: "", maxAgeSeconds: 0 });
}

/**
 * A cookie's value. Null when there is none, and for requests that another site has caused:
 * browsers say so in Sec-Fetch-Site, and whoever is no browser has no use for cookies.
 */
export function readCookie(request: FastifyRequest, kind: CookieKind): string | null {
  const from = request.headers["sec-fetch-site"] ?? "same-origin";
  if (kind.sameSite === "Strict" && from !== "same-origin") return null;
  for (const pair of (request.headers.cookie ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (pair.slice(0, at).trim() === kind.name) return pair.slice(at + 1).trim() || null;
  }
  return null;
}
