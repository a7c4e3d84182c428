import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type Clock, isoNow } from "#kernel/clock.ts";
import type { Random } from "#kernel/random.ts";
import { runtimeErrors } from "./errors.ts";
import { draftMark, type Kept, writePart } from "./process-folder.ts";
import { isSnapshotImage, restoreSnapshot } from "./process-snapshots.ts";
import { chooseCpus, chooseHostUid, type Tools } from "./process-tools.ts";
import type { ContainerSpec } from "./types.ts";

export interface Places {
  readonly containers: string;
  readonly snapshots: string;
  /** What no container may see, wherever it lies. */
  readonly hidden: readonly string[];
}

const diskMbByDefault = 1_024;
const namePattern = /^[a-z0-9][a-z0-9-]{0,199}$/;
const shellImage = "process:shell";
const draftAgeMs = 3_600_000;

const hasNul = (texts: readonly string[]) => texts.some((text) => text.includes("\0"));

/** Why this runtime will not make it; null where it will. */
function refusalOf({ name, command, env, ociRuntime, image }: ContainerSpec): string | null {
  if (!namePattern.test(name)) return `"${name}" is no name for a container.`;
  if (ociRuntime !== null) {
    return `The OCI runtime "${ociRuntime}" is not there: plain processes have none.`;
  }
  if (command?.length === 0) return "The command is empty: give a program, or leave it out.";
  if (hasNul([image, ...(command ?? []), ...Object.entries(env).flat()])) {
    return "The command or environment has a NUL character.";
  }
  const bad = Object.keys(env).find((key) => key === "" || key.includes("="));
  return bad === undefined ? null : `"${bad}" is no name for an environment variable.`;
}

/**
 * Images are names only, since the programs are the host's; but what can't be any host's is
 * refused: a snapshot that is not there, or one of our own names with no meaning.
 */
function refuseImage(image: string): void {
  if (!image.startsWith("process:") || image === shellImage) return;
  const detail = `There is no image "${image}"; the host's own programs are "${shellImage}".`;
  throw runtimeErrors.image_missing({ detail });
}

/** Removes what a process began to make and never finished. */
export function sweepDrafts(containers: string, clock: Clock): void {
  for (const name of readdirSync(containers)) {
    if (!name.startsWith(draftMark)) continue;
    const stat = statSync(join(containers, name), { throwIfNoEntry: false });
    if (stat !== undefined && clock.nowMs() - stat.mtimeMs > draftAgeMs) {
      rmSync(join(containers, name), { recursive: true, force: true });
    }
  }
}

/**
 * Makes a container's folder, which appears whole under its name or not at all. False where that
 * name is taken.
 */
export async function makeContainer(
  places: Places,
  tools: Tools,
  spec: ContainerSpec,
  clock: Clock,
  random: Random,
): Promise<boolean> {
  const refusal = refusalOf(spec);
  if (refusal !== null) throw runtimeErrors.refused({ detail: refusal });
  refuseImage(spec.image);
  const tag = random.bytes(4).toString("hex");
  const hostUid = chooseHostUid(random);
  const kept: Kept = {
    id: `${spec.name}.${tag}`,
    createdAt: isoNow(clock),
    spec,
    diskMb: spec.diskMb ?? diskMbByDefault,
    way: {
      mode: tools.mode ?? "user",
      hostUid,
      cpus: tools.canPin ? chooseCpus(spec.cpuMillis, random) : null,
      hidden: places.hidden,
    },
  };
  const draft = join(places.containers, `${draftMark}${kept.id}`);
  const workspace = join(draft, "workspace");
  try {
    mkdirSync(workspace, { recursive: true, mode: 0o700 });
    // Whom it belongs to must get through the folder, and read nothing that lies in it.
    chmodSync(draft, 0o711);
    if (hostUid !== null) chownSync(workspace, hostUid, hostUid);
    if (isSnapshotImage(spec.image)) {
      const id = String(hostUid);
      const user = [
        "setpriv",
        `--reuid=${id}`,
        `--regid=${id}`,
        "--clear-groups",
        "--no-new-privs",
      ];
      const before = hostUid === null ? [] : user;
      const { tenantId } = spec.identity;
      await restoreSnapshot(places.snapshots, spec.image, tenantId, workspace, before);
    }
    writePart(draft, "kept", kept);
    return takeName(draft, join(places.containers, spec.name));
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** A folder that is not empty is never replaced by a renamed one. */
function takeName(draft: string, folder: string): boolean {
  if (existsSync(folder)) return false;
  try {
    renameSync(draft, folder);
    return true;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (["ENOTEMPTY", "EEXIST"].includes(code)) return false;
    throw error;
  }
}
