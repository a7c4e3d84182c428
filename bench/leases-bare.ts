import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type Docker from "dockerode";

const run = promisify(execFile);
const benchLabel = "plimsoll.bench";

/** A container as a lease has it, to be made again without a server. */
export interface Model {
  config: Docker.ContainerCreateOptions;
  /** The same for `docker run`. */
  flags: string[];
  image: string;
  command: string[];
}

/** What a lease's container was made of, read from the engine. */
export async function modelOf(docker: Docker, containerName: string): Promise<Model> {
  const {
    Config: config,
    HostConfig: host,
    Image,
  } = await docker.getContainer(containerName).inspect();
  const { Env, User, WorkingDir, Hostname, Entrypoint, Cmd } = config;
  const entrypoint = typeof Entrypoint === "string" ? [Entrypoint] : (Entrypoint ?? []);
  const [program = "", ...first] = entrypoint;
  const tmpfs = Object.entries((host.Tmpfs ?? {}) as Record<string, string>);
  const logs = Object.entries((host.LogConfig?.Config ?? {}) as Record<string, string>);
  const flags = [
    "--init --read-only --cap-drop=ALL --security-opt=no-new-privileges --ipc=private",
    "--cgroupns=private --no-healthcheck --log-driver=json-file --ulimit=core=0:0",
    `--network=${host.NetworkMode} --user=${User} --workdir=${WorkingDir} --hostname=${Hostname}`,
    `--pids-limit=${host.PidsLimit} --memory=${host.Memory} --memory-swap=${host.MemorySwap}`,
    `--cpus=${(host.NanoCpus ?? 0) / 1e9} --cpuset-cpus=${host.CpusetCpus}`,
    `--shm-size=${host.ShmSize} --oom-score-adj=${host.OomScoreAdj}`,
  ].flatMap((words) => words.split(" "));
  for (const [path, options] of tmpfs) flags.push("--tmpfs", `${path}:${options}`);
  for (const [name, value] of logs) flags.push("--log-opt", `${name}=${value}`);
  for (const variable of Env ?? []) flags.push("--env", variable);
  return {
    config: {
      Image,
      Env,
      User,
      WorkingDir,
      Hostname,
      Entrypoint,
      Cmd,
      Healthcheck: { Test: ["NONE"] },
      Labels: { [benchLabel]: "1" },
      HostConfig: host,
    },
    flags: [...flags, "--entrypoint", program],
    image: Image,
    command: [...first, ...(Cmd ?? [])],
  };
}

/** Creates and starts it by the engine's API, which is all that a lease needs of the engine. */
export async function runByApi(docker: Docker, { config }: Model): Promise<string> {
  const container = await docker.createContainer({ ...config, name: freshName() });
  await container.start();
  return container.id;
}

/** The same by the command line: a process of its own, which asks the engine for the same. */
export async function runByCli(host: string, { flags, image, command }: Model): Promise<string> {
  const label = `--label=${benchLabel}=1`;
  const args = ["-H", host, "run", "-d", "--name", freshName(), label, ...flags, image, ...command];
  const { stdout } = await run("docker", args);
  return stdout.trim();
}

/** Whether there is a command line to compare with. */
export async function hasCli(): Promise<boolean> {
  return run("docker", ["--version"]).then(
    () => true,
    () => false,
  );
}

let made = 0;

function freshName(): string {
  made += 1;
  return `bench-${process.pid}-${made}`;
}

/** Removes a container that was made here. */
export const remove = (docker: Docker, id: string): Promise<unknown> =>
  docker.getContainer(id).remove({ force: true, v: true });

/** Removes whatever is left of this process's. */
export async function removeAll(docker: Docker): Promise<void> {
  const filters = { label: [`${benchLabel}=1`], name: [`bench-${process.pid}-`] };
  for (const { Id } of await docker.listContainers({ all: true, filters })) {
    await remove(docker, Id);
  }
}
