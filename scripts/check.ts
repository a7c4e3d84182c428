// Runs every static check and says of each whether it holds, with the output of those that don't.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const start = fileURLToPath(new URL("start.mjs", import.meta.url));

const checks: readonly [name: string, ...args: string[]][] = [
  ["types", "--bin", "tsc", "--noEmit"],
  ["lint", "--bin", "oxlint", "--format=unix"],
  ["format", "--bin", "biome", "format", "."],
  ["tidy", "--run", "scripts/tidy.ts"],
  ["schema", "--run", "scripts/schema.ts", "--check"],
];

let failures = 0;
for (const [name, ...args] of checks) {
  const startedMs = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, [start, ...args], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 2 ** 20,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${status === 0 ? "✔" : "✖"} ${name} (${seconds} s)`);
  if (status === 0) continue;
  failures += 1;
  console.log(`${stdout}${stderr}`.trimEnd());
}
process.exitCode = failures === 0 ? 0 : 1;
