import type { Connection } from "./kubernetes-connection.ts";
import { type PodPlace, runExec } from "./kubernetes-exec.ts";
import { bytesOf } from "./kubernetes-pod.ts";
import type { Metadata, Pod } from "./kubernetes-types.ts";
import { isGone } from "./kubernetes-errors.ts";
import type { Stats } from "./types.ts";

const timeoutMs = 5_000;
const outputBytesMax = 10_000;

type Usage = Pick<Stats, "cpuSeconds" | "memoryBytes" | "pids">;

/** What the kernel counts for the container, in both of the ways that it shows it. */
const script = `cd /sys/fs/cgroup 2>/dev/null || exit 0
for f in cpu.stat memory.current pids.current cpuacct/cpuacct.usage \
memory/memory.usage_in_bytes pids/pids.current; do
  [ -r "$f" ] && sed "s|^|$f |" "$f"
done 2>/dev/null
exit 0`;

/** Takes the kernel's counters apart; null for what is not among them. */
export function usageIn(text: string): Usage {
  const find = (pattern: RegExp) => {
    const found = pattern.exec(text)?.[1];
    return found === undefined ? null : Number(found);
  };
  const microseconds = find(/^cpu\.stat usage_usec (\d+)$/m);
  const nanoseconds = find(/^cpuacct\/cpuacct\.usage (\d+)$/m);
  return {
    cpuSeconds: microseconds === null ? nanoseconds && nanoseconds / 1e9 : microseconds / 1_000_000,
    memoryBytes: find(/^memory(?:\.current|\/memory\.usage_in_bytes) (\d+)$/m),
    pids: find(/^pids(?:\.current|\/pids\.current) (\d+)$/m),
  };
}

interface PodMetrics {
  readonly metadata: Metadata;
  readonly containers: readonly { readonly usage: { readonly memory?: string } }[];
}

/** What the metrics API says, where there is one; of the processor it only knows the pace. */
async function memoryOf(connection: Connection, name: string): Promise<number | null> {
  const { namespace } = connection.options;
  try {
    const { status, body } = await connection.ask<PodMetrics>("measure the pod", {
      method: "GET",
      path: `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods/${name}`,
      accept: [403, 404, 503],
    });
    const memory = status === 200 ? body.containers[0]?.usage.memory : undefined;
    return memory === undefined ? null : bytesOf(memory);
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** What a pod uses; null for what neither the container nor the cluster tells. */
export async function podStats(
  connection: Connection,
  place: PodPlace,
  { metadata, spec }: Pod,
): Promise<Stats> {
  const command = ["/bin/sh", "-c", script];
  const request = { command, stdin: null, timeoutMs, outputBytesMax };
  const { stdout } = await runExec(connection, place, request);
  const usage = usageIn(stdout.toString("utf8"));
  const memoryBytes = usage.memoryBytes ?? (await memoryOf(connection, metadata.name));
  const limit = spec.containers[0]?.resources?.limits?.memory ?? "0";
  return {
    ...usage,
    memoryBytes,
    memoryLimitBytes: bytesOf(limit),
    networkInBytes: null,
    networkOutBytes: null,
    diskBytes: null,
  };
}
