import type { Duplex, Readable } from "node:stream";

/** The words by which a container is known as ours; never a deadline, since labels don't change. */
export interface Identity {
  /** Which installation of Plimsoll: containers of others are left alone. */
  readonly installId: string;
  readonly tenantId: string;
  readonly leaseId: string;
  /** Goes up with each restart, so that an old container is never taken for the new one. */
  readonly generation: number;
}

/** What a container may reach. Neighbours, private addresses and metadata are never among it. */
export type Egress = "none" | "internet";

/** What a lease asks of a runtime. */
export interface ContainerSpec {
  /** `plm-<install>-<lease>-<generation>`: asked for twice, it is there once. */
  readonly name: string;
  readonly identity: Identity;
  readonly image: string;
  /** Instead of the image's own; the first is the program. */
  readonly command: readonly string[] | null;
  readonly env: Readonly<Record<string, string>>;
  readonly cpuMillis: number;
  readonly memoryMb: number;
  /** Null: the runtime's default for its scratch space. */
  readonly diskMb: number | null;
  readonly pidsMax: number;
  /** "uid:gid" in the container; null for the image's own, and 65534:65534 where that is root. */
  readonly user: string | null;
  /** True only where the template says so: a snapshot holds nothing of a read-only container. */
  readonly writable: boolean;
  readonly egress: Egress;
  /** Such as "runsc"; null for the engine's default. Missing means refusal, never a fallback. */
  readonly ociRuntime: string | null;
  /** Ports in the container that the API may reach; published on loopback at most. */
  readonly ports: readonly number[];
}

/** What is really in force, as far as the runtime can tell; never what was asked for. */
export interface Isolation {
  readonly runtime: string;
  /** "strong": a virtual machine or gVisor; "container": namespaces and seccomp; "weak": less. */
  readonly strength: "strong" | "container" | "weak";
  readonly user: string;
  readonly readOnlyRoot: boolean;
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly seccomp: string;
  readonly userNamespace: boolean;
  readonly network: string;
  readonly egress: Egress;
  readonly memoryMb: number;
  readonly cpuMillis: number;
  /** Null where the engine has a limit of its own that it does not tell. */
  readonly pidsMax: number | null;
  /** Null where nothing limits the disk. */
  readonly diskMb: number | null;
  /** What a reader should know, in sentences: "No disk quota: overlay2 is not on xfs." */
  readonly notes: readonly string[];
}

export type ContainerState = "created" | "running" | "paused" | "exited" | "removing";

/** A container as its engine sees it at this moment. */
export interface Container {
  /** The engine's own id, by which it is removed. */
  readonly id: string;
  readonly name: string;
  readonly identity: Identity;
  readonly state: ContainerState;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly exitedAt: string | null;
  readonly exitCode: number | null;
  readonly outOfMemory: boolean;
  readonly isolation: Isolation;
}

export interface ExecRequest {
  readonly command: readonly string[];
  readonly stdin: Buffer | null;
  readonly timeoutMs: number;
  /** Of each output; what is beyond is read and dropped. */
  readonly outputBytesMax: number;
  readonly signal?: AbortSignal;
}

export interface ExecResult {
  /** Null where it was ended: `timedOut`, or the container went away. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly truncated: boolean;
  readonly timedOut: boolean;
}

/** A line of what the container's program wrote. */
export interface LogLine {
  /** RFC 3339 with nanoseconds as the engine gives it; the cursor to go on from. */
  readonly at: string;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

export interface LogRequest {
  /** Lines after this moment only. */
  readonly after: string | null;
  /** The last so many lines; null for all that are kept. */
  readonly tail: number | null;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** A program at a pseudo-terminal: what is written is typed, what is read is shown. */
export interface Terminal {
  readonly stream: Duplex;
  resize(columns: number, rows: number): Promise<void>;
  /** Resolves when the program is over; null where it was ended from outside. */
  readonly exited: Promise<number | null>;
  /** Ends the program, not only the connection. */
  kill(): Promise<void>;
}

/** What a container uses; null where the engine does not tell. */
export interface Stats {
  /** Since the container started. */
  readonly cpuSeconds: number | null;
  readonly memoryBytes: number | null;
  readonly memoryLimitBytes: number;
  readonly pids: number | null;
  readonly networkInBytes: number | null;
  readonly networkOutBytes: number | null;
  readonly diskBytes: number | null;
}

export interface SnapshotRequest {
  readonly tenantId: string;
  readonly snapshotId: string;
  /** Names of environment variables that must not be in the image. */
  readonly scrubEnv: readonly string[];
}

/** What `create` takes as its image to restore it. */
export interface TakenSnapshot {
  readonly image: string;
  /** What it takes on the disk, without what it shares with the image it was made of. */
  readonly sizeBytes: number;
}

/** Something that a runtime has kept of a container. */
export interface KeptImage {
  /** As `removeSnapshot` takes it. */
  readonly image: string;
  readonly tenantId: string;
  readonly snapshotId: string;
  /** It is made on the way to a snapshot, and nobody has any use for it afterwards. */
  readonly isDraft: boolean;
}

/** Something happened to a container of this installation without our asking. */
export interface RuntimeEvent {
  readonly type: "exited" | "out_of_memory" | "removed";
  readonly identity: Identity;
}

/** What is known of the engine, for people and for the decision to start at all. */
export interface RuntimeInfo {
  readonly name: RuntimeName;
  readonly version: string;
  /** False: nothing can be leased now, and `notes` says why. */
  readonly available: boolean;
  readonly strength: Isolation["strength"];
  readonly ociRuntimes: readonly string[];
  readonly canSnapshot: boolean;
  readonly canPause: boolean;
  readonly notes: readonly string[];
}

export type RuntimeName = "docker" | "kubernetes" | "process";

/**
 * Where containers come from. Everything may be asked twice: what is there already is adopted, what
 * is gone already counts as done. Nothing here knows of leases, deadlines or tenants' rights; the
 * rules decide, the store remembers, a runtime does. Every call gives up after its own deadline
 * and throws `runtimeErrors` (`runtimes/errors.ts`): unavailable, image_missing, refused, conflict.
 */
export interface Runtime {
  readonly name: RuntimeName;
  info(): Promise<RuntimeInfo>;
  /** Makes the container, or finds the one of this name; it is not started. */
  create(spec: ContainerSpec, signal: AbortSignal): Promise<Container>;
  start(id: string): Promise<Container>;
  /** By id or name; null when there is none. */
  inspect(id: string): Promise<Container | null>;
  /** All containers of this installation, in any state. */
  list(): Promise<Container[]>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  /** Asks the program to end, and ends it after the grace. */
  stop(id: string, graceMs: number): Promise<void>;
  /** Resolves when the container is gone, and verified to be. */
  remove(id: string): Promise<void>;
  exec(id: string, request: ExecRequest): Promise<ExecResult>;
  terminal(
    id: string,
    size: { columns: number; rows: number },
    command: readonly string[] | null,
  ): Promise<Terminal>;
  logs(id: string, request: LogRequest): AsyncIterable<LogLine>;
  stats(id: string): Promise<Stats>;
  /** Writes one file below the container's writable places; resolves to its SHA-256 in hex. */
  putFile(id: string, path: string, content: Readable, sizeBytesMax: number): Promise<string>;
  getFile(id: string, path: string): Promise<{ content: Readable; sizeBytes: number }>;
  /** Where the API's proxy finds a port of the container; null when it does not listen there. */
  portAddress(id: string, port: number): Promise<{ host: string; port: number } | null>;
  snapshot(id: string, request: SnapshotRequest): Promise<TakenSnapshot>;
  removeSnapshot(image: string): Promise<void>;
  /** All that is kept of this installation's containers, what servers left unfinished too. */
  keptImages?(): Promise<KeptImage[]>;
  /** Until the signal; reconnects by itself, and may miss events: the sweep is the truth. */
  events(signal: AbortSignal): AsyncIterable<RuntimeEvent>;
  /** Removes what was made for containers and serves none any more; called once in a while. */
  tidy?(): Promise<void>;
  /** Ends its connections; containers go on. */
  close(): Promise<void>;
}
