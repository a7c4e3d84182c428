import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#kernel/clock.ts";
import { splitList } from "#kernel/config/read.ts";
import type { KernelDeps } from "#kernel/service.ts";
import type { LeasesConfig } from "../rules/config.ts";
import { dockerRuntime } from "../runtimes/docker.ts";
import { runtimeErrors } from "../runtimes/errors.ts";
import { kubernetesRuntime } from "../runtimes/kubernetes.ts";
import { processRuntime } from "../runtimes/process.ts";
import type { Runtime, RuntimeName } from "../runtimes/types.ts";
import type { OpenRuntime } from "./fleet.ts";

/** Variables that only one of the runtimes has a use for. */
export const runtimeVariables = [
  "LEASES_DOCKER_CERTS",
  "LEASES_DOCKER_DNS",
  "LEASES_DOCKER_SUBNETS",
  "LEASES_KUBERNETES_NAMESPACE",
  "LEASES_PROCESS_IN_PRODUCTION",
] as const;

const usualDockerHost = "unix:///var/run/docker.sock";
const usualNamespace = "plimsoll-leases";

export interface Opening extends Pick<KernelDeps, "config" | "random" | "policies" | "log"> {
  readonly leases: LeasesConfig;
  readonly installId: string;
}

/** Opens the real runtimes, each with what it needs of the process. */
export function openerOf(opening: Opening): OpenRuntime {
  const { config, random, policies, log, leases, installId } = opening;
  const { service: told } = config;
  // Containers live in real time, whatever clock a test holds.
  const common = { installId, random, policies, log, clock: systemClock };
  const openers: Readonly<Record<RuntimeName, (place: string) => Runtime>> = {
    docker: (place) =>
      dockerRuntime({
        ...common,
        host: place || leases.dockerHost || usualDockerHost,
        ...(told.LEASES_DOCKER_CERTS && { tls: certificatesIn(told.LEASES_DOCKER_CERTS) }),
        ...(told.LEASES_DOCKER_DNS && { nameServers: splitList(told.LEASES_DOCKER_DNS) }),
        ...(told.LEASES_DOCKER_SUBNETS && { subnetPool: told.LEASES_DOCKER_SUBNETS }),
      }),
    kubernetes: (place) =>
      kubernetesRuntime({
        ...common,
        kubeconfig: place || leases.kubeconfig,
        namespace: told.LEASES_KUBERNETES_NAMESPACE ?? usualNamespace,
      }),
    process: () =>
      processRuntime({
        ...common,
        folder: join(config.dataDir, "leases"),
        isProduction: config.env === "production",
        isAllowedInProduction: told.LEASES_PROCESS_IN_PRODUCTION === "1",
        hidden: [join(homedir(), ".plimsoll")],
      }),
  };
  return (name, place) => openers[name](place);
}

/** Docker's own names: `ca.pem`, `cert.pem` and `key.pem`. */
function certificatesIn(folder: string): { ca: string; cert: string; key: string } {
  try {
    const read = (name: string) => readFileSync(join(folder, `${name}.pem`), "utf8");
    return { ca: read("ca"), cert: read("cert"), key: read("key") };
  } catch (cause) {
    const detail = "LEASES_DOCKER_CERTS names no folder with ca.pem, cert.pem and key.pem.";
    throw runtimeErrors.unavailable({ detail, cause });
  }
}
