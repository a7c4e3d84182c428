import type { Engine } from "./docker-engine.ts";
import { cpusIn } from "./docker-spec.ts";
import type { Isolation } from "./types.ts";

/** The part of the engine's `GET /info` that is read. */
export interface EngineInfo {
  readonly ServerVersion: string;
  readonly OSType: string;
  readonly NCPU: number;
  readonly Driver: string;
  readonly DriverStatus?: readonly (readonly [string, string])[] | null;
  readonly SecurityOptions?: readonly string[] | null;
  readonly Runtimes?: Readonly<Record<string, unknown>> | null;
  readonly DefaultRuntime?: string;
  readonly MemoryLimit?: boolean;
  readonly SwapLimit?: boolean;
  readonly PidsLimit?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly CPUSet?: boolean;
  readonly CgroupDriver?: string;
}

/** What an engine is able to do, read from what it says of itself. */
export interface EngineFacts {
  readonly version: string;
  /** Null where the engine runs its containers without a filter. */
  readonly seccomp: string | null;
  readonly hasAppArmor: boolean;
  readonly hasUserNamespace: boolean;
  readonly ociRuntimes: readonly string[];
  readonly defaultRuntime: string;
  readonly cpus: readonly number[];
  /** Its images have no second configuration beside the one that is seen (docker-snapshot.ts). */
  readonly keepsImagesInContainerd: boolean;
  readonly limitsSwap: boolean;
  /** Limits that the engine can't enforce, by name; with any of them nothing can be leased. */
  readonly missingLimits: readonly string[];
}

/** What its `SecurityOptions` say, such as `name=seccomp,profile=default`. */
function optionsOf({ SecurityOptions }: EngineInfo): Map<string, string> {
  return new Map(
    (SecurityOptions ?? []).map((text) => {
      const members = new Map(text.split(",").map((each) => each.split("=") as [string, string]));
      return [members.get("name") ?? text, members.get("profile") ?? ""];
    }),
  );
}

/** Reads an engine's description of itself. */
export function factsOf(info: EngineInfo): EngineFacts {
  const options = optionsOf(info);
  const profile = options.get("seccomp");
  const seccomp = profile === undefined || profile === "unconfined" ? null : profile || "default";
  const limits = {
    memory: info.MemoryLimit,
    processes: info.PidsLimit,
    "processor time": info.CpuCfsQuota,
    processors: info.CPUSet,
  };
  const isUnlimited = info.CgroupDriver === "none";
  return {
    version: info.ServerVersion,
    seccomp: seccomp === "builtin" ? "default" : seccomp,
    hasAppArmor: options.has("apparmor"),
    hasUserNamespace: options.has("userns") || options.has("rootless"),
    ociRuntimes: Object.keys(info.Runtimes ?? {}).sort(),
    defaultRuntime: info.DefaultRuntime ?? "runc",
    cpus: Array.from({ length: info.NCPU }, (_, index) => index),
    keepsImagesInContainerd: (info.DriverStatus ?? []).some(
      ([name, value]) => name === "driver-type" && value.startsWith("io.containerd."),
    ),
    limitsSwap: info.SwapLimit !== false,
    missingLimits: Object.entries(limits)
      .filter(([, isEnforced]) => isUnlimited || isEnforced === false)
      .map(([name]) => name),
  };
}

/** How much an OCI runtime keeps apart: gVisor and Kata have a kernel of their own. */
export function strengthOf(
  ociRuntime: string,
  facts: Pick<EngineFacts, "seccomp">,
): Isolation["strength"] {
  if (/(^|[./-])(runsc|gvisor|kata)/.test(ociRuntime)) return "strong";
  return facts.seccomp === null ? "weak" : "container";
}

/** What people should know of an engine before they lease from it. */
export function notesOn(facts: EngineFacts): string[] {
  const { missingLimits, seccomp, hasAppArmor, hasUserNamespace, limitsSwap } = facts;
  const notes: string[] = [];
  if (missingLimits.length > 0) {
    notes.push(`The engine can't limit ${missingLimits.join(", ")}, so nothing is leased from it.`);
  }
  if (seccomp === null) notes.push("No seccomp: containers may make any system call.");
  if (!hasAppArmor) notes.push("No AppArmor profile is in force.");
  if (!hasUserNamespace) {
    notes.push("No user namespace: a user's number in a container is the same on the host.");
  }
  if (!limitsSwap) notes.push("The kernel does not count swap, so it is not limited.");
  return notes;
}

const factsAgeMsMax = 30_000;

/** What the engine is, asked again when the answer is half a minute old. */
export function keptFacts(engine: Engine) {
  let facts: Promise<EngineFacts> | null = null;
  let takenAtMs = 0;
  const fetch = async () => {
    const { body } = await engine.ask<EngineInfo>("describe itself", {
      method: "GET",
      path: "/info",
      lane: "waits",
    });
    return factsOf(body);
  };
  const fresh = (): Promise<EngineFacts> => {
    const asked = fetch();
    takenAtMs = performance.now();
    facts = asked;
    asked.catch(() => {
      // The caller gets the error; the next one asks again.
      if (facts === asked) facts = null;
    });
    return asked;
  };
  return {
    fresh,
    get(): Promise<EngineFacts> {
      const isStale = facts === null || performance.now() - takenAtMs > factsAgeMsMax;
      return isStale ? fresh() : (facts as Promise<EngineFacts>);
    },
  };
}

export type KeptFacts = ReturnType<typeof keptFacts>;

/** The processors that the engine says it has, where it refused one that it has not. */
export function cpusFromRefusal(words: string): number[] {
  return cpusIn(/available: ([0-9,-]+)/.exec(words)?.[1] ?? "");
}
