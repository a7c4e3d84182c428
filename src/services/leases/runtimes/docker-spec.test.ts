import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  cpusetOf,
  cpusIn,
  createBody,
  egressOf,
  type ImageFacts,
  identityOf,
  labelsOf,
  memoryPlaces,
  portsOf,
  specFault,
  type Surroundings,
} from "./docker-spec.ts";
import type { ContainerSpec } from "./types.ts";

const image: ImageFacts = {
  id: "sha256:1",
  user: "",
  workingDir: "",
  envNames: ["PATH"],
  volumes: [],
};

const spec: ContainerSpec = {
  name: "plm-i-l-1",
  identity: { installId: "i", tenantId: "t", leaseId: "l", generation: 1 },
  image: "busybox@sha256:1",
  command: ["serve", "--port", "80"],
  env: { A: "1=2", B: "" },
  cpuMillis: 500,
  memoryMb: 512,
  diskMb: null,
  pidsMax: 100_000,
  user: null,
  writable: false,
  egress: "none",
  ociRuntime: null,
  ports: [],
};

const around: Surroundings = {
  image,
  user: "65534:65534",
  network: null,
  nameServers: ["1.1.1.1"],
  cpuset: "0",
  canLimitDisk: true,
  hasIpv6: true,
};

type Body = Record<string, unknown> & { HostConfig: Record<string, unknown> };
const bodyOf = (changes: Partial<ContainerSpec> = {}, other: Partial<Surroundings> = {}): Body =>
  createBody({ ...spec, ...changes }, { ...around, ...other }) as Body;

// Guards against a lease that is given a piece of the host, by what it asks or by mistake.
test("whatever is asked, nothing of the host is given and every limit is set", () => {
  const asked = fc.record({
    command: fc.option(fc.array(fc.string(), { minLength: 1 })),
    env: fc.dictionary(fc.string(), fc.string()),
    cpuMillis: fc.integer({ min: 1, max: 64_000 }),
    memoryMb: fc.integer({ min: 6, max: 1_000_000 }),
    diskMb: fc.option(fc.integer({ min: 1, max: 1_000_000 })),
    pidsMax: fc.integer({ min: 1, max: 1_000_000 }),
    writable: fc.boolean(),
    egress: fc.constantFrom("none" as const, "internet" as const),
    ports: fc.array(fc.integer({ min: 1, max: 65_535 })),
  });
  const given = new Set([
    ..."NetworkMode Dns Sysctls ReadonlyRootfs Tmpfs ShmSize StorageOpt Init CapDrop".split(" "),
    ..."SecurityOpt Privileged IpcMode CgroupnsMode PidsLimit Memory MemorySwap".split(" "),
    ..."OomScoreAdj NanoCpus CpusetCpus Ulimits LogConfig RestartPolicy AutoRemove".split(" "),
  ]);
  fc.assert(
    fc.property(asked, fc.option(fc.constant("plm-net")), (changes, network) => {
      const { HostConfig: host, ...config } = bodyOf(changes, { network });
      for (const member of Object.keys(host)) assert(given.has(member), member);
      assert.deepEqual(host.CapDrop, ["ALL"]);
      assert.deepEqual(host.SecurityOpt, ["no-new-privileges"]);
      assert.deepEqual([host.Privileged, host.Init, host.AutoRemove], [false, true, false]);
      assert.deepEqual([host.IpcMode, host.CgroupnsMode], ["private", "private"]);
      assert.equal(host.NetworkMode, network ?? "none");
      assert.equal(host.Memory, host.MemorySwap);
      assert((host.PidsLimit as number) <= 512);
      assert.equal(host.ReadonlyRootfs, !changes.writable);
      assert(!("ExposedPorts" in config) && !("Volumes" in config));
    }),
  );
});

// Guards against another program, user or environment than was asked for.
test("program, user, folder and environment are those that were asked for", () => {
  const body = bodyOf();
  assert.deepEqual([body.Entrypoint, body.Cmd], [["serve"], ["--port", "80"]]);
  assert.deepEqual(body.Env, ["A=1=2", "B=", "HOME=/workspace"]);
  assert.deepEqual(
    [body.Image, body.User, body.WorkingDir],
    [image.id, "65534:65534", "/workspace"],
  );
  assert.deepEqual(body.Healthcheck, { Test: ["NONE"] });
  const own = bodyOf(
    { command: null, env: { HOME: "/home/me" } },
    { image: { ...image, workingDir: "/app" } },
  );
  assert.deepEqual(["Entrypoint" in own, "Cmd" in own, own.WorkingDir], [false, false, "/app"]);
  assert.deepEqual(own.Env, ["HOME=/home/me"]);
  assert.deepEqual(bodyOf({ env: {} }, { image: { ...image, envNames: ["HOME"] } }).Env, []);
  assert.equal(bodyOf({ ociRuntime: "runsc" }).HostConfig.Runtime, "runsc");
  assert(!("Runtime" in body.HostConfig));
});

// Guards against names that are asked of the host's own resolver, which answers for the inside too.
test("a container without egress has nobody to ask for names, and none has IPv6", () => {
  const closed = bodyOf({ ports: [80] }, { network: "plm-net" }).HostConfig;
  assert.deepEqual(closed.Dns, ["198.51.100.53"]);
  assert.deepEqual(closed.Sysctls, { "net.ipv6.conf.all.disable_ipv6": "1" });
  const open = bodyOf({ egress: "internet" }, { network: "plm-net", hasIpv6: false }).HostConfig;
  assert.deepEqual(open.Dns, ["1.1.1.1"]);
  assert(!("Sysctls" in open));
});

// Guards against places in memory that are together larger than the memory, or are not limited.
test("places in memory never take more than three quarters of it", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 16, max: 100_000 }),
      fc.option(fc.integer({ min: 1, max: 100_000 })),
      fc.uniqueArray(fc.constantFrom("/data", "/a", "/tmp", "/workspace", "/b"), { maxLength: 4 }),
      (memoryMb, diskMb, volumes) => {
        const { places, shmMb } = memoryPlaces({ memoryMb, diskMb }, volumes);
        const sizes = Object.values(places);
        const totalMb = sizes.reduce((sum, each) => sum + each, shmMb);
        assert(sizes.every((size) => Number.isInteger(size) && size >= 1));
        assert(totalMb <= Math.max(16, (memoryMb * 3) / 4), `${totalMb} of ${memoryMb}`);
        for (const path of ["/run", "/tmp", "/workspace", ...volumes]) assert(path in places);
      },
    ),
  );
  assert.deepEqual(memoryPlaces({ memoryMb: 512, diskMb: null }, []), {
    places: { "/run": 32, "/tmp": 64, "/workspace": 128 },
    shmMb: 32,
  });
  const tmpfs = bodyOf({ memoryMb: 128 }).HostConfig.Tmpfs as Record<string, string>;
  const expected = "rw,exec,nosuid,nodev,mode=1777,uid=65534,size=16m,nr_inodes=4096";
  assert.equal(tmpfs["/tmp"], expected);
});

// Guards against an image's volume on the host's disk, where nothing limits it.
test("an image's volumes are in memory, a writable container's too", () => {
  const withVolume = { image: { ...image, volumes: ["/data"] } };
  const writable = bodyOf({ writable: true, diskMb: 100 }, withVolume).HostConfig;
  assert.deepEqual(Object.keys(writable.Tmpfs as object), ["/data"]);
  assert.deepEqual(writable.StorageOpt, { size: "100m" });
  assert.deepEqual(Object.keys(bodyOf({}, withVolume).HostConfig.Tmpfs as object).sort(), [
    "/data",
    "/run",
    "/tmp",
    "/workspace",
  ]);
  assert(
    !("StorageOpt" in bodyOf({ writable: true, diskMb: 9 }, { canLimitDisk: false }).HostConfig),
  );
  assert(!("StorageOpt" in bodyOf({ diskMb: 100 }).HostConfig));
});

// Guards against a container taken for a lease's because an image carries its labels.
test("a container is ours by its labels and by the name in them", () => {
  const labels = labelsOf({ ...spec, egress: "internet", ports: [80, 443] });
  assert.deepEqual(identityOf(labels, spec.name), spec.identity);
  assert.deepEqual([egressOf(labels), portsOf(labels)], ["internet", [80, 443]]);
  assert.deepEqual([egressOf(null), portsOf({}), portsOf(labelsOf(spec))], ["none", [], []]);
  assert.equal(identityOf(labels, "another-name"), null);
  assert.equal(identityOf({ ...labels, "plimsoll.generation": "x" }, spec.name), null);
  assert.equal(identityOf({}, ""), null);
  assert.equal(identityOf(null, spec.name), null);
});

// Guards against programs that count 64 processors and start as many threads for half of one.
test("a container sees as many processors as its share fills, and they take turns", () => {
  const cpus = [0, 1, 2, 3];
  assert.deepEqual(
    [1, 1_000, 1_001, 2_500, 64_000].map((cpuMillis) => cpusetOf(cpuMillis, cpus, 0)),
    ["0", "0", "0,1", "0,1,2", "0,1,2,3"],
  );
  assert.deepEqual([cpusetOf(2_000, cpus, 3), cpusetOf(500, cpus, 7)], ["0,3", "3"]);
  assert.equal(cpusetOf(3_000, [9, 11], 1), "9,11");
  assert.deepEqual(cpusIn("0-2,6"), [0, 1, 2, 6]);
  assert.deepEqual([cpusIn(""), cpusIn("a,1-")], [[], []]);
});

// Guards against requests that the engine would take in another sense than was meant.
test("what can't be meant is refused before the engine is asked", () => {
  const fault = (changes: Partial<ContainerSpec>, volumes: string[] = []) =>
    specFault({ ...spec, ...changes }, { ...image, volumes });
  assert.equal(fault({}), null);
  assert.equal(fault({ user: "1000:1000", command: null }, ["/data"]), null);
  for (const user of ["root", "1000:", "-1", "", "0:0:0", "1 000"]) {
    assert.match(fault({ user }) ?? "", /is not a user/, user);
  }
  assert.match(fault({ command: [] }) ?? "", /no program/);
  assert.match(fault({ command: [""] }) ?? "", /no program/);
  for (const port of [0, 65_536, 1.5]) assert.match(fault({ ports: [port] }) ?? "", /a port is/);
  for (const name of ["", "A B", "1A", "A=B"]) {
    assert.match(fault({ env: { [name]: "x" } }) ?? "", /not a name/, name);
  }
  for (const path of ["/", "/proc", "/sys/fs", "/dev/shm"]) {
    assert.match(fault({}, [path]) ?? "", /volume at/, path);
  }
  assert.equal(fault({}, ["/devices"]), null);
  assert.match(
    fault(
      {},
      Array.from({ length: 17 }, (_, index) => `/v${index}`),
    ) ?? "",
    /16/,
  );
});
