/** A request's place in a distributed trace, as W3C Trace Context writes it. */
export interface TraceParent {
  traceId: string;
  parentId: string;
  flags: string;
}

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * Reads a `traceparent` header; null for what is none. A version beyond 00 may say more after the
 * flags, version 00 may not, and version ff and ids of zeros are never valid (W3C Trace Context,
 * 3.2).
 */
export function parseTraceParent(header: string | undefined): TraceParent | null {
  if (header === undefined || header.length > 256) return null;
  const match = pattern.exec(header);
  if (!match) return null;
  const [, version, traceId, parentId, flags, more] = match as unknown as [string, ...string[]];
  if (version === "ff" || (version === "00" && more !== undefined)) return null;
  if (/^0+$/.test(traceId as string) || /^0+$/.test(parentId as string)) return null;
  return { traceId, parentId, flags } as TraceParent;
}
