// Some registries offer only the platform packages of their own machines. A lockfile made against
// one lacks the rest, and `npm ci` then refuses it everywhere: this adds them.
import { readFileSync, writeFileSync } from "node:fs";

interface LockEntry {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

export interface Lockfile {
  packages: Record<string, LockEntry>;
}

const osByWord: Record<string, string> = {
  android: "android",
  darwin: "darwin",
  freebsd: "freebsd",
  linux: "linux",
  openharmony: "openharmony",
  win32: "win32",
  windows: "win32",
};
const cpuWords = ["arm", "arm64", "ia32", "ppc64", "riscv64", "s390x", "x64"];
const libcByWord: Record<string, string> = {
  gnu: "glibc",
  gnueabihf: "glibc",
  musl: "musl",
  musleabihf: "musl",
};

type Variant = [name: string, version: string, isDev: boolean];

/** Optional dependencies that the lockfile names but has no entry for. */
export function missingVariants(lock: Lockfile): Variant[] {
  const missing: Variant[] = [];
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const nested = `${path}/node_modules/${name}`;
      if (lock.packages[nested] || lock.packages[`node_modules/${name}`]) continue;
      missing.push([name, version, entry.dev === true]);
    }
  }
  return missing;
}

/** A platform package's entry, its platform read from its name; null if that names none. */
export function variantEntry(name: string, version: string, isDev: boolean): LockEntry | null {
  const words = name.slice(name.lastIndexOf("/") + 1).split("-");
  const os = words.map((word) => osByWord[word]).find((known) => known !== undefined);
  const cpu = words.find((word) => cpuWords.includes(word));
  const libc = words.map((word) => libcByWord[word]).find((known) => known !== undefined);
  if (!os || !cpu || !/^\d/.test(version)) return null;
  return {
    version,
    cpu: [cpu],
    ...(isDev ? { dev: true } : {}),
    ...(libc && os === "linux" ? { libc: [libc] } : {}),
    optional: true,
    os: [os],
  };
}

/** The same lockfile with an entry for every platform package, in npm's order. */
export function completeLock(lock: Lockfile): Lockfile {
  const packages = { ...lock.packages };
  for (const [name, version, isDev] of missingVariants(lock)) {
    const entry = variantEntry(name, version, isDev);
    if (entry) packages[`node_modules/${name}`] = entry;
  }
  const sorted = Object.entries(packages).sort(([left], [right]) =>
    left.localeCompare(right, "en"),
  );
  return { ...lock, packages: Object.fromEntries(sorted) };
}

if (import.meta.main) {
  const file = new URL("../package-lock.json", import.meta.url);
  const lock = JSON.parse(readFileSync(file, "utf8")) as Lockfile;
  const complete = completeLock(lock);
  const added = Object.keys(complete.packages).length - Object.keys(lock.packages).length;
  writeFileSync(file, `${JSON.stringify(complete, null, 2)}\n`);
  console.log(`Added ${added} platform packages to package-lock.json.`);
}
