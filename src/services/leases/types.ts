import type { WebSocketConnection } from "#kernel/http/types.ts";
import type { KernelDeps } from "#kernel/service.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Gauges } from "./engine/metrics.ts";
import type { DriftKind } from "./rules/drift.ts";
import type { LeasesConfig, Limits } from "./rules/config.ts";
import type { Lease } from "./rules/lease.ts";
import type { TerminalSize } from "./rules/terminal.ts";
import type { Runtime, RuntimeInfo, Terminal } from "./runtimes/types.ts";

/** What decides where a new lease's container comes from. */
export type RuntimeWish = Pick<Limits, "runtime" | "dockerHost" | "kubeconfig">;

/** A runtime that was chosen for new leases. */
export interface Chosen {
  readonly runtime: Runtime;
  /** Of the lease's row: which engine, where it is not the installation's own. */
  readonly place: string;
  readonly info: RuntimeInfo;
}

/** The runtimes of a process, opened when they are first needed. */
export interface Fleet {
  /** For a new lease. Throws `no_runtime`, saying why. */
  choose(wish: RuntimeWish): Promise<Chosen>;
  /** The same for people: null where there is none, with why not. */
  look(wish: RuntimeWish): Promise<{ chosen: Chosen | null; notes: readonly string[] }>;
  /** Where a lease that was made earlier has its container. */
  at(lease: Pick<Lease, "runtime" | "runtimePlace">): Runtime;
  /** Those that were opened, each with its place. */
  opened(): readonly { runtime: Runtime; place: string }[];
  /** Called whenever another one is opened. */
  onOpen(listen: () => void): void;
  close(): Promise<void>;
}

/** What brings leases to where they are to be; see engine/engine.ts. */
export interface Engine {
  /** Works on a lease soon, instead of when the sweep finds it. */
  nudge(tenantId: string, kind: "lease" | "snapshot", id: string): void;
  /** Resolves when this process has nothing under way. */
  settled(): Promise<void>;
  /** Looks at the container of a lease, and does what follows. */
  observe(tenant: TenantRef, leaseId: string): Promise<void>;
  /** Where what is stored and what is there differ. */
  drift(signal: AbortSignal): Promise<DriftReport>;
  /** Repairs one difference, if it is still there. */
  repair(drift: FoundDrift): Promise<void>;
  /** Finds and repairs all of it. */
  reconcile(signal: AbortSignal): Promise<DriftReport>;
}

/** A difference between what is stored and what is there, with what it takes to repair it. */
export interface FoundDrift {
  readonly kind: DriftKind;
  readonly tenantId: string;
  readonly leaseId: string | null;
  readonly containerId: string | null;
  readonly containerName: string | null;
  readonly detail: string;
  readonly runtime: Runtime | null;
  /** What is kept on an engine for nobody. */
  readonly image?: string;
}

export interface DriftReport {
  readonly checkedAt: string;
  readonly containers: number;
  readonly leases: number;
  readonly items: readonly FoundDrift[];
  /** Runtimes that did not answer. */
  readonly unreachable: readonly string[];
}

/** Tells those who wait for something in this process that it has changed. */
export interface Hub {
  tell(id: string): void;
  /** Resolves at the next change, or when the signal is aborted. */
  next(id: string, signal: AbortSignal): Promise<void>;
}

/** Who opened a terminal: nobody else reaches it again. */
export interface TerminalOwner {
  readonly tenantId: string;
  readonly leaseId: string;
  readonly callerId: string;
}

/** A program at a terminal, which outlives the connections to it. */
export interface LiveTerminal {
  readonly id: string;
  /**
   * Shows everything from `position` on, and lets the client type, until another one takes over.
   * Resolves when the connection is over. To be called in the turn in which it was accepted.
   */
  attach(connection: WebSocketConnection, position: number): Promise<void>;
  resize(size: TerminalSize): void;
  shownBytes(): number;
  /** Ends the program; how it ended can be heard for a moment. */
  kill(): Promise<void>;
  /** The same, and nobody can come back to it. */
  drop(): Promise<void>;
  /** Resolves when the program has ended. */
  readonly ended: Promise<void>;
  /** Resolves when nobody can come back to it any more. */
  readonly over: Promise<void>;
}

/** The terminals of a process; see engine/terminals.ts. */
export interface Terminals {
  /** Holds what `open` opens. */
  begin(owner: TerminalOwner, open: () => Promise<Terminal>): Promise<LiveTerminal>;
  /** Throws `terminal_gone` and `terminal_elsewhere`. */
  find(id: string, owner: TerminalOwner): LiveTerminal;
  count(): number;
  /** Kills all of their programs. */
  stop(): Promise<void>;
}

/** What the routes and jobs of this service work with. */
export interface LeasesDeps extends KernelDeps {
  readonly leases: LeasesConfig;
  readonly installId: string;
  readonly fleet: Fleet;
  readonly engine: Engine;
  readonly hub: Hub;
  readonly terminals: Terminals;
  readonly gauges: Gauges;
}
