import type { Address } from "./proxy.ts";
import { EngineFault } from "./types.ts";

const hostAtMost = 253;

/**
 * Reads "host:port", "[address]:port" or the same behind one of the schemes, which are those
 * without TLS. Throws EngineFault with what is wrong.
 */
export function addressOf(text: string, schemes: readonly string[], usualPort: number): Address {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  const isKnown = scheme === undefined || schemes.includes(scheme);
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3).replace(/\/$/, "");
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::([0-9]{1,5}))?$/i.exec(rest);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3] ?? usualPort);
  if (isKnown && host && host.length <= hostAtMost && port >= 1 && port <= 65_535) {
    return { host, port };
  }
  // What was given may have a password in it, which nobody should read in an answer.
  throw new EngineFault(
    `A node's address is "host:port" or "${schemes[0]}://host:port", with nothing else in it: ` +
      "no user, no path, no TLS.",
  );
}
