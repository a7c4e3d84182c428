import { workspace } from "./docker-spec.ts";
import type { Proc } from "./process-proc.ts";

/** How a container is fenced in on this machine. */
export interface Way {
  /** "user": in a user namespace; "root": by the server's own root rights. */
  readonly mode: "user" | "root";
  /** Who the container is on the host where the server is root; null for the server's own user. */
  readonly hostUid: number | null;
  /** The processors that it may use, as taskset takes them; null for all. */
  readonly cpus: string | null;
  /** Folders that must not be seen, where they lie below what is seen. */
  readonly hidden: readonly string[];
}

export interface Limits {
  readonly pids: number;
  readonly dataBytes: number;
  readonly fileBytes: number;
  readonly scratchBytes: number;
  readonly uid: number;
  readonly gid: number;
}

/** Who keeps the namespaces: `outer` the first user namespace, `init` all others. */
export interface Live {
  readonly outer: Proc;
  readonly init: Proc;
}

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

export interface StartCommand extends Command {
  /** What builds the fence from inside; it is read from stdin, to the end, before it is run. */
  readonly setUp: string;
}

/** All that the programs which build the fence get; tenants' variables never reach those. */
export const hostEnv = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const quote = (word: string | number): string => `'${String(word).replaceAll("'", `'\\''`)}'`;
const quoteAll = (words: readonly (string | number)[]): string => words.map(quote).join(" ");

/** For setpriv: to be the container's user on the host, where there is one. */
const asHostUser = ({ hostUid }: Pick<Way, "hostUid">): string[] =>
  hostUid === null ? [] : [`--reuid=${hostUid}`, `--regid=${hostUid}`, "--clear-groups"];

const nothingLeft = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"];

function limited(limits: Limits, way: Way): string[] {
  return [
    ...(way.cpus === null ? [] : ["taskset", "-c", way.cpus]),
    "prlimit",
    "--core=0",
    `--nproc=${limits.pids}`,
    `--data=${limits.dataBytes}`,
    `--fsize=${limits.fileBytes}`,
    "--nofile=4096",
    "--",
  ];
}

/** The shell that reads what to run from descriptor 3, so that no list of processes shows it. */
const told = ["/bin/sh", "-c", 'eval "$(cat <&3)"'];

/** The file system that a container sees: the host's programs, and nothing of its data. */
const rootFileSystem = ({ scratchBytes, uid, gid }: Limits, hidden: readonly string[]) => `
ro() {
  mounts=$(findmnt -nro TARGET,VFS-OPTIONS --submounts "$1")
  while read -r at flags; do
    mount -o "remount,bind,$flags,ro,nosuid,nodev" "$at"
  done <<END
$mounts
END
}
for R in /mnt /srv /media /var/tmp /tmp; do [ -d $R ] && break; done
mount -t tmpfs -o size=4m,mode=755,nosuid,nodev plimsoll $R
mkdir $R/usr $R/etc $R/proc $R/dev $R/tmp $R/sys $R/old $R${workspace}
mount -c --bind workspace $R${workspace}
mount -o remount,bind,nosuid,nodev $R${workspace}
for d in usr bin sbin lib lib32 lib64 libx32 etc/alternatives etc/ssl/certs; do
  if [ -L /$d ]; then ln -s "$(readlink /$d)" $R/$d
  elif [ -d /$d ]; then
    mkdir -p $R/$d
    mount --rbind /$d $R/$d
    ro $R/$d
  fi
done
for d in ${quoteAll(hidden)}; do
  if [ -d "$R$d" ]; then mount -t tmpfs -o ro,size=4k,mode=0 hidden "$R$d"; fi
done
if [ -f /etc/ld.so.cache ]; then cat /etc/ld.so.cache > $R/etc/ld.so.cache; fi
echo 'root:x:0:0:root:/:/bin/sh' > $R/etc/passwd
echo 'root:x:0:' > $R/etc/group
if [ ${uid} != 0 ]; then
  echo 'lease:x:${uid}:${gid}:lease:${workspace}:/bin/sh' >> $R/etc/passwd
  echo 'lease:x:${gid}:' >> $R/etc/group
fi
printf '127.0.0.1 localhost\\n::1 localhost\\n' > $R/etc/hosts
mount -t proc -o nosuid,nodev,noexec proc $R/proc
mount -t tmpfs -o size=${scratchBytes},mode=1777,nosuid,nodev tmp $R/tmp
mkdir $R/dev/pts $R/dev/shm
mount -t tmpfs -o size=${scratchBytes},mode=1777,nosuid,nodev,noexec shm $R/dev/shm
for n in null zero full random urandom tty; do
  : > $R/dev/$n
  mount --bind /dev/$n $R/dev/$n
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts $R/dev/pts
ln -s pts/ptmx $R/dev/ptmx
ln -s /proc/self/fd $R/dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/\${n%%:*} $R/dev/\${n#*:}; done
`;

/** A network of its own has a loopback that is down; its flags can be written without any tool. */
const loopbackUp = `
if [ "$NET" = own ]; then
  up() { mount -t sysfs sysfs $R/sys && echo 0x9 > $R/sys/class/net/lo/flags; }
  if up 2>/dev/null || ip link set lo up 2>/dev/null; then echo lo up >&2; fi
  umount $R/sys 2>/dev/null || :
fi
rmdir $R/sys
`;

const enterRoot = `
cd $R
pivot_root . old
umount -l /old
rmdir /old
mount -o remount,bind,ro,nosuid,nodev plimsoll /
`;

function lastStep(way: Way, limits: Limits): string {
  const { uid, gid } = limits;
  const asUser = `unshare --user --map-user=${uid} --map-group=${gid} --keep-caps --`.split(" ");
  const user =
    way.mode === "user"
      ? [...asUser, "setpriv", ...nothingLeft, "--ambient-caps=-all"]
      : ["setpriv", ...asHostUser(way), ...nothingLeft];
  // One user namespace below this one is what the container is put in; it may make none itself.
  const nested = way.mode === "user" ? "echo 1 > /proc/sys/user/max_user_namespaces" : ":";
  // Becoming another user ends the promise to die with the parent, so it is given after that.
  const chain = [...user, "--pdeathsig", "KILL", ...limited(limits, way), ...told];
  return `${nested}\ncd ${workspace}\nexec ${quoteAll(chain)} </dev/null\n`;
}

/** Built inside the namespaces; what it and the programs before it have to say is on stderr. */
function setUp(way: Way, limits: Limits): string {
  return [
    "set -eu",
    "echo 1000 > /proc/self/oom_score_adj",
    "echo net $NET >&2",
    rootFileSystem(limits, way.hidden),
    loopbackUp,
    enterRoot,
    lastStep(way, limits),
  ].join("\n");
}

/**
 * Starts a container's first process, with the folder that holds its `workspace` as working
 * directory. A network is made after the user namespace has its ids, since only then is the
 * loopback's switch the container's own.
 */
export function startCommand(way: Way, limits: Limits): StartCommand {
  const user = way.mode === "user" ? "--user --map-root-user " : "";
  const unshare = `unshare ${user}--mount --pid --ipc --uts --fork --kill-child --`.split(" ");
  const network = `if unshare --net true 2>/dev/null; then
  NET=own exec unshare --net "$@"
fi
NET=host exec "$@"`;
  const builder = ["/bin/sh", "-c", 'eval "$(cat)"'];
  const before = way.mode === "user" ? asHostUser(way) : [];
  const chain = [...unshare, "/bin/sh", "-c", network, "sh", ...builder];
  return {
    program: "setpriv",
    args: [...before, "--pdeathsig", "KILL", ...chain],
    setUp: setUp(way, limits),
  };
}

/** Brings a command into the namespaces of a running container. */
export function enterCommand(way: Way, limits: Limits, { outer, init }: Live): Command {
  const ns = (name: string) => `--${name === "mnt" ? "mount" : name}=/proc/${init.pid}/ns/${name}`;
  const entered = ["mnt", "net", "ipc", "uts", "pid"].map(ns);
  if (way.mode === "root") {
    const inside = [
      "setpriv",
      ...asHostUser(way),
      ...nothingLeft,
      ...limited(limits, way),
      ...told,
    ];
    return { program: "nsenter", args: [...entered, "--", ...inside] };
  }
  const first = ["nsenter", "--preserve-credentials", `--user=/proc/${outer.pid}/ns/user`];
  const second = ["nsenter", "--preserve-credentials", "--user=/proc/1/ns/user", "--"];
  const inside = ["setpriv", "--no-new-privs", "--inh-caps=-all", ...limited(limits, way), ...told];
  const chain = [...first, ...entered, "--", ...second, ...inside];
  return { program: "setpriv", args: [...asHostUser(way), ...chain] };
}

/** Brings a program of the host into nothing but the network of a container. */
export function enterNetworkCommand(way: Way, { outer, init }: Live, command: readonly string[]) {
  const user =
    way.mode === "user" && way.hostUid === null
      ? ["--preserve-credentials", `--user=/proc/${outer.pid}/ns/user`]
      : [];
  return {
    program: "nsenter",
    args: [...user, `--net=/proc/${init.pid}/ns/net`, "--", ...command],
  };
}

/** With nothing but these variables; a program that is not there ends with 127, as in a shell. */
function withEnv(env: Readonly<Record<string, string>>, command: readonly (string | number)[]) {
  const all = { PATH: path, HOME: workspace, ...env };
  const variables = Object.entries(all).map(([name, value]) => `${name}=${value}`);
  return quoteAll(["env", "-i", ...variables, ...command]);
}

type Env = Readonly<Record<string, string>>;

/** From here on stderr, until now the report's, is the program's own, which came as 4. */
const begin = "echo ready >&2; exec 2>&4 4>&- 3<&-";

/**
 * What the first process is told: to be the parent that collects the dead, and to run the program
 * as its child, so that signals reach it as they would anywhere.
 */
export function tellInit(env: Env, command: readonly string[] | null): string {
  // Stands until it is told to end, as an image that waits for leases does.
  const program = command ?? ["/bin/sh", "-c", "while :; do sleep 86400; done"];
  const init = ["/bin/sh", "-c", '"$@"; exit $?', "init", ...program];
  return `${begin}; exec ${withEnv(env, init)}`;
}

/** What a process that enters is told. */
export function tellCommand(env: Env, command: readonly string[]): string {
  const run = ["/bin/sh", "-c", 'exec "$@"', "sh", ...command];
  return `cd ${workspace}; ${begin}; exec ${withEnv(env, run)}`;
}

/**
 * The same at a terminal of its own, whose name comes with the word. What to run is no argument of
 * `script` either: it stays while the program does, for every list of processes to show.
 */
export function tellTerminal(
  env: Env,
  command: readonly string[],
  size: { columns: number; rows: number },
): string {
  const run = ["/bin/sh", "-c", 'exec "$@"', "sh", ...command];
  const inner = [
    `stty rows ${size.rows} cols ${size.columns} echo; echo "ready $(tty)" >&4`,
    `exec 3<&- 4>&- 5<&-; exec ${withEnv({ TERM: "xterm-256color", ...env }, run)}`,
  ].join("\n");
  const session = ["env", "-i", `PATH=${path}`, "SHELL=/bin/sh", "script", "-qefc"];
  const chain = quoteAll([...session, 'eval "$(cat <&5)"', "/dev/null"]);
  let end = "END";
  while (inner.includes(end)) end += "D";
  return `cd ${workspace}; exec ${chain} 4>&2 5<<'${end}'\n${inner}\n${end}\n`;
}
