import type { RouteOptions } from "fastify";

type Members = { properties?: Record<string, { format?: string }> } | undefined;

/**
 * Ids in a path reach the handler in lower case, as they are stored: whoever types one in upper
 * case means the same row, be it compared by PostgreSQL, in a rule or as the text in an audit
 * record.
 */
export function lowerPathIds(route: RouteOptions): void {
  const params = route.schema?.params as Members;
  const names = Object.entries(params?.properties ?? {})
    .filter(([, { format }]) => format === "uuid")
    .map(([name]) => name);
  if (names.length === 0) return;
  route.preHandler = [
    (request, _reply, done) => {
      const given = request.params as Record<string, string>;
      for (const name of names) given[name] = (given[name] as string).toLowerCase();
      done();
    },
    ...[route.preHandler ?? []].flat(),
  ];
}
