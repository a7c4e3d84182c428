const loopback = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Whether a page of `origin` may open a WebSocket. Browsers let pages connect anywhere, so it is
 * the server that has to look: its own origin and those of the CORS list may, by exact comparison;
 * `null`, which any sandboxed page sends, never. Without an origin it is no browser that asks. A
 * server of this machine has three names.
 */
export function createOriginCheck(options: {
  publicUrl: string;
  corsOrigins: readonly string[];
}): (origin: string | undefined) => boolean {
  const own = new URL(options.publicUrl);
  const names = loopback.includes(own.hostname) ? loopback : [own.hostname];
  const port = own.port === "" ? "" : `:${own.port}`;
  const allowed = new Set([
    ...names.map((name) => `${own.protocol}//${name}${port}`),
    ...options.corsOrigins.filter((origin) => origin !== "*"),
  ]);
  allowed.delete("null");
  return (origin) => origin === undefined || allowed.has(origin);
}
