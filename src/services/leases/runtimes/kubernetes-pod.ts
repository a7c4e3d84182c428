import { label, portsNote, startGate } from "./kubernetes-objects.ts";
import type { ContainerStatus, Pod, Terminated } from "./kubernetes-types.ts";
import type { Container, ContainerState, Egress, Identity, Isolation } from "./types.ts";

/** Whose a pod is; null for somebody else's. */
export function identityOf({ metadata }: Pod, installId: string): Identity | null {
  const labels = metadata.labels ?? {};
  const tenantId = labels[label.tenant];
  const leaseId = labels[label.lease];
  const generation = Number(labels[label.generation] ?? Number.NaN);
  if (labels[label.install] !== installId || !tenantId || !leaseId) return null;
  return Number.isSafeInteger(generation) ? { installId, tenantId, leaseId, generation } : null;
}

/** The ports that the API may reach. */
export function portsOf({ metadata }: Pod): number[] {
  return (metadata.annotations?.[portsNote] ?? "").split(",").filter(Boolean).map(Number);
}

const statusOf = ({ status }: Pod): ContainerStatus | null =>
  status?.containerStatuses?.[0] ?? null;

/**
 * How the program ended; null while it has not. One that a node has started anew behind our back
 * has ended as well: what it had done is gone.
 */
export function endOf(pod: Pod): Terminated | null {
  const status = statusOf(pod);
  if (status === null) return null;
  const isAnew = status.restartCount > 0;
  return status.state?.terminated ?? (isAnew ? (status.lastState?.terminated ?? null) : null);
}

/** Whether the kernel ended it for its memory. */
export const isOutOfMemory = (pod: Pod): boolean => endOf(pod)?.reason === "OOMKilled";

/** What state a pod stands for. */
export function stateOf(pod: Pod): ContainerState {
  const { metadata, status, spec } = pod;
  if (metadata.deletionTimestamp !== undefined) return "removing";
  if (status?.phase === "Succeeded" || status?.phase === "Failed") return "exited";
  const own = statusOf(pod);
  if (endOf(pod) !== null || (own !== null && own.restartCount > 0)) return "exited";
  const isGated = spec.schedulingGates?.some(({ name }) => name === startGate) ?? false;
  return !isGated && own?.state?.running !== undefined ? "running" : "created";
}

/** What keeps a pod that was started from running, by the word that the node gives for it. */
const hindrances: Readonly<Record<string, "image_missing" | "refused">> = {
  ErrImagePull: "image_missing",
  ImagePullBackOff: "image_missing",
  ErrImageNeverPull: "image_missing",
  InvalidImageName: "image_missing",
  ImageInspectError: "image_missing",
  RegistryUnavailable: "image_missing",
  CreateContainerConfigError: "refused",
  CreateContainerError: "refused",
  RunContainerError: "refused",
};

export interface Hindrance {
  readonly kind: "image_missing" | "refused";
  readonly reason: string;
  readonly message: string;
}

/** Why a pod does not come to run; null where it still may. */
export function hindranceOf(pod: Pod): Hindrance | null {
  const { reason = "", message = "" } = statusOf(pod)?.state?.waiting ?? {};
  const kind = hindrances[reason];
  return kind === undefined ? null : { kind, reason, message };
}

/** Whether no node has room for it. */
export function isWithoutNode({ status }: Pod): boolean {
  return (status?.conditions ?? []).some(({ type, status: is, reason }) => {
    return type === "PodScheduled" && is === "False" && reason === "Unschedulable";
  });
}

const unitBytes: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** A quantity of memory, such as "64Mi", in bytes. */
export function bytesOf(quantity: string): number {
  const [, digits = "0", unit = ""] = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(quantity) ?? [];
  return Math.floor(Number(digits) * (unitBytes[unit] ?? 0));
}

const mebibytesOf = (quantity: string): number => Math.floor(bytesOf(quantity) / 2 ** 20);

function millisOf(quantity: string): number {
  return quantity.endsWith("m") ? Number(quantity.slice(0, -1)) : Number(quantity) * 1_000;
}

const virtualMachines = /kata|gvisor|runsc|firecracker/i;

/** What is in force, as the API server holds it: admission may have changed what it was sent. */
function isolationOf({ spec, metadata }: Pod): Isolation {
  const container = spec.containers[0];
  const limits = container?.resources?.limits ?? {};
  const security = container?.securityContext ?? {};
  const { runAsUser = 0, runAsGroup = 0, seccompProfile } = spec.securityContext ?? {};
  const runtime = spec.runtimeClassName ?? "the cluster's default";
  const drop = security.capabilities?.drop ?? [];
  const disk = limits["ephemeral-storage"];
  const egress: Egress = metadata.labels?.[label.egress] === "internet" ? "internet" : "none";
  return {
    runtime: `kubernetes: ${runtime}`,
    strength: virtualMachines.test(runtime) ? "strong" : "container",
    user: `${runAsUser}:${runAsGroup}`,
    readOnlyRoot: security.readOnlyRootFilesystem ?? false,
    capabilities: drop.includes("ALL") ? (security.capabilities?.add ?? []) : ["the image's own"],
    noNewPrivileges: security.allowPrivilegeEscalation === false,
    seccomp: seccompProfile?.type ?? "none",
    userNamespace: spec.hostUsers === false,
    network: "the pod's own, behind network policies",
    egress,
    memoryMb: mebibytesOf(limits.memory ?? "0"),
    cpuMillis: millisOf(limits.cpu ?? "0"),
    pidsMax: null,
    diskMb: disk === undefined ? null : mebibytesOf(disk),
    notes: [
      "Whether the cluster's network enforces network policies can't be seen from here.",
      "The number of processes is limited by the node, which does not tell how.",
    ],
  };
}

/** The container as the engine sees it. */
export function containerOf(pod: Pod, identity: Identity): Container {
  const end = endOf(pod);
  const state = stateOf(pod);
  const running = statusOf(pod)?.state?.running;
  return {
    id: `${pod.metadata.name}/${pod.metadata.uid}`,
    name: pod.metadata.name,
    identity,
    state,
    createdAt: pod.metadata.creationTimestamp,
    startedAt: end?.startedAt ?? running?.startedAt ?? null,
    exitedAt: end?.finishedAt ?? null,
    exitCode: end?.exitCode ?? null,
    outOfMemory: isOutOfMemory(pod),
    isolation: isolationOf(pod),
  };
}
