import type { V1NetworkPolicy, V1Pod, V1Secret } from "@kubernetes/client-node";
import { memoryPlaces, nobody, workspace } from "./docker-spec.ts";
import type { ContainerSpec, Egress } from "./types.ts";

/** What is written to the cluster. Keys are those of the containers of other engines. */

export const label = {
  install: "plimsoll.install",
  tenant: "plimsoll.tenant",
  lease: "plimsoll.lease",
  generation: "plimsoll.generation",
  egress: "plimsoll.egress",
} as const;
export const portsNote = "plimsoll.ports";
const usedNote = "plimsoll.used";
/** The pods of the server itself must carry it, so that leases' ports can be reached from them. */
const serverLabel = { "plimsoll.server": "true" };

/** With this gate a pod is there and runs nowhere. */
export const startGate = "plimsoll/start";
export const containerName = "lease";

const volumeMbByDefault = 1_024;
const labelValue = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const podName = /^[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?$/;

/** Why a cluster can't have such a pod; null where it can. */
export function refusalOf({ name, identity, env, command }: ContainerSpec): string | null {
  if (!podName.test(name)) return `"${name}" is no name for a pod.`;
  const { installId, tenantId, leaseId } = identity;
  const bad = [installId, tenantId, leaseId].find((value) => !labelValue.test(value));
  if (bad !== undefined) return `"${bad}" can't be a label.`;
  const variable = Object.keys(env).find((each) => !/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(each));
  if (variable !== undefined) return `"${variable}" is no name for an environment variable.`;
  return command?.length === 0 ? "The command is empty: give a program, or leave it out." : null;
}

/** Where the pod may write, and how much; in memory unless the container is writable. */
function volumesOf(spec: ContainerSpec) {
  const { places } = memoryPlaces(spec, []);
  const diskMb = spec.diskMb ?? volumeMbByDefault;
  const all = spec.writable ? { [workspace]: diskMb, "/tmp": diskMb } : places;
  const medium = spec.writable ? {} : { medium: "Memory" };
  const named = Object.entries(all).map(([path, sizeMb], at) => ({ path, sizeMb, name: `w${at}` }));
  return {
    volumes: named.map(({ name, sizeMb }) => ({
      name,
      emptyDir: { ...medium, sizeLimit: `${sizeMb}Mi` },
    })),
    volumeMounts: named.map(({ name, path }) => ({ name, mountPath: path })),
  };
}

function userOf({ user }: ContainerSpec): { uid: number; gid: number } {
  const [uid = 0, gid = uid] = (user ?? nobody).split(":").map(Number);
  return { uid, gid };
}

function labelsOf({ identity, egress }: ContainerSpec): Record<string, string> {
  return {
    [label.install]: identity.installId,
    [label.tenant]: identity.tenantId,
    [label.lease]: identity.leaseId,
    [label.generation]: String(identity.generation),
    [label.egress]: egress,
  };
}

/** Within what Kubernetes calls restricted, and further: no account, no place to write to. */
export function podOf(spec: ContainerSpec): V1Pod {
  const { uid, gid } = userOf(spec);
  const { volumes, volumeMounts } = volumesOf(spec);
  const resources = {
    cpu: `${spec.cpuMillis}m`,
    memory: `${spec.memoryMb}Mi`,
    "ephemeral-storage": `${spec.diskMb ?? volumeMbByDefault}Mi`,
  };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: spec.name,
      labels: labelsOf(spec),
      annotations: { [portsNote]: spec.ports.join(",") },
    },
    spec: {
      schedulingGates: [{ name: startGate }],
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 10,
      ...(spec.ociRuntime !== null && { runtimeClassName: spec.ociRuntime }),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: uid,
        runAsGroup: gid,
        fsGroup: gid,
        seccompProfile: { type: "RuntimeDefault" },
      },
      volumes,
      containers: [
        {
          name: containerName,
          image: spec.image,
          imagePullPolicy: "IfNotPresent",
          ...(spec.command !== null && { command: [...spec.command] }),
          workingDir: workspace,
          env: "HOME" in spec.env ? [] : [{ name: "HOME", value: workspace }],
          ...(Object.keys(spec.env).length > 0 && {
            envFrom: [{ secretRef: { name: spec.name } }],
          }),
          ports: spec.ports.map((containerPort) => ({ containerPort })),
          resources: { limits: resources, requests: resources },
          volumeMounts,
          securityContext: {
            allowPrivilegeEscalation: false,
            privileged: false,
            readOnlyRootFilesystem: !spec.writable,
            capabilities: { drop: ["ALL"] },
          },
        },
      ],
    },
  };
}

/**
 * The pod's variables, apart from it: who may look at pods need not see what leases were told. The
 * cluster deletes it with the pod.
 */
export function secretOf(spec: ContainerSpec, podUid: string): V1Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: spec.name,
      labels: labelsOf(spec),
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: spec.name, uid: podUid }],
    },
    type: "Opaque",
    stringData: { ...spec.env },
  };
}

/** Addresses that are nobody's in particular, or a neighbour's: RFC 6890 and what clouds use. */
const private4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/3",
];
const private6 = ["::1/128", "64:ff9b::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"];

/** The cluster's own name service, without which "the internet" has no names. */
const nameService = {
  to: [
    {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
      podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
    },
  ],
  ports: [
    { protocol: "UDP", port: 53 },
    { protocol: "TCP", port: 53 },
  ],
};

/** The names of a tenant's network policies. */
export function policyName(installId: string, tenantId: string, egress: Egress): string {
  return `plm-${installId}-${tenantId}${egress === "internet" ? "-egress" : ""}`.toLowerCase();
}

/**
 * What a tenant's pods may reach and be reached by: nothing but the server's own pods reaches them.
 * `egress` "internet" is the addition for those pods that may reach it. The moment makes each use a
 * new version, so that a policy that is being cleared away is not while it is being used.
 */
export function networkPolicyOf(
  { identity: { installId, tenantId } }: Pick<ContainerSpec, "identity">,
  egress: Egress,
  usedAt: string,
): Omit<V1NetworkPolicy, "spec"> & { spec: object } {
  const own = { [label.install]: installId, [label.tenant]: tenantId };
  const internet = [
    { to: [{ ipBlock: { cidr: "0.0.0.0/0", except: private4 } }] },
    { to: [{ ipBlock: { cidr: "::/0", except: private6 } }] },
    nameService,
  ];
  const fromServer = {
    from: [{ namespaceSelector: {}, podSelector: { matchLabels: serverLabel } }],
  };
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: {
      name: policyName(installId, tenantId, egress),
      labels: own,
      annotations: { [usedNote]: usedAt },
    },
    spec:
      egress === "internet"
        ? {
            podSelector: { matchLabels: { ...own, [label.egress]: egress } },
            policyTypes: ["Egress"],
            egress: internet,
          }
        : {
            podSelector: { matchLabels: own },
            policyTypes: ["Ingress", "Egress"],
            ingress: [fromServer],
            egress: [],
          },
  };
}
