import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureInstalled, pinnedNode, Refusal } from "./install.mjs";
import { nodeFlags } from "./node-flags.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

const parentCheckMs = 1000;
/** Signals that arrive twice within this time are one: npm repeats what the terminal has sent. */
const repeatWindowMs = 1000;

const usage = `Usage: node scripts/start.mjs [serve options]
       node scripts/start.mjs --run <file> [arguments]      run a file under the pinned Node
       node scripts/start.mjs --from <folder> <name> [...]  run <folder>/<name>.ts
       node scripts/start.mjs --bin <tool> [arguments]      run a tool from node_modules`;

/**
 * Installs what is missing, then runs what `args` ask for under the pinned Node and ends as it
 * ended: with its exit code, or 128 plus the number of the signal that killed it.
 */
export async function main(args) {
  if (process.env.npm_lifecycle_event) stopWhenOrphaned();
  try {
    const program = chooseProgram(args);
    await ensureInstalled(root, { withDev: program.isDevelopment });
    process.exitCode = await run(program.resolve());
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(error.message);
    process.exitCode = error.exitCode;
  }
}

function chooseProgram(args) {
  const [first, name, ...rest] = args;
  switch (first) {
    case "--run":
      if (!name) throw new Refusal(usage, 2);
      return {
        isDevelopment: !name.startsWith("src/"),
        resolve: () => [join(root, name), ...rest],
      };
    case "--bin":
      if (!name) throw new Refusal(usage, 2);
      return { isDevelopment: true, resolve: () => [toolFile(name), ...rest] };
    case "--from":
      if (!name) throw new Refusal(usage, 2);
      return { isDevelopment: true, resolve: () => namedProgram(name, rest) };
    default: {
      const isCommand = first !== undefined && !first.startsWith("-");
      const mainFile = join(root, "src", "main.ts");
      return {
        isDevelopment: false,
        resolve: () => [mainFile, ...(isCommand ? args : ["serve", ...args])],
      };
    }
  }
}

function toolFile(name) {
  const packageName = { biome: "@biomejs/biome", tsc: "typescript" }[name] ?? name;
  const folder = join(root, "node_modules", packageName);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return join(folder, typeof bin === "string" ? bin : bin[name]);
}

function namedProgram(folder, [name, ...rest]) {
  const known = existsSync(join(root, folder))
    ? readdirSync(join(root, folder))
        .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
        .map((file) => file.slice(0, -".ts".length))
    : [];
  if (name === undefined || !known.includes(name)) {
    const what = name === undefined ? "Say which one" : `There is no ${folder}/${name}.ts`;
    throw new Refusal(
      `${what}: npm run ${folder} -- <name> [options]. Known: ${known.join(", ") || "none yet"}.`,
      2,
    );
  }
  return [join(root, folder, `${name}.ts`), ...rest];
}

/**
 * The child gets a session of its own, so that the terminal's Ctrl-C reaches only us and each
 * signal is passed on exactly once; the tether ends it should we be killed before we can.
 */
function run(args) {
  const tether = new URL("./tether.mjs", import.meta.url).href;
  const child = spawn(pinnedNode(root), [...nodeFlags, "--import", tether, ...args], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    detached: true,
    env: {
      NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "compiled"),
      ...process.env,
    },
  });
  const lastSentMs = new Map();
  const passOn = (signal, as = signal) => {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (nowMs - (lastSentMs.get(as) ?? -Infinity) < repeatWindowMs) return;
      lastSentMs.set(as, nowMs);
      child.kill(as);
    });
  };
  passOn("SIGINT");
  passOn("SIGTERM");
  passOn("SIGHUP", "SIGTERM");
  return new Promise((resolve, reject) => {
    child.once("error", (error) => {
      reject(
        new Refusal(
          `The pinned Node could not be run (${error.code}): ${pinnedNode(root)}\n` +
            "If node_modules came from another machine, delete it and start again.",
        ),
      );
    });
    child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

/** npm passes signals on, but a killed npm can't: its end shows as a change of parent. */
function stopWhenOrphaned() {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, parentCheckMs);
  timer.unref();
}
