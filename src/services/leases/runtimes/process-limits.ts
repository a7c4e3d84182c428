import type { Limits } from "./process-chain.ts";
import type { ContainerSpec } from "./types.ts";

const mebibyte = 1_048_576;
const scratchMbAtMost = 64;
const betweenLooksMb = 1_024;
const unprivileged = 65_534;

/** "uid:gid" of a specification, or the one who owns nothing. */
export function userOf({ user }: Pick<ContainerSpec, "user">): { uid: number; gid: number } {
  const [uid = unprivileged, gid = uid] = (user ?? "").split(":").filter(Boolean).map(Number);
  return { uid, gid };
}

type Limited = Pick<ContainerSpec, "memoryMb" | "pidsMax" | "user">;

/** What the kernel limits: each process by itself; what they take together is watched. */
export function limitsOf({ spec, diskMb }: { spec: Limited; diskMb: number }): Limits {
  return {
    // The parent that collects the dead is one more.
    pids: spec.pidsMax + 1,
    // The watch ends what takes more; this is for what takes it between two looks.
    dataBytes: (spec.memoryMb + betweenLooksMb) * mebibyte,
    fileBytes: diskMb * mebibyte,
    scratchBytes: Math.min(spec.memoryMb, scratchMbAtMost) * mebibyte,
    ...userOf(spec),
  };
}
