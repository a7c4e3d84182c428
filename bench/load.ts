import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import autocannon from "autocannon";

/** A request that is sent again and again. */
export interface Target {
  name: string;
  url: string;
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  connections?: number;
  /** A body that no other request has. */
  body?: () => string;
  /** A path that no other request has. */
  path?: () => string;
}

/** Something else that can be measured beside requests. */
export interface Work {
  name: string;
  /** How often it was done in a second. */
  measure: (options: LoadOptions) => Promise<number>;
}

export interface LoadOptions {
  seconds: number;
  connections: number;
  rounds: number;
}

const hasWrk = spawnSync("wrk", ["-v"]).error === undefined;

/**
 * Requests per second of one round. Reads come from `wrk` where it is installed, since a generator
 * in JavaScript takes as much of the two cores as the servers that it measures.
 */
async function shoot(target: Target, options: LoadOptions): Promise<number> {
  const isFixed = !target.body && !target.path;
  if (isFixed && hasWrk) {
    return Number(/Requests\/sec:\s+([\d.]+)/.exec(await wrk(target, options))?.[1]);
  }
  const result = await autocannon({
    url: target.url,
    method: target.method ?? "GET",
    connections: target.connections ?? options.connections,
    duration: options.seconds,
    headers: target.headers,
    requests: isFixed ? undefined : [{ setupRequest: (request) => freshRequest(request, target) }],
  });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${target.name}: ${result.non2xx} failures, ${result.errors} errors`);
  }
  return result.requests.average;
}

/** In a process of its own, so that it can run beside this one's event loop. */
async function wrk(target: Target, options: LoadOptions): Promise<string> {
  const { name, url, headers = {} } = target;
  const given = Object.entries(headers).flatMap(([key, value]) => ["-H", `${key}: ${value}`]);
  const connections = target.connections ?? options.connections;
  const load = ["-t1", `-c${connections}`, `-d${options.seconds}s`, "--latency"];
  const { stdout } = await promisify(execFile)("wrk", [...load, ...given, url]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${name}: ${stdout}`);
  return stdout;
}

let requestNumber = 0;

function freshRequest(request: autocannon.Request, { body, path }: Target): autocannon.Request {
  requestNumber += 1;
  const headers = {
    ...request.headers,
    "idempotency-key": `bench-${process.pid}-${requestNumber}`,
  };
  return { ...request, headers, ...(body && { body: body() }), ...(path && { path: path() }) };
}

/**
 * A round for warming up, since compilers take seconds, then rounds of all in turn, so that a
 * disturbed moment hits all alike; the best counts.
 */
export async function compare(
  contenders: readonly (Target | Work)[],
  options: LoadOptions,
): Promise<Map<string, number>> {
  const best = new Map<string, number>();
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const one of contenders) {
      const rate = await ("measure" in one ? one.measure(options) : shoot(one, options));
      if (round > 0) best.set(one.name, Math.max(best.get(one.name) ?? 0, rate));
    }
  }
  return best;
}

/** Times a second that `work` is done, with so many under way at once. */
export function inFlight(name: string, work: () => Promise<unknown>): Work {
  return {
    name,
    async measure({ seconds, connections }) {
      const startMs = performance.now();
      let done = 0;
      const worker = async () => {
        while (performance.now() - startMs < seconds * 1_000) {
          await work();
          done += 1;
        }
      };
      await Promise.all(Array.from({ length: connections }, worker));
      return (done * 1_000) / (performance.now() - startMs);
    },
  };
}

/** Resident memory of a process. */
export function residentMiB(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1]) / 1024;
}

/** One line of the result. */
export function line(name: string, figure: string, target = ""): void {
  console.log(`${name.padEnd(62)} ${figure.padStart(12)}  ${target}`);
}
