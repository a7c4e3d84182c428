import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { type DockerHouse, dockerHouse } from "./docker-fixture.ts";

const never = new AbortController().signal;

/** Each line of shell is tried, and must fail. */
async function allFail(house: DockerHouse, id: string, attempts: Record<string, string>) {
  const tries = Object.values(attempts).map((script) => `( ${script} ) 2>&1; echo "code $?";`);
  const { stdout } = await house.sh(id, tries.join("\n"));
  const outcomes = stdout.split(/(?<=code \d+)\n/);
  for (const [index, what] of Object.keys(attempts).entries()) {
    const [, said, exitCode] = /^([^]*)code (\d+)$/.exec(outcomes[index] ?? "") ?? [];
    assert(exitCode !== undefined, `${what} was not tried`);
    assert.notEqual(exitCode, "0", `${what} succeeded: ${said}`);
    assert.doesNotMatch(said ?? "", /not found/, `${what} was not tried: ${said}`);
  }
}

/** A program for Linux on x86-64 of a few bytes of machine code: ELF with one segment. */
function programOf(code: string): Buffer {
  const header = Buffer.alloc(120);
  const start = 0x40_0000n;
  header.write("\x7fELF\x02\x01\x01", 0, "latin1");
  for (const [offset, value] of [
    [16, 2],
    [18, 62],
    [52, 64],
    [54, 56],
    [56, 1],
  ] as const) {
    header.writeUInt16LE(value, offset);
  }
  for (const [offset, value] of [
    [20, 1],
    [64, 1],
    [68, 5],
  ] as const) {
    header.writeUInt32LE(value, offset);
  }
  const program = Buffer.concat([header, Buffer.from(code, "hex")]);
  const size = BigInt(program.length);
  for (const [offset, value] of [
    [24, start + 120n],
    [32, 64n],
    [80, start],
    [88, start],
    [96, size],
    [104, size],
    [112, 4_096n],
  ] as const) {
    program.writeBigUInt64LE(value, offset);
  }
  return program;
}

const forbidden = {
  "writing to the root": "touch /etc/mine",
  "replacing a program": "cp /bin/busybox /bin/sh",
  mounting: "mount -t tmpfs none /tmp",
  "remounting the root": "mount -o remount,rw /",
  "changing a kernel setting": "echo evil >/proc/sys/kernel/core_pattern",
  "changing its own network's settings": "echo 1 >/proc/sys/net/ipv4/ip_forward",
  "the magic key": "echo b >/proc/sysrq-trigger",
  "making a device": "mknod /tmp/disk b 254 0",
  "reading the host's memory": "head -c 1 /dev/mem || head -c 1 /proc/kcore | grep -q .",
  "reading the host's disk": "head -c 1 /dev/vda || head -c 1 /dev/sda",
  "the kernel's log": "dmesg",
  "a raw socket": "ping -c 1 -W 1 127.0.0.1",
  "a new user namespace": "unshare -U true",
  "a new mount namespace": "unshare -m true",
  "another root": "chroot / true",
  "a name for the host": "hostname mine",
  "the clock": "date -s 2001-01-01; test $(date +%Y) -le 2001",
  "an address": "ip addr add 10.9.9.9/32 dev lo",
  priority: "renice -n -5 $$",
  "the engine": "test -S /var/run/docker.sock || test -S /run/docker.sock",
  swap: "swapon /tmp/file",
  "a kernel module": "insmod /tmp/module.ko",
} as const;

// Guards against a container that is a way into the host.
test("whatever is forbidden fails from inside, for nobody and for root alike", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const [plain, root] = [await house.run(), await house.run({ user: "0:0" })];
  for (const { id } of [plain, root]) await allFail(house, id, forbidden);
  const others = await house.sh(plain.id, "kill -9 1 2>&1; chown 0:0 /tmp/. 2>&1; echo $?; id -u");
  assert.match(others.stdout, /65534\n$/);
  assert.equal((await house.runtime.inspect(plain.id))?.state, "running");
  // Root without capabilities may not even read what is another's.
  await allFail(house, root.id, {
    "owning what is another's": "touch /tmp/a && chown 1000 /tmp/a",
    "becoming another": "start-stop-daemon -S -c 1000:1000 -x /bin/true",
  });
});

// Guards against isolation that is asked for and not in force.
test("the kernel says of the process what the report says of the container", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id, isolation } = await house.run();
  const { stdout } = await house.sh(
    id,
    "grep -E '^(Uid|Gid|Cap...|NoNewPrivs|Seccomp):' /proc/self/status; nproc; ulimit -c; " +
      "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; ls /sys/class/net; " +
      "readlink /proc/self/ns/net /proc/1/ns/net; env",
  );
  const none = "0000000000000000";
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    assert.match(stdout, new RegExp(`${set}:\\t${none}`));
  }
  assert.match(stdout, /Uid:\t65534\t65534\t65534\t65534\nGid:\t65534/);
  assert.match(stdout, /NoNewPrivs:\t1\nSeccomp:\t2\n1\n0\n64\n(docker-init\n)?lo\n/);
  assert.doesNotMatch(stdout, /PLIMSOLL_(?!EXEC)|DATABASE|MASTER/);
  const { notes: _, ...told } = isolation;
  assert.deepEqual(told, {
    runtime: "runc",
    strength: "container",
    user: "65534:65534",
    readOnlyRoot: true,
    capabilities: [],
    noNewPrivileges: true,
    seccomp: "default",
    userNamespace: told.userNamespace,
    network: "none",
    egress: "none",
    memoryMb: 128,
    cpuMillis: 1_000,
    pidsMax: 64,
    diskMb: 64,
  });
  const raw = await house.engine.ask<{ HostConfig: Record<string, unknown> }>("look", {
    method: "GET",
    path: `/containers/${id}/json`,
  });
  const { HostConfig: host } = raw.body;
  assert.deepEqual(
    [host.Memory, host.MemorySwap, host.NanoCpus, host.Binds, host.Devices, host.PortBindings],
    [128 * 2 ** 20, 128 * 2 ** 20, 1e9, null, null, null],
  );
  assert.deepEqual(host.LogConfig, {
    Type: "json-file",
    Config: { "max-size": "10m", "max-file": "2" },
  });
});

// Guards against a fork bomb that takes the host's last process, or can't be ended.
test("a fork bomb stays within its processes, and is ended from outside", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  if (process.arch !== "x64") return t.skip(`has no bomb for ${process.arch}`);
  const { runtime } = house;
  const { id } = await house.run({ pidsMax: 48 });
  // fork, for ever, in every process that there is.
  const bomb = programOf("b8390000000f05ebf7");
  await runtime.putFile(id, "bomb", Readable.from([bomb]), 1_000);
  const exploding = house.sh(id, "chmod +x bomb && ./bomb", { timeoutMs: 3_000 });
  let most = 0;
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) most = Math.max(most, (await runtime.stats(id)).pids ?? 0);
  })();
  const { timedOut } = await exploding;
  over.abort();
  await watching;
  assert.equal(timedOut, true);
  assert(most > 40 && most <= 48, `${most} processes at once`);
  const { exitCode, stdout } = await house.sh(id, "ps");
  assert.equal(exitCode, 0);
  assert.doesNotMatch(stdout, /bomb/);
  assert.equal((await house.run({ pidsMax: 100_000 })).isolation.pidsMax, 512);
});

// Guards against one container that takes the host's memory, or ends without anybody knowing why.
test("a memory bomb ends its container alone; full places only refuse", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const script =
    "{ dd if=/dev/zero of=/workspace/a; dd if=/dev/zero of=/tmp/a; } 2>/dev/null; sleep 60";
  const [full, hungry] = [
    await house.run({ memoryMb: 64, command: ["sh", "-c", script] }),
    await house.run({ memoryMb: 64, command: ["sh", "-c", "tail /dev/zero"] }),
  ];
  for await (const _ of house.runtime.logs(hungry.id, {
    after: null,
    tail: null,
    follow: true,
    signal: never,
  })) {
    assert.fail("it says nothing");
  }
  const end = await house.runtime.inspect(hungry.id);
  assert.deepEqual([end?.state, end?.outOfMemory, end?.exitCode], ["exited", true, 137]);
  const { stdout } = await house.sh(full.id, "dd if=/dev/zero of=/dev/shm/a bs=1M 2>&1; df -m");
  assert.match(stdout, /No space left on device/);
  assert.equal((await house.runtime.inspect(full.id))?.state, "running");
  const inodes = await house.sh(
    full.id,
    "i=0; while [ $i -lt 20000 ]; do : >/run/$i || exit 9; i=$((i + 1)); done",
  );
  assert.notEqual(inodes.exitCode, 0, "a place has no limit for the number of files");
});

/**
 * The same image as a container without our rules would run it: the bit does make root of nobody.
 */
async function withoutRules({ engine }: DockerHouse, image: string): Promise<number> {
  const { body } = await engine.ask<{ Id: string }>("create", {
    method: "POST",
    path: "/containers/create",
    body: { Image: image, Entrypoint: ["/whoami"], Cmd: [], User: "65534:65534" },
  });
  const path = `/containers/${body.Id}`;
  await engine.ask("start", { method: "POST", path: `${path}/start` });
  const waiting = { method: "POST", path: `${path}/wait` } as const;
  const end = await engine.ask<{ StatusCode: number }>("wait", waiting);
  await engine.ask("remove", { method: "DELETE", path });
  return end.body.StatusCode;
}

// Guards against a program in an image that makes root of whoever runs it.
test("a set-user-ID program gives nobody root's rights", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  if (process.arch !== "x64") return t.skip(`has no program for ${process.arch}`);
  // Exits with the number of its effective user.
  const program = programOf("b86b0000000f0589c7b83c0000000f05");
  const { runtime } = house;
  const { id } = await house.run({ writable: true, user: "0:0" });
  await runtime.putFile(id, "/whoami", Readable.from([program]), 1_000);
  const set = await house.sh(id, "chmod 4755 /whoami && ls -l /whoami");
  assert.match(set.stdout, /^-rwsr-xr-x +1 0 /);
  const { image } = await runtime.snapshot(id, {
    tenantId: "tenant-a",
    snapshotId: "suid",
    scrubEnv: [],
  });
  assert.equal(await withoutRules(house, image), 0, "the program itself does not work");
  for (const writable of [false, true]) {
    const restored = await house.run({ image, writable });
    const { exitCode } = await house.sh(restored.id, "/whoami");
    assert.equal(exitCode, 65_534 % 256);
  }
});

// Guards against a container that fills the host's disk, where the engine's storage has no quota.
test("who writes more than it may is ended, and nobody else is", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime } = house;
  const greedy = await house.run({ writable: true, diskMb: 4 });
  const modest = await house.run({ writable: true, diskMb: 64 });
  const memory = await house.run({ memoryMb: 128, diskMb: 64 });
  for (const { id } of [greedy, modest, memory]) {
    await house.sh(id, "head -c 12000000 /dev/zero >/workspace/file");
  }
  await runtime.tidy?.();
  // An engine with a quota has refused it.
  const end = greedy.isolation.diskMb === null ? "exited" : "running";
  const states = [greedy, modest, memory].map(async ({ id }) => (await runtime.inspect(id))?.state);
  assert.deepEqual(await Promise.all(states), [end, "running", "running"]);
});
