import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import Docker from "dockerode";

/** What there is of an installation's containers, seen from outside of any server. */
export interface Sight {
  /** Containers in any state, by name. */
  containers: string[];
  /** Networks of tenants, by name. */
  networks: string[];
  /** Images of snapshots and drafts of them, by name; those without a name by their id. */
  images: string[];
  /** Processes of containers that are plain processes. */
  processes: string[];
}

/** An engine as its owner sees it, who knows nothing of leases. */
export interface Eyes {
  look(): Promise<Sight>;
  /** Removes all of it. */
  clear(): Promise<void>;
}

/** A client of the engine at an address such as `unix:///var/run/docker.sock`. */
export function connectDocker(host: string): Docker {
  const socketPath = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (socketPath !== undefined) return new Docker({ socketPath });
  const { hostname, port } = new URL(host);
  return new Docker({ host: hostname, port: Number(port) || 2375, protocol: "http" });
}

/** Of a Docker Engine: all that carries the installation's label or name. */
export function dockerEyes(host: string, installId: string): Eyes {
  const docker = connectDocker(host);
  const label = [`plimsoll.install=${installId}`];
  const containers = () => docker.listContainers({ all: true, filters: { label } });
  const networks = () => docker.listNetworks({ filters: { label } });
  const images = async () => {
    const all = await docker.listImages({ all: true });
    return all.filter(({ Labels, RepoTags }) => {
      const isNamed = (RepoTags ?? []).some((tag) => tag.startsWith(`plimsoll/${installId}/`));
      return isNamed || Labels?.["plimsoll.install"] === installId;
    });
  };
  const nameOf = ({ Id, RepoTags }: Docker.ImageInfo) =>
    (RepoTags ?? []).find((tag) => !tag.startsWith("<none>")) ?? Id;
  return {
    async look() {
      const [made, joined, kept] = await Promise.all([containers(), networks(), images()]);
      return {
        containers: made.map(({ Names, Id }) => Names?.[0]?.slice(1) ?? Id),
        networks: joined.map(({ Name }) => Name),
        images: kept.map(nameOf),
        processes: [],
      };
    },
    async clear() {
      for (const { Id } of await containers()) {
        await docker.getContainer(Id).remove({ force: true, v: true });
      }
      for (const { Id } of await networks()) await docker.getNetwork(Id).remove();
      for (const image of await images()) await docker.getImage(nameOf(image)).remove();
    },
  };
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** Pids of processes that were started for, or work in, a folder. */
function processesOf(folder: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
      const place = readlinkSync(`/proc/${name}/cwd`);
      return command.includes(folder) || place.startsWith(folder) ? [Number(name)] : [];
    } catch {
      // It has ended meanwhile, or is nobody's business.
      return [];
    }
  });
}

/** Of the runtime of plain processes, which keeps its containers below the data folder. */
export function processEyes(dataDir: string): Eyes {
  const folder = join(dataDir, "leases");
  const containers = join(folder, "containers");
  const snapshots = join(folder, "snapshots");
  return {
    async look() {
      const made = namesIn(containers);
      return {
        containers: made.filter((name) => /^(plm-|\.new\.|\.gone\.)/.test(name)),
        networks: [],
        images: namesIn(snapshots).flatMap((tenant) =>
          namesIn(join(snapshots, tenant)).map((name) => `${tenant}/${name}`),
        ),
        processes: processesOf(containers).map(String),
      };
    },
    async clear() {
      for (const pid of processesOf(containers)) process.kill(pid, "SIGKILL");
    },
  };
}
