import { type EngineFacts, strengthOf } from "./docker-facts.ts";
import { diskMbIn, egressOf, identityOf } from "./docker-spec.ts";
import type { Container, ContainerState, Isolation } from "./types.ts";

/** The part of the engine's `GET /containers/{id}/json` that is read. */
export interface Inspection {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly Created: string;
  readonly AppArmorProfile?: string;
  readonly State: {
    readonly Status: string;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly StartedAt: string;
    readonly FinishedAt: string;
  };
  readonly Config: {
    readonly User?: string;
    readonly Env?: readonly string[] | null;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
  readonly HostConfig: {
    readonly Runtime?: string;
    readonly NetworkMode?: string;
    readonly ReadonlyRootfs?: boolean;
    readonly Privileged?: boolean;
    readonly CapAdd?: readonly string[] | null;
    readonly CapDrop?: readonly string[] | null;
    readonly SecurityOpt?: readonly string[] | null;
    readonly UsernsMode?: string;
    readonly Memory?: number;
    readonly MemorySwap?: number;
    readonly NanoCpus?: number;
    readonly CpusetCpus?: string;
    readonly PidsLimit?: number | null;
    readonly Tmpfs?: Readonly<Record<string, string>> | null;
    readonly ShmSize?: number;
    readonly StorageOpt?: Readonly<Record<string, string>> | null;
  };
  readonly NetworkSettings: {
    readonly Networks?: Readonly<Record<string, { readonly IPAddress?: string }>> | null;
  };
}

const states: Record<string, ContainerState> = {
  created: "created",
  running: "running",
  restarting: "running",
  paused: "paused",
  exited: "exited",
  dead: "removing",
  removing: "removing",
};

/** What the engine gives a container that drops nothing. */
const engineCapabilities = [
  ..."AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE".split(" "),
  ..."NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split(" "),
];

const bare = (capability: string): string => capability.toUpperCase().replace(/^CAP_/, "");

function capabilitiesOf({ CapAdd, CapDrop, Privileged }: Inspection["HostConfig"]): string[] {
  if (Privileged) return ["ALL"];
  const dropped = new Set((CapDrop ?? []).map(bare));
  const kept = dropped.has("ALL") ? [] : engineCapabilities.filter((one) => !dropped.has(one));
  return [...new Set([...kept, ...(CapAdd ?? []).map(bare)])].sort();
}

function seccompOf(host: Inspection["HostConfig"], facts: EngineFacts): string {
  const own = (host.SecurityOpt ?? []).find((option) => option.startsWith("seccomp"));
  if (host.Privileged || own?.endsWith("unconfined")) return "none";
  return own === undefined ? (facts.seccomp ?? "none") : "custom";
}

const sizesMb: Record<string, number> = { k: 1 / 1_024, m: 1, g: 1_024 };

/** A size as mount options write it, such as "64m", in MiB. */
function sizeMbOf(text: string): number | null {
  const [, digits, unit = ""] = /^(\d+)([kmg])?b?$/i.exec(text) ?? [];
  if (digits === undefined) return null;
  return Math.floor(Number(digits) * (sizesMb[unit.toLowerCase()] ?? 1 / 2 ** 20));
}

/** What limits the disk: the sizes of the places in memory, or the engine's quota; else nothing. */
function diskMbOf(host: Inspection["HostConfig"]): number | null {
  if (!host.ReadonlyRootfs) return sizeMbOf(host.StorageOpt?.["size"] ?? "");
  const sharedMb = Math.floor((host.ShmSize ?? 0) / 2 ** 20);
  const sizes = Object.values(host.Tmpfs ?? {}).map((options) =>
    sizeMbOf(/(?:^|,)size=([^,]+)/.exec(options)?.[1] ?? ""),
  );
  const areLimited = sizes.every((size) => size !== null);
  return areLimited ? sizes.reduce((sum, size) => sum + size, sharedMb) : null;
}

function notesOf({ HostConfig: host, ...seen }: Inspection, facts: EngineFacts): string[] {
  const notes: string[] = [];
  if (host.ReadonlyRootfs) {
    notes.push("Files are in memory and count towards the container's memory.");
  } else if (diskMbOf(host) === null) {
    const most = diskMbIn(seen.Config.Labels);
    const end =
      most === null
        ? "a writer can fill it."
        : `who has written more than ${most} MiB is ended when that is seen, in a minute or two.`;
    notes.push(`No disk quota: the engine has none for its storage; ${end}`);
  }
  if (!facts.hasAppArmor || !seen.AppArmorProfile) notes.push("No AppArmor profile is in force.");
  if (host.MemorySwap !== host.Memory) notes.push("Swap is not limited.");
  return notes;
}

/** What is in force for a container, from what the engine says of it and of itself. */
export function isolationOf(seen: Inspection, facts: EngineFacts): Isolation {
  const { HostConfig: host, Config: config } = seen;
  const runtime = host.Runtime || facts.defaultRuntime;
  const seccomp = seccompOf(host, facts);
  const isOpen = host.NetworkMode !== "none" && egressOf(config.Labels) === "internet";
  const isWeak = seccomp === "none" || host.Privileged === true;
  const noNewPrivileges = (host.SecurityOpt ?? []).some((option) =>
    /^no-new-privileges(?!.*false)/.test(option),
  );
  return {
    runtime,
    strength: isWeak ? "weak" : strengthOf(runtime, facts),
    user: config.User || "0:0",
    readOnlyRoot: host.ReadonlyRootfs === true,
    capabilities: capabilitiesOf(host),
    noNewPrivileges,
    seccomp,
    userNamespace: facts.hasUserNamespace && host.UsernsMode !== "host",
    network: host.NetworkMode ?? "default",
    egress: isOpen ? "internet" : "none",
    memoryMb: Math.floor((host.Memory ?? 0) / 2 ** 20),
    cpuMillis: Math.round((host.NanoCpus ?? 0) / 1_000_000),
    pidsMax: host.PidsLimit ?? 0,
    diskMb: diskMbOf(host),
    notes: notesOf(seen, facts),
  };
}

/** The engine's year 1 is its word for never. */
const momentOf = (text: string): string | null => (text.startsWith("0001-") ? null : text);

/** A container as the rest of the service sees it; null for one that is not Plimsoll's. */
export function containerOf(seen: Inspection, facts: EngineFacts): Container | null {
  const name = seen.Name.replace(/^\//, "");
  const identity = identityOf(seen.Config.Labels, name);
  if (identity === null) return null;
  const state = states[seen.State.Status] ?? "removing";
  const isOver = state === "exited" || state === "removing";
  return {
    id: seen.Id,
    name,
    identity,
    state,
    createdAt: seen.Created,
    startedAt: momentOf(seen.State.StartedAt),
    exitedAt: isOver ? momentOf(seen.State.FinishedAt) : null,
    exitCode: isOver ? seen.State.ExitCode : null,
    outOfMemory: seen.State.OOMKilled,
    isolation: isolationOf(seen, facts),
  };
}
