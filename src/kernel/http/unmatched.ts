import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from "fastify";
import { requestErrors } from "../errors.ts";
import type { CrossOrigin } from "./cross-origin.ts";
import { sendProblem } from "./problem.ts";

const methods: readonly HTTPMethods[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/**
 * Answers a request that no route matches: 404 where there is nothing at all, 405 with Allow where
 * other methods would have been served, and OPTIONS, which asks just that.
 */
export function answerUnmatched(
  app: FastifyInstance,
  crossOrigin: CrossOrigin,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const path = (request.raw.url ?? "/").split("?", 1)[0] as string;
  const served = methods.filter((method) => isServed(app, method, path));
  if (served.length === 0) {
    sendProblem(requestErrors.not_found(), request, reply);
    return;
  }
  const allow = [...served, "OPTIONS"].join(", ");
  if (request.method === "OPTIONS") {
    crossOrigin.preflight(request, reply, served);
    reply.code(204).header("allow", allow).send();
    return;
  }
  const problem = requestErrors.method_not_allowed({
    detail: `${request.method} is not possible here; ${served.join(", ")} would be.`,
    headers: { allow },
  });
  sendProblem(problem, request, reply);
}

/**
 * Whether a parameter of the path is empty, as the id in `/shops/`: the router matches it with
 * `/shops/:id`, but nothing is called "".
 */
export function isEmptyPath(params: unknown): boolean {
  for (const [name, value] of Object.entries(params as Record<string, string>)) {
    if (value === "" && name !== "*") return true;
  }
  return false;
}

/**
 * A page's catch-all route (`/*`) serves every path by GET, which says nothing about this one; one
 * that also names something does.
 */
function isServed(app: FastifyInstance, method: HTTPMethods, path: string): boolean {
  const route = app.findRoute({ method, url: path });
  if (route === null || isEmptyPath(route.params)) return false;
  const names = Object.keys(route.params);
  return !names.includes("*") || names.length > 1;
}
