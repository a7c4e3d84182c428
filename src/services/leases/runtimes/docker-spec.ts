import type { ContainerSpec, Identity } from "./types.ts";

/** The most that a container may have of each, whatever a template says. */
export const pidsAtMost = 512;

/** Nobody: who runs what the image would run as root. */
export const nobody = "65534:65534";

/** Where work goes. Read-only containers have it in memory, writable ones on their disk. */
export const workspace = "/workspace";

/** Below these nothing is a plain file, and nothing is written or read for anybody. */
export const kernelFolders = ["/proc", "/sys", "/dev"] as const;

const label = {
  install: "plimsoll.install",
  tenant: "plimsoll.tenant",
  lease: "plimsoll.lease",
  generation: "plimsoll.generation",
  name: "plimsoll.name",
  egress: "plimsoll.egress",
  ports: "plimsoll.ports",
  disk: "plimsoll.disk",
} as const;

type Labels = Readonly<Record<string, string>>;

/** The label by which all of an installation's containers are found. */
export const installLabel = (installId: string): string => `${label.install}=${installId}`;

/** By which writable containers are found; it says how much each may write, in MiB. */
export const diskLabel: string = label.disk;

/** What a writable container may write where nobody said. */
const writableMb = 10_240;

const diskMbOf = ({ diskMb }: ContainerSpec): number => diskMb ?? writableMb;

/** How much a writable container may write, in MiB; null for one that is not. */
export function diskMbIn(labels: Labels | null | undefined): number | null {
  const text = labels?.[label.disk] ?? "";
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** What says whose a container is. It never changes, so it never holds a deadline. */
export function labelsOf(spec: ContainerSpec): Labels {
  const { name, identity, egress, ports } = spec;
  return {
    ...(spec.writable && { [label.disk]: String(diskMbOf(spec)) }),
    [label.install]: identity.installId,
    [label.tenant]: identity.tenantId,
    [label.lease]: identity.leaseId,
    [label.generation]: String(identity.generation),
    [label.name]: name,
    [label.egress]: egress,
    [label.ports]: ports.join(","),
  };
}

/**
 * Whose a container is; null for somebody else's. Labels are inherited from an image, so a
 * container that a person started from a snapshot carries ours: only the name inside them tells it
 * apart.
 */
export function identityOf(labels: Labels | null | undefined, name: string): Identity | null {
  const installId = labels?.[label.install];
  const tenantId = labels?.[label.tenant];
  const leaseId = labels?.[label.lease];
  const generation = Number(labels?.[label.generation] ?? Number.NaN);
  if (!installId || !tenantId || !leaseId || !Number.isSafeInteger(generation)) return null;
  if (labels?.[label.name] !== name) return null;
  return { installId, tenantId, leaseId, generation };
}

/** The ports that the API may reach. */
export function portsOf(labels: Labels | null | undefined): number[] {
  return (labels?.[label.ports] ?? "").split(",").filter(Boolean).map(Number);
}

/** What the container was given to reach. */
export function egressOf(labels: Labels | null | undefined): ContainerSpec["egress"] {
  return labels?.[label.egress] === "internet" ? "internet" : "none";
}

/** Whether two identities are one. */
export function isSame(one: Identity, other: Identity): boolean {
  return (
    one.installId === other.installId &&
    one.tenantId === other.tenantId &&
    one.leaseId === other.leaseId &&
    one.generation === other.generation
  );
}

/**
 * The processors a container may use, as a list for the kernel: as many as its share needs at full
 * speed, so that programs which count processors start no more threads than they can feed. `turn`
 * moves the start, so that not all of them crowd on the first.
 */
export function cpusetOf(cpuMillis: number, cpus: readonly number[], turn: number): string {
  const count = Math.min(cpus.length, Math.max(1, Math.ceil(cpuMillis / 1_000)));
  const chosen = Array.from({ length: count }, (_, index) => cpus[(turn + index) % cpus.length]);
  return chosen.sort((a, b) => Number(a) - Number(b)).join(",");
}

/** The processors in a kernel's list such as "0-3,6". */
export function cpusIn(list: string): number[] {
  return list.split(",").flatMap((part) => {
    const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (from === undefined) return [];
    const [first, last] = [Number(from), Number(to)];
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** How large each place in memory is, in MiB. */
export interface MemoryPlaces {
  /** Path → MiB. */
  readonly places: Readonly<Record<string, number>>;
  readonly shmMb: number;
}

/**
 * The writable places of a read-only container. They are in memory and count as the program's, so
 * together they never take more than three quarters of it; half of it where nobody said. `volumes`
 * are the image's own, which the engine would otherwise put on the host's disk without a limit.
 */
export function memoryPlaces(
  { diskMb, memoryMb }: Pick<ContainerSpec, "diskMb" | "memoryMb">,
  volumes: readonly string[],
): MemoryPlaces {
  const atMostMb = Math.max(8, Math.floor((memoryMb * 3) / 4));
  const totalMb = Math.min(diskMb ?? Math.max(8, Math.floor(memoryMb / 2)), atMostMb);
  const smallMb = Math.min(64, Math.max(1, Math.floor(totalMb / 8)));
  const tmpMb = Math.max(1, Math.floor(totalMb / 4));
  const volumeMb = Math.max(1, Math.floor(totalMb / 4 / Math.max(1, volumes.length)));
  const places: Record<string, number> = { "/run": smallMb, "/tmp": tmpMb };
  for (const path of volumes) places[path] ??= volumeMb;
  const takenMb = Object.values(places).reduce((sum, each) => sum + each, smallMb);
  places[workspace] = Math.max(1, totalMb - takenMb);
  return { places, shmMb: smallMb };
}

/**
 * As many files as a place of this size could hold if each took one page: inodes are memory too.
 */
const inodesPerMb = 256;

/** Owned by the user, because runc before 1.1.8 gives it the mode of the folder below. */
function tmpfsOf(sizeMb: number, user: string): string {
  const inodes = Math.max(1_024, sizeMb * inodesPerMb);
  const [uid = ""] = user.split(":");
  return `rw,exec,nosuid,nodev,mode=1777,uid=${uid},size=${sizeMb}m,nr_inodes=${inodes}`;
}

/** What of the image matters for a container. */
export interface ImageFacts {
  readonly id: string;
  readonly user: string;
  readonly workingDir: string;
  /** Names of the image's own environment variables. */
  readonly envNames: readonly string[];
  readonly volumes: readonly string[];
}

/** What the host and the engine bring in. */
export interface Surroundings {
  readonly image: ImageFacts;
  /** As numbers. */
  readonly user: string;
  /** Null where the container has nothing but itself to talk to. */
  readonly network: string | null;
  readonly nameServers: readonly string[];
  readonly cpuset: string;
  /** Whether the engine can limit the size of a writable container's own layer. */
  readonly canLimitDisk: boolean;
  /** Whether the host's kernel speaks IPv6 at all; switching it off fails where it doesn't. */
  readonly hasIpv6: boolean;
}

/** Nothing answers there: questions for names end in the container, not at the host's resolver. */
const noNameServer = "198.51.100.53";

function environmentOf({ env }: ContainerSpec, image: ImageFacts): string[] {
  const own = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const hasHome = "HOME" in env || image.envNames.includes("HOME");
  return hasHome ? own : [...own, `HOME=${workspace}`];
}

const bytesPerMb = 2 ** 20;

function diskOf(spec: ContainerSpec, { image, user, canLimitDisk }: Surroundings) {
  const { places, shmMb } = memoryPlaces(spec, image.volumes);
  const wanted = spec.writable
    ? Object.entries(places).filter(([path]) => image.volumes.includes(path))
    : Object.entries(places);
  const isLimited = spec.writable && canLimitDisk;
  return {
    ReadonlyRootfs: !spec.writable,
    Tmpfs: Object.fromEntries(wanted.map(([path, sizeMb]) => [path, tmpfsOf(sizeMb, user)])),
    ShmSize: shmMb * bytesPerMb,
    ...(isLimited && { StorageOpt: { size: `${diskMbOf(spec)}m` } }),
  };
}

function networkOf(spec: ContainerSpec, { network, nameServers, hasIpv6 }: Surroundings) {
  if (network === null) return { NetworkMode: "none" };
  return {
    NetworkMode: network,
    Dns: spec.egress === "internet" ? nameServers : [noNameServer],
    ...(hasIpv6 && { Sysctls: { "net.ipv6.conf.all.disable_ipv6": "1" } }),
  };
}

/**
 * What the engine is asked to create. Nothing in it is the host's: no path, device or namespace.
 */
export function createBody(spec: ContainerSpec, around: Surroundings): Record<string, unknown> {
  const { image } = around;
  const [program, ...args] = spec.command ?? [];
  const keepsFolder = image.workingDir !== "" && image.workingDir !== "/";
  return {
    Image: image.id,
    ...(program !== undefined && { Entrypoint: [program], Cmd: args }),
    Env: environmentOf(spec, image),
    User: around.user,
    WorkingDir: keepsFolder ? image.workingDir : workspace,
    Hostname: "lease",
    Labels: labelsOf(spec),
    Tty: false,
    OpenStdin: false,
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      ...networkOf(spec, around),
      ...diskOf(spec, around),
      Init: true,
      ...(spec.ociRuntime !== null && { Runtime: spec.ociRuntime }),
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Privileged: false,
      IpcMode: "private",
      CgroupnsMode: "private",
      PidsLimit: Math.min(spec.pidsMax, pidsAtMost),
      Memory: spec.memoryMb * bytesPerMb,
      MemorySwap: spec.memoryMb * bytesPerMb,
      OomScoreAdj: 500,
      NanoCpus: spec.cpuMillis * 1_000_000,
      CpusetCpus: around.cpuset,
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "2" } },
      RestartPolicy: { Name: "no" },
      AutoRemove: false,
    },
  };
}

/** Why a container must not be made as asked; null where nothing speaks against it. */
export function specFault(spec: ContainerSpec, image: ImageFacts): string | null {
  const { user, command, ports, env } = spec;
  if (user !== null && !/^\d{1,10}(:\d{1,10})?$/.test(user)) {
    return `"${user}" is not a user: give numbers, as in 1000:1000`;
  }
  if (command !== null && (command[0] ?? "") === "") return "the command has no program";
  if (ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65_535)) {
    return "a port is a whole number from 1 to 65,535";
  }
  const badName = Object.keys(env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (badName !== undefined) return `"${badName}" is not a name of an environment variable`;
  if (image.volumes.length > 16) return "the image declares more than 16 volumes";
  const volume = image.volumes.find(
    (path) =>
      path === "/" || [...kernelFolders].some((folder) => `${path}/`.startsWith(`${folder}/`)),
  );
  return volume === undefined ? null : `the image declares a volume at ${volume}`;
}
