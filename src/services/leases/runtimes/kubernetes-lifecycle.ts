import { isSame } from "./docker-spec.ts";
import { runtimeErrors } from "./errors.ts";
import type { Connection } from "./kubernetes-connection.ts";
import { isGone } from "./kubernetes-errors.ts";
import {
  label,
  networkPolicyOf,
  podOf,
  policyName,
  refusalOf,
  secretOf,
  startGate,
} from "./kubernetes-objects.ts";
import { containerOf, hindranceOf, identityOf, isWithoutNode, stateOf } from "./kubernetes-pod.ts";
import type { ListOf, Metadata, Pod } from "./kubernetes-types.ts";
import type { Container, ContainerSpec, Egress, Identity } from "./types.ts";

const createDeadlineMs = 60_000;
const startDeadlineMs = 180_000;
/** Beyond the grace, for the node to tell that nothing is left. */
const removeDeadlineMs = 60_000;
const firstLookMs = 20;
const longestLookMs = 1_000;

export interface Found {
  readonly pod: Pod;
  readonly identity: Identity;
}

/** Where the namespace's pods are. */
export const podsPath = ({ options }: Connection): string =>
  `/api/v1/namespaces/${options.namespace}/pods`;
const secretsPath = ({ options }: Connection): string =>
  `/api/v1/namespaces/${options.namespace}/secrets`;
const policiesPath = ({ options }: Connection): string =>
  `/apis/networking.k8s.io/v1/namespaces/${options.namespace}/networkpolicies`;

/** The installation's pod of this id or name; null where there is none. */
export async function findPod(connection: Connection, idOrName: string): Promise<Found | null> {
  const [name = "", uid] = idOrName.split("/");
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name)) return null;
  const { status, body } = await connection.ask<Pod>("look at the pod", {
    method: "GET",
    path: `${podsPath(connection)}/${name}`,
    accept: [404],
  });
  if (status === 404) return null;
  const identity = identityOf(body, connection.options.installId);
  const isIt = uid === undefined || body.metadata.uid === uid;
  return identity !== null && isIt ? { pod: body, identity } : null;
}

/** The same; throws where there is none. */
export async function needPod(connection: Connection, id: string): Promise<Found> {
  const found = await findPod(connection, id);
  if (found === null) throw runtimeErrors.gone({ detail: `There is no pod "${id}".` });
  return found;
}

const describe = ({ pod, identity }: Found): Container => containerOf(pod, identity);

/** Looks again and again, less often with time, until something is found; null at the deadline. */
async function lookUntil<T>(
  { options }: Connection,
  deadlineMs: number,
  look: () => Promise<T | null>,
): Promise<T | null> {
  const { clock } = options;
  const endMs = clock.monotonicMs() + deadlineMs;
  for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 1.5, longestLookMs)) {
    const found = await look();
    if (found !== null || clock.monotonicMs() > endMs) return found;
    await clock.sleep(waitMs);
  }
}

/** Writes an object whole, whether or not it is there. */
async function apply(connection: Connection, path: string, object: object): Promise<void> {
  await connection.ask("write what a pod needs", {
    method: "PATCH",
    path,
    query: { fieldManager: "plimsoll", force: true },
    contentType: "application/apply-patch+yaml",
    body: object,
  });
}

/** Before anything of a tenant runs, its walls stand. */
async function applyPolicies(
  connection: Connection,
  identity: Identity,
  egress: Egress,
): Promise<void> {
  const { installId, tenantId } = identity;
  const usedAt = new Date(connection.options.clock.nowMs()).toISOString();
  const usedOnce = `${usedAt} ${connection.options.random.id()}`;
  for (const each of egress === "internet"
    ? (["none", "internet"] as const)
    : (["none"] as const)) {
    const name = policyName(installId, tenantId, each);
    const object = networkPolicyOf({ identity }, each, usedOnce);
    await apply(connection, `${policiesPath(connection)}/${name}`, object);
  }
}

/** Posts the pod; null where one of its name is there that may become ours or go away. */
async function postPod(
  connection: Connection,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<Found | null> {
  const { status, body } = await connection.ask<Pod>("make a pod", {
    method: "POST",
    path: podsPath(connection),
    body: podOf(spec),
    accept: [409],
    signal,
  });
  if (status !== 409) return { pod: body, identity: spec.identity };
  const there = await connection.ask<Pod>("look at the pod", {
    method: "GET",
    path: `${podsPath(connection)}/${spec.name}`,
    accept: [404],
    signal,
  });
  if (there.status === 404) return null;
  const identity = identityOf(there.body, connection.options.installId);
  if (identity === null || !isSame(identity, spec.identity)) {
    const detail = `The name "${spec.name}" belongs to another pod.`;
    throw runtimeErrors.conflict({ detail });
  }
  // One that is being removed is none any more: its successor waits for it to be gone.
  return stateOf(there.body) === "removing" ? null : { pod: there.body, identity };
}

/** Makes the pod, which stands still until it is started, and what it needs. */
export async function createPod(
  connection: Connection,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<Container> {
  const refusal = refusalOf(spec);
  if (refusal !== null) throw runtimeErrors.refused({ detail: refusal });
  signal.throwIfAborted();
  await applyPolicies(connection, spec.identity, spec.egress);
  const found = await lookUntil(connection, createDeadlineMs, async () => {
    signal.throwIfAborted();
    return postPod(connection, spec, signal);
  });
  if (found === null) {
    const detail = `An earlier pod "${spec.name}" does not go away.`;
    throw runtimeErrors.unavailable({ detail });
  }
  if (Object.keys(spec.env).length > 0) {
    const secret = secretOf(spec, found.pod.metadata.uid);
    await apply(connection, `${secretsPath(connection)}/${spec.name}`, secret);
  }
  return describe(found);
}

/** Lets the pod run, and waits until it does. */
export async function startPod(connection: Connection, id: string): Promise<Container> {
  const { pod, identity } = await needPod(connection, id);
  const path = `${podsPath(connection)}/${pod.metadata.name}`;
  if (stateOf(pod) === "created") {
    const egress = pod.metadata.labels?.[label.egress] === "internet" ? "internet" : "none";
    await applyPolicies(connection, identity, egress);
    await connection.ask("start the pod", {
      method: "PATCH",
      path,
      contentType: "application/strategic-merge-patch+json",
      body: {
        metadata: { uid: pod.metadata.uid },
        spec: { schedulingGates: [{ $patch: "delete", name: startGate }] },
      },
    });
  }
  let last = pod;
  const started = await lookUntil(connection, startDeadlineMs, async () => {
    const found = await needPod(connection, id);
    last = found.pod;
    const hindrance = hindranceOf(found.pod);
    if (hindrance !== null) {
      const { kind, reason, message } = hindrance;
      const detail = `The node can't start the pod: ${reason}.`;
      throw runtimeErrors[kind]({ detail, cause: new Error(message) });
    }
    return stateOf(found.pod) === "created" ? null : found;
  });
  if (started !== null) return describe(started);
  const why = isWithoutNode(last) ? "No node has room for it." : "Its node did not say why.";
  const detail = `The pod does not run after ${startDeadlineMs / 1_000} s. ${why}`;
  throw runtimeErrors.unavailable({ detail });
}

/** Ends the pod and waits until its node says that nothing of it is left. */
export async function endPod(connection: Connection, id: string, graceMs: number): Promise<void> {
  const found = await findPod(connection, id);
  if (found === null) return;
  const { name, uid } = found.pod.metadata;
  // Zero would only forget the pod, whatever still runs of it.
  const graceSeconds = Math.max(1, Math.ceil(graceMs / 1_000));
  await connection.ask("remove the pod", {
    method: "DELETE",
    path: `${podsPath(connection)}/${name}`,
    body: { gracePeriodSeconds: graceSeconds, preconditions: { uid } },
    // 409: another pod has the name by now, so that this one is gone.
    accept: [404, 409],
  });
  const gone = await lookUntil(connection, graceMs + removeDeadlineMs, async () => {
    return (await findPod(connection, `${name}/${uid}`)) === null ? true : null;
  });
  if (gone !== null) return;
  const detail = `The pod "${name}" is not gone; its node may not answer.`;
  throw runtimeErrors.unavailable({ detail });
}

/** Deletes the variables of a pod that is gone; the cluster does so too, in its own time. */
export async function deleteSecret(connection: Connection, id: string): Promise<void> {
  const [name = "", uid] = id.split("/");
  const path = `${secretsPath(connection)}/${name}`;
  const { status, body } = await connection.ask<{ metadata: Metadata & Owned }>(
    "look for the pod's variables",
    { method: "GET", path, accept: [404] },
  );
  if (status === 404 || body.metadata.labels?.[label.install] !== connection.options.installId) {
    return;
  }
  // A successor of the same name has variables of its own.
  if (uid !== undefined && body.metadata.ownerReferences?.[0]?.uid !== uid) return;
  await connection.ask("delete the pod's variables", {
    method: "DELETE",
    path,
    body: { preconditions: { uid: body.metadata.uid } },
    accept: [404, 409],
  });
}

interface Owned {
  readonly ownerReferences?: readonly { readonly uid: string }[];
}

/** Clears away the walls of tenants that have no pod any more. */
export async function tidyPolicies(
  connection: Connection,
  listTenants: () => Promise<ReadonlySet<string>>,
): Promise<void> {
  const { installId } = connection.options;
  const query = { labelSelector: `${label.install}=${installId}` };
  const path = policiesPath(connection);
  const { body } = await connection.ask<ListOf<{ metadata: Metadata }>>("list the policies", {
    method: "GET",
    path,
    query,
  });
  // After the policies: a pod that was made since then has made its policies anew.
  const tenants = await listTenants();
  for (const { metadata } of body.items) {
    if (tenants.has(metadata.labels?.[label.tenant] ?? "")) continue;
    const { uid, resourceVersion, name } = metadata;
    try {
      await connection.ask("clear a policy away", {
        method: "DELETE",
        path: `${path}/${name}`,
        body: { preconditions: { uid, resourceVersion } },
        accept: [404, 409],
      });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}
