import type { FastifyInstance } from "fastify";
import type { App } from "./types.ts";

/**
 * Registers routes, each with `raw: true` in its config, whose requests are somebody else's to
 * read: the kernel does with them what it does with all (headers, access, limits, log), checks
 * their path, and leaves query and body as they came, `request.raw` being the stream. Their
 * answers are not compressed. A preflight of a browser's is answered by the kernel.
 */
export function rawRoutes(app: App, register: (scope: App) => void): void {
  app.register(async (scope: FastifyInstance) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, _body, done) => done(null));
    scope.addHook("onRoute", ({ config, method, url }) => {
      if (!config?.raw)
        throw new Error(`${String(method)} ${url} stands among raw ones: say \`raw\``);
    });
    register(scope);
  });
}
