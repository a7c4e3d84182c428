import { posix } from "node:path";
import type { Manifest } from "./types.ts";

interface Ecosystem {
  name: string;
  manifest: RegExp;
  /** Null where the ecosystem has none, or the manifest is one itself. */
  lockfiles: readonly string[] | null;
  count: (text: string) => number;
}

const lines = (pattern: RegExp) => (text: string) => (text.match(pattern) ?? []).length;

const section = (header: RegExp) => (text: string) => {
  let isInside = false;
  let count = 0;
  for (const line of text.split("\n")) {
    if (/^\s*\[/.test(line)) isInside = header.test(line);
    else if (isInside && /^\s*["\w.-]+\s*=/.test(line)) count += 1;
  }
  return count;
};

function packageDependencies(text: string): number {
  try {
    const json = JSON.parse(text) as Record<string, unknown>;
    const names = ["dependencies", "devDependencies", "optionalDependencies", "require"];
    return names.reduce((sum, name) => sum + Object.keys(Object(json[name])).length, 0);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return 0;
  }
}

const nodeLocks = ["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"];
const pythonLocks = ["poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "requirements.lock"];

const ecosystems: readonly Ecosystem[] = [
  {
    name: "npm",
    manifest: /^package\.json$/,
    lockfiles: [...nodeLocks, "bun.lock", "bun.lockb"],
    count: packageDependencies,
  },
  {
    name: "pip",
    manifest: /^requirements[\w.-]*\.txt$/,
    lockfiles: null,
    count: lines(/^[A-Za-z0-9]/gm),
  },
  {
    name: "Python project",
    manifest: /^pyproject\.toml$/,
    lockfiles: pythonLocks,
    count: (text) =>
      section(/^\s*\[tool\.poetry\.(dev-)?dependencies/)(text) +
      lines(/^\s+["'][A-Za-z][^"'\n]*["'],?$/gm)(text),
  },
  {
    name: "Pipenv",
    manifest: /^Pipfile$/,
    lockfiles: ["Pipfile.lock"],
    count: section(/packages/),
  },
  {
    name: "Go",
    manifest: /^go\.mod$/,
    lockfiles: ["go.sum"],
    count: lines(/^\s*(?:require\s+)?[\w.-]+\.[\w.-]+\/\S+\s+v\S+/gm),
  },
  {
    name: "Cargo",
    manifest: /^Cargo\.toml$/,
    lockfiles: ["Cargo.lock"],
    count: section(/dependencies/),
  },
  { name: "Maven", manifest: /^pom\.xml$/, lockfiles: null, count: lines(/<dependency>/g) },
  {
    name: "Gradle",
    manifest: /^build\.gradle(\.kts)?$/,
    lockfiles: null,
    count: lines(/^\s*(implementation|api|testImplementation|runtimeOnly)\b/gm),
  },
  {
    name: "NuGet",
    manifest: /\.csproj$/,
    lockfiles: null,
    count: lines(/<PackageReference\b/g),
  },
  {
    name: "Composer",
    manifest: /^composer\.json$/,
    lockfiles: ["composer.lock"],
    count: packageDependencies,
  },
  {
    name: "Bundler",
    manifest: /^Gemfile$/,
    lockfiles: ["Gemfile.lock"],
    count: lines(/^\s*gem\s/gm),
  },
];

const ecosystemOf = (path: string): Ecosystem | undefined =>
  ecosystems.find(({ manifest }) => manifest.test(posix.basename(path)));

/** Whether a file declares dependencies. */
export const isManifest = (path: string): boolean => ecosystemOf(path) !== undefined;

/** Whether the ecosystem of a manifest keeps a lockfile beside it. */
export const wantsLockfile = (ecosystem: string): boolean =>
  (ecosystems.find(({ name }) => name === ecosystem)?.lockfiles ?? null) !== null;

/** What a manifest declares, and the lockfile in its folder or one above (workspaces). */
export function readManifest(path: string, text: string, paths: ReadonlySet<string>): Manifest {
  const { name, lockfiles, count } = ecosystemOf(path) as Ecosystem;
  let lockfile: string | null = null;
  for (let folder = posix.dirname(path); lockfile === null; folder = posix.dirname(folder)) {
    const candidates = (lockfiles ?? []).map((each) => posix.join(folder, each));
    lockfile = candidates.find((each) => paths.has(each)) ?? null;
    if (folder === "." || folder === "/") break;
  }
  return { file: path, ecosystem: name, dependencies: count(text), lockfile };
}
