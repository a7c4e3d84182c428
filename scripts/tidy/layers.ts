import { posix } from "node:path";
import { type Finding, isProgram, type Source, servesTests } from "./source.ts";

/** The kernel's rooms from the bottom up; a room may use those on its own floor and below. */
const kernelFloors: readonly (readonly string[])[] = [
  ["telemetry", "errors", "clock", "random", "nearest", "versions"],
  ["resilience", "tenancy", "config", "cache", "csv"],
  ["db"],
  ["events", "jobs", "audit", "secrets", "flags", "fault", "breaker", "tenancy-store"],
  ["identity"],
  ["access"],
  ["http"],
  ["service"],
  ["app"],
];

/** What a tenant is lies below the database; the store of tenants, like any store, above it. */
const tenancyAboveDb = /^src\/kernel\/tenancy\/(store|tenants)\.ts$/;

function kernelRoom(path: string): string | null {
  if (tenancyAboveDb.test(path)) return "tenancy-store";
  const found = /^src\/kernel\/([a-z]+)(\/|\.ts$|-)/.exec(path);
  const room = found?.[1] ?? null;
  const isKnown = kernelFloors.some((rooms) => room !== null && rooms.includes(room));
  // A file beside the rooms that is none itself puts them together.
  return isKnown || found?.[2] === "/" ? room : "app";
}

function floorOf(path: string): number {
  const room = kernelRoom(path);
  return kernelFloors.findIndex((rooms) => room !== null && rooms.includes(room));
}

const serviceOf = (path: string): string | null =>
  /^src\/services\/([^/]+)\//.exec(path)?.[1] ?? null;

/** Which part of the house a file belongs to, outermost first. */
function partOf(path: string): "outside" | "cli" | "main" | "service" | "kernel" {
  if (path.startsWith("src/cli/")) return "cli";
  if (path.startsWith("src/kernel/")) return "kernel";
  if (serviceOf(path) !== null) return "service";
  return path.startsWith("src/") ? "main" : "outside";
}

/** What knows no server and no database: a command may do it by itself, with files. */
const worksWithoutServer = /^src\/services\/[^/]+\/(rules|formats|documents|measure)\//;

/** Why `from` must not import `to`, or null when it may. */
export function forbiddenImport(from: string, to: string, isTypeOnly: boolean): string | null {
  const [fromPart, toPart] = [partOf(from), partOf(to)];
  if (fromPart === "outside") return null;
  if (toPart === "outside") return "src never imports scripts, tests or benchmarks";
  if (servesTests(to) && !servesTests(from)) return "what runs never imports what serves tests";
  if (toPart === "cli" && fromPart !== "cli") return "nothing imports the command line";
  if (toPart === "main" && (fromPart === "service" || fromPart === "kernel")) {
    return "only the composition root knows the composition root";
  }
  if (fromPart === "cli" && toPart === "service" && !worksWithoutServer.test(to)) {
    return "the command line reaches a service through its API, or through main.ts";
  }
  if (fromPart === "kernel" && toPart === "service") return "the kernel never imports a service";
  if (fromPart === "service" && toPart === "service" && serviceOf(from) !== serviceOf(to)) {
    return "services never import each other: use an event, a job or an interface";
  }
  if (fromPart === "kernel" && toPart === "kernel") return upwardImport(from, to, isTypeOnly);
  return null;
}

function upwardImport(from: string, to: string, isTypeOnly: boolean): string | null {
  if (servesTests(from)) return null;
  if (from === "src/kernel/service.ts" && isTypeOnly) return null;
  const [fromFloor, toFloor] = [floorOf(from), floorOf(to)];
  if (fromFloor === -1) return `${from} belongs to no known room of the kernel`;
  if (toFloor <= fromFloor) return null;
  return `${kernelRoom(from)} lies below ${kernelRoom(to)}: imports run downwards only`;
}

/** The file an import means, from the root; null for packages. */
export function resolveImport(from: string, specifier: string): string | null {
  if (specifier.startsWith("#kernel/")) return `src/kernel/${specifier.slice("#kernel/".length)}`;
  if (!specifier.startsWith(".")) return null;
  return posix.join(posix.dirname(from), specifier);
}

/** Laws 1 and 4: the direction of imports, and how an import is written. */
export function checkLayers(sources: readonly Source[]): Finding[] {
  const findings: Finding[] = [];
  const paths = new Set(sources.map(({ path }) => path));
  for (const { path, imports } of sources) {
    for (const { specifier, line, isTypeOnly } of imports) {
      const to = resolveImport(path, specifier);
      if (to === null || !isProgram(to)) continue;
      const flag = (rule: string, message: string) =>
        findings.push({ rule, path, line, message: `${specifier}: ${message}` });
      if (!paths.has(to)) flag("missing-import", "there is no such file");
      const reason = forbiddenImport(path, to, isTypeOnly);
      if (reason !== null) flag("layers", reason);
      const crossesIntoKernel = partOf(path) !== "kernel" && to.startsWith("src/kernel/");
      if (partOf(path) !== "outside" && crossesIntoKernel && specifier.startsWith(".")) {
        flag("kernel-alias", "outside the kernel write #kernel/…");
      }
      if (partOf(path) === "kernel" && specifier.startsWith("#")) {
        flag("kernel-alias", "inside the kernel write a relative path");
      }
    }
  }
  return findings;
}

type Graph = Map<string, { to: string; line: number }[]>;

function importGraph(sources: readonly Source[]): Graph {
  const paths = new Set(sources.map(({ path }) => path));
  const isTypes = (path: string) => posix.basename(path) === "types.ts";
  const graph: Graph = new Map();
  for (const { path, imports } of sources) {
    const edges = imports.flatMap(({ specifier, line, isTypeOnly }) => {
      const to = resolveImport(path, specifier);
      if (to === null || !paths.has(to)) return [];
      return isTypeOnly && isTypes(path) && isTypes(to) ? [] : [{ to, line }];
    });
    graph.set(path, edges);
  }
  return graph;
}

/** No files import each other in a circle; types count, except between two `types.ts`. */
export function checkCycles(sources: readonly Source[]): Finding[] {
  const graph = importGraph(sources);
  const findings: Finding[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string) => {
    if (done.has(path)) return;
    trail.push(path);
    for (const { to, line } of graph.get(path) ?? []) {
      const start = trail.indexOf(to);
      if (start === -1) {
        visit(to);
        continue;
      }
      const circle = [...trail.slice(start), to].join(" → ");
      findings.push({ rule: "cycle", path, line, message: `imports in a circle: ${circle}` });
    }
    trail.pop();
    done.add(path);
  };
  for (const path of [...graph.keys()].sort()) visit(path);
  return findings;
}

/** What is offered before the first one takes it. */
const offered = [
  "src/kernel/jobs/add-job.ts",
  "src/kernel/jobs/progress.ts",
  "src/services/leases/changes/access.ts",
];

/**
 * Files nobody uses. An entry is a test, a program in bench/, chaos/ or tests/, or a file that
 * `mentions` (package.json, shell scripts, workflows) name by its path; what only tests import is
 * dead as well, unless it serves them or belongs to a service that has no `service.ts` yet.
 */
export function checkDeadFiles(sources: readonly Source[], mentions: string): Finding[] {
  const usedByTests = new Set<string>();
  const used = new Set<string>();
  for (const { path, imports } of sources) {
    for (const { specifier } of imports) {
      const to = resolveImport(path, specifier);
      if (to !== null && to !== path) (servesTests(path) ? usedByTests : used).add(to);
    }
  }
  const isEntry = (path: string) =>
    servesTests(path) ||
    offered.includes(path) ||
    /^(bench|chaos)\/[^/]+\.ts$/.test(path) ||
    mentions.includes(path);
  const paths = new Set(sources.map(({ path }) => path));
  // Nothing can import a service that is not declared yet; once it is, all of it is looked at.
  const isBegun = (path: string) => {
    const service = /^src\/services\/[^/]+\//.exec(path)?.[0];
    return service !== undefined && usedByTests.has(path) && !paths.has(`${service}service.ts`);
  };
  return sources
    .filter(({ path }) => isProgram(path) && !used.has(path) && !isEntry(path) && !isBegun(path))
    .map(({ path }) => ({
      rule: "dead-file",
      path,
      line: 1,
      message: usedByTests.has(path) ? "only tests import it" : "nothing imports it",
    }));
}
