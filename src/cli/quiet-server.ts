/** A server without address or worker over the configured database, quick to stop. */
export async function startQuietly() {
  const [main, { services }, { startApp }, { createLogger }] = await Promise.all([
    import("../main.ts"),
    import("../services.ts"),
    import("#kernel/app.ts"),
    import("#kernel/telemetry/logger.ts"),
  ]);
  const config = main.configure({ role: "api" });
  const limits = { ...config.limits, shutdownDelayMs: 0 };
  const log = createLogger({ level: "silent" });
  return startApp({ config: { ...config, limits }, services, version: main.version, log });
}
