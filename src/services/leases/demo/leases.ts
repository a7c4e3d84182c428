import type { TerminationReason } from "../rules/lifecycle.ts";
import type { NewLease } from "../schemas/leases.ts";
import type { NewTemplate } from "../schemas/templates.ts";

/** Longer than the leases below live, and not for ever, should nobody be there to end it. */
const program = (says: string): string[] => ["sh", "-c", `echo "${says}"; exec sleep 1900`];

/** What the demo's tenant leases, by the name of what it is for. */
export const demoTemplates: readonly NewTemplate[] = [
  {
    name: "shell",
    description: "A shell to try something in: small, read-only, without a way out",
    image: "alpine",
    command: program("Ready: run something in here."),
    cpuMillis: 100,
    memoryMb: 64,
    ttlSeconds: 1_800,
    maxRestarts: 1,
  },
  {
    name: "workbench",
    description: "What is written in it can be kept as a snapshot; it ends when nobody uses it",
    image: "alpine",
    command: program("Ready: write to /workspace, and take a snapshot."),
    cpuMillis: 250,
    memoryMb: 128,
    ttlSeconds: 1_800,
    idleTtlSeconds: 1_800,
    writable: true,
    priceFlatMinor: 1,
  },
  {
    name: "build",
    description: "For builds and tests: larger, dearer, and only the last snapshot matters",
    image: "node",
    command: program("Ready to build."),
    cpuMillis: 1_000,
    memoryMb: 1_024,
    ttlSeconds: 3_600,
    writable: true,
    snapshotOnEnd: false,
    priceCpuHourMinor: 6,
    priceGbHourMinor: 2,
  },
];

/** A lease of the last days, and how it ended. */
export interface PastLease {
  readonly hoursAgo: number;
  readonly minutes: number;
  readonly lease: NewLease & { readonly template: string };
  readonly reason: TerminationReason;
  readonly exitCode?: number;
  readonly message?: string;
}

/** Oldest first. */
export const demoHistory: readonly PastLease[] = [
  {
    hoursAgo: 140,
    minutes: 55,
    lease: { template: "build", name: "Nightly build" },
    reason: "released",
    exitCode: 0,
    message: "Its program ended by itself.",
  },
  {
    hoursAgo: 121,
    minutes: 30,
    lease: { template: "shell", name: "Price list check" },
    reason: "expired",
  },
  {
    hoursAgo: 116,
    minutes: 48,
    lease: { template: "build", name: "Nightly build" },
    reason: "released",
    exitCode: 0,
    message: "Its program ended by itself.",
  },
  {
    hoursAgo: 97,
    minutes: 12,
    lease: { template: "workbench", name: "Label layout" },
    reason: "idle",
  },
  {
    hoursAgo: 92,
    minutes: 17,
    lease: { template: "build", name: "Nightly build" },
    reason: "oom",
    exitCode: 137,
    message: "It used more memory than it may.",
  },
  {
    hoursAgo: 70,
    minutes: 25,
    lease: { template: "workbench", name: "Import rehearsal" },
    reason: "released",
  },
  {
    hoursAgo: 46,
    minutes: 60,
    lease: { template: "build", name: "Nightly build" },
    reason: "expired",
  },
  {
    hoursAgo: 27,
    minutes: 9,
    lease: { template: "shell", name: "Stock count" },
    reason: "crashed",
    exitCode: 2,
    message: "Its program ended with exit code 2.",
  },
  {
    hoursAgo: 4,
    minutes: 28,
    lease: { template: "workbench", name: "Import rehearsal" },
    reason: "admin",
  },
];

/** Leases of today, with the engine that is at hand; the last one is paused where that can be. */
export const demoLeases: readonly (NewLease & { readonly template: string })[] = [
  { template: "shell", name: "Scratch" },
  { template: "workbench", name: "Allergen report" },
  { template: "workbench", name: "Waiting for the new price list" },
];
