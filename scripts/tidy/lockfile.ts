import { type Lockfile, missingVariants } from "../complete-lock.ts";
import type { Finding } from "./source.ts";

/** The lockfile installs on every platform and names no registry. */
export function checkLockfile(text: string): Finding[] {
  const path = "package-lock.json";
  const missing = missingVariants(JSON.parse(text) as Lockfile).map(([name]) => ({
    rule: "lockfile",
    path,
    line: 1,
    message: `${name} has no entry, so that \`npm ci\` refuses: run \`npm run lock\``,
  }));
  const lines = text.split("\n");
  const hosts = lines.flatMap((line, index) => {
    if (!line.includes('"resolved": "http')) return [];
    const message = "names a registry: set omit-lockfile-registry-resolved and make it again";
    return [{ rule: "lockfile", path, line: index + 1, message }];
  });
  return [...missing, ...hosts.slice(0, 1)];
}
