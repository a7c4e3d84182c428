import { connect } from "node:net";
import { runtimeErrors } from "./errors.ts";
import {
  type Connection,
  connectCluster,
  type KubernetesOptions,
} from "./kubernetes-connection.ts";
import { isGone, isUnavailable } from "./kubernetes-errors.ts";
import { listPods, podEvents } from "./kubernetes-events.ts";
import { openTerminal, type PodPlace, runExec } from "./kubernetes-exec.ts";
import { readFile, writeFile } from "./kubernetes-files.ts";
import {
  createPod,
  deleteSecret,
  endPod,
  findPod,
  needPod,
  podsPath,
  startPod,
  tidyPolicies,
} from "./kubernetes-lifecycle.ts";
import { readLogs } from "./kubernetes-logs.ts";
import { containerOf, identityOf, portsOf, stateOf } from "./kubernetes-pod.ts";
import { podStats } from "./kubernetes-stats.ts";
import type { ListOf, Metadata, Pod } from "./kubernetes-types.ts";
import type { Runtime, RuntimeInfo } from "./types.ts";

const connectMs = 1_000;

/** What the server must be allowed to do in its namespace: verb, resource, subresource, group. */
const rights = [
  ["create", "pods", "", ""],
  ["get", "pods", "", ""],
  ["list", "pods", "", ""],
  ["watch", "pods", "", ""],
  ["patch", "pods", "", ""],
  ["delete", "pods", "", ""],
  ["create", "pods", "exec", ""],
  ["get", "pods", "exec", ""],
  ["get", "pods", "log", ""],
  ["get", "secrets", "", ""],
  ["patch", "secrets", "", ""],
  ["delete", "secrets", "", ""],
  ["list", "networkpolicies", "", "networking.k8s.io"],
  ["patch", "networkpolicies", "", "networking.k8s.io"],
  ["delete", "networkpolicies", "", "networking.k8s.io"],
] as const;

async function missingRights(connection: Connection): Promise<string[]> {
  const { namespace } = connection.options;
  const missing = await Promise.all(
    rights.map(async ([verb, resource, subresource, group]) => {
      const resourceAttributes = { namespace, verb, resource, subresource, group };
      const { body } = await connection.ask<{ status?: { allowed?: boolean } }>(
        "ask for its rights",
        {
          method: "POST",
          path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
          body: {
            apiVersion: "authorization.k8s.io/v1",
            kind: "SelfSubjectAccessReview",
            spec: { resourceAttributes },
          },
        },
      );
      return body.status?.allowed ? [] : [`${verb} ${resource}${subresource && `/${subresource}`}`];
    }),
  );
  return missing.flat();
}

async function runtimeClasses(connection: Connection): Promise<string[]> {
  const { status, body } = await connection.ask<ListOf<{ metadata: Metadata }>>(
    "list the runtime classes",
    { method: "GET", path: "/apis/node.k8s.io/v1/runtimeclasses", accept: [403, 404] },
  );
  return status === 200 ? body.items.map(({ metadata }) => metadata.name) : [];
}

const always = {
  name: "kubernetes",
  strength: "container",
  canSnapshot: false,
  canPause: false,
} as const;

async function info(connection: Connection): Promise<RuntimeInfo> {
  try {
    const { body } = await connection.ask<{ gitVersion: string }>("tell its version", {
      method: "GET",
      path: "/version",
    });
    const missing = await missingRights(connection);
    const ociRuntimes = await runtimeClasses(connection);
    const place = `In the namespace ${connection.options.namespace}`;
    const lack = `${place} these rights are missing: ${missing.join(", ")}.`;
    const notes = [
      "Whether the cluster's network enforces network policies can't be seen from here.",
      ...(missing.length > 0 ? [lack] : []),
    ];
    return {
      ...always,
      version: body.gitVersion,
      available: missing.length === 0,
      ociRuntimes,
      notes,
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : "The cluster can't be asked.";
    return { ...always, version: "", available: false, ociRuntimes: [], notes: [why] };
  }
}

/** The pod as a place where programs run; throws where it does not run. */
async function needRunning(connection: Connection, id: string): Promise<PodPlace & { pod: Pod }> {
  const { pod } = await needPod(connection, id);
  const state = stateOf(pod);
  if (state !== "running") {
    const detail = `The container is ${state}; it must be running for this.`;
    throw runtimeErrors.conflict({ detail });
  }
  const { name, uid } = pod.metadata;
  return {
    pod,
    path: `${podsPath(connection)}/${name}`,
    isRunning: async () => {
      const now = await findPod(connection, `${name}/${uid}`);
      return now !== null && stateOf(now.pod) === "running";
    },
  };
}

/** Runs something in a pod; where that fails because the pod has ended meanwhile, says so. */
async function inPod<T>(
  connection: Connection,
  id: string,
  work: (place: PodPlace & { pod: Pod }) => Promise<T>,
): Promise<T> {
  const place = await needRunning(connection, id);
  try {
    return await work(place);
  } catch (error) {
    if (isUnavailable(error) || isGone(error)) await needRunning(connection, id);
    throw error;
  }
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectMs });
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.on("connect", () => end(true)).on("error", () => end(false));
    socket.on("timeout", () => end(false));
  });
}

async function portAddress(connection: Connection, id: string, port: number) {
  const { pod } = await needRunning(connection, id);
  if (!portsOf(pod).includes(port)) {
    throw runtimeErrors.refused({ detail: `Port ${port} is not one of the container's.` });
  }
  const host = pod.status?.podIP;
  return host !== undefined && (await answers(host, port)) ? { host, port } : null;
}

function refuse(what: string): never {
  throw runtimeErrors.refused({ detail: `Kubernetes can't ${what} a pod.` });
}

function lifeOf(connection: Connection) {
  const { installId } = connection.options;
  return {
    create: (spec, signal) => createPod(connection, spec, signal),
    start: (id) => startPod(connection, id),
    inspect: async (id) => {
      const found = await findPod(connection, id);
      return found && containerOf(found.pod, found.identity);
    },
    list: async () => {
      const { pods } = await listPods(connection);
      return pods.flatMap((pod) => {
        const identity = identityOf(pod, installId);
        return identity === null ? [] : [containerOf(pod, identity)];
      });
    },
    pause: async () => refuse("pause"),
    resume: async () => refuse("resume"),
    stop: async (id, graceMs) => {
      const { pod } = await needPod(connection, id);
      if (stateOf(pod) !== "exited") await endPod(connection, id, graceMs);
    },
    remove: async (id) => {
      await endPod(connection, id, 0);
      await deleteSecret(connection, id);
    },
  } satisfies Partial<Runtime>;
}

/**
 * One pod per lease in one namespace of a cluster. A stop removes the pod, since a cluster knows no
 * pod that has been stopped; so its exit code after a stop is not known. See the service's README
 * for the rights that it needs.
 */
export function kubernetesRuntime(options: KubernetesOptions): Runtime {
  const connection = connectCluster(options);
  const state = async (id: string) => {
    const found = await findPod(connection, id);
    return found && stateOf(found.pod);
  };
  return {
    name: "kubernetes",
    info: () => info(connection),
    ...lifeOf(connection),
    exec: (id, request) => inPod(connection, id, (place) => runExec(connection, place, request)),
    terminal: (id, size, command) =>
      inPod(connection, id, (place) => openTerminal(connection, place, size, command)),
    async *logs(id, request) {
      const { pod } = await needPod(connection, id);
      const { name, uid } = pod.metadata;
      const path = `${podsPath(connection)}/${name}`;
      yield* readLogs(connection, path, request, () => state(`${name}/${uid}`));
    },
    stats: (id) => inPod(connection, id, (place) => podStats(connection, place, place.pod)),
    putFile: (id, path, content, sizeBytesMax) =>
      inPod(connection, id, (place) =>
        writeFile(connection, place, place.pod, path, content, sizeBytesMax),
      ),
    getFile: (id, path) => inPod(connection, id, (place) => readFile(connection, place, path)),
    portAddress: (id, port) => portAddress(connection, id, port),
    snapshot: async () => refuse("take a snapshot of"),
    removeSnapshot: async () => refuse("take a snapshot of"),
    events: (signal) => podEvents(connection, signal),
    tidy: () =>
      tidyPolicies(connection, async () => {
        const { pods } = await listPods(connection);
        return new Set(pods.map((pod) => identityOf(pod, options.installId)?.tenantId ?? ""));
      }),
    close: async () => connection.close(),
  };
}
