import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const pollMs = 250;
const heartbeatMs = 1000;
/** A holder that has not been heard of for so long is gone (or on a machine that is). */
const silentHolderMs = 30_000;

/**
 * Runs `work` while no other start on this folder does. The lock is a file, made only where there
 * is none, that names its holder: one left behind by a killed start is noticed at once on this
 * machine, and by its silence elsewhere (another container). `work` gets a function to name a
 * process that would go on if we were killed; until that ends too the lock counts as held.
 */
export async function withInstallLock(root, work) {
  const file = join(root, ".install.lock");
  const token = `${hostname()} ${process.pid}`;
  await acquire(file, token);
  const heartbeat = setInterval(() => touch(file), heartbeatMs);
  try {
    return await work((helperPid) => writeFileSync(file, `${token} ${helperPid}`));
  } finally {
    clearInterval(heartbeat);
    if (holderOf(file)?.startsWith(token)) rmSync(file, { force: true });
  }
}

async function acquire(file, token) {
  let hasToldWaiting = false;
  while (!tryTake(file, token)) {
    const holder = holderOf(file);
    if (holder === null) continue;
    if (isGone(file, holder)) {
      removeLeftover(file, holder);
      continue;
    }
    if (!hasToldWaiting) console.error("Another start is installing dependencies; waiting for it…");
    hasToldWaiting = true;
    await sleep(pollMs);
  }
}

function tryTake(file, token) {
  try {
    writeFileSync(file, token, { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

function holderOf(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

function isGone(file, holder) {
  const [host, ...pids] = holder.split(" ");
  if (host === hostname() && pids.length > 0 && !pids.some((pid) => isAlive(Number(pid))))
    return true;
  const touchedMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
  return Date.now() - touchedMs > silentHolderMs;
}

function isAlive(pid) {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Moves the leftover aside first: if another start was quicker, its fresh lock is put back. */
function removeLeftover(file, holder) {
  const aside = `${file}.gone.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (error.code === "ENOENT") return;
    throw error;
  }
  const moved = holderOf(aside);
  rmSync(aside, { force: true });
  if (moved !== holder) tryTake(file, moved);
}

function touch(file) {
  const now = new Date();
  try {
    utimesSync(file, now, now);
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
}
