import assert from "node:assert/strict";
import { test } from "node:test";
import { dockerHouse } from "./docker-fixture.ts";
import { problemOf, startFault } from "./docker-errors.ts";
import { cpusFromRefusal, type EngineInfo, factsOf, notesOn, strengthOf } from "./docker-facts.ts";
import { splitReference } from "./docker-images.ts";
import { containerOf, type Inspection, isolationOf } from "./docker-isolation.ts";
import { numbersOf, removeLookups, userOf } from "./docker-users.ts";

const info: EngineInfo = {
  ServerVersion: "29.1.0",
  OSType: "linux",
  NCPU: 4,
  Driver: "overlay2",
  SecurityOptions: ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
  Runtimes: { runc: {}, runsc: {} },
  DefaultRuntime: "runc",
};

const seen: Inspection = {
  Id: "abc",
  Name: "/name",
  Image: "sha256:1",
  Created: "2026-01-02T03:04:05Z",
  AppArmorProfile: "docker-default",
  State: {
    Status: "running",
    Pid: 7,
    ExitCode: 0,
    OOMKilled: false,
    StartedAt: "2026-01-02T03:04:06Z",
    FinishedAt: "0001-01-01T00:00:00Z",
  },
  Config: { User: "1000:1000", Labels: {} },
  HostConfig: { NetworkMode: "none" },
  NetworkSettings: {},
};

// Guards against an engine without limits or filters that passes for a safe one.
test("what an engine can't enforce is found in what it says of itself", () => {
  const facts = factsOf(info);
  assert.deepEqual(
    [facts.seccomp, facts.hasAppArmor, facts.hasUserNamespace],
    ["default", true, false],
  );
  assert.deepEqual([facts.cpus, facts.missingLimits], [[0, 1, 2, 3], []]);
  assert.equal(facts.keepsImagesInContainerd, false);
  const modern = factsOf({
    ...info,
    DriverStatus: [["driver-type", "io.containerd.snapshotter.v1"]],
    SecurityOptions: ["name=seccomp,profile=unconfined", "name=rootless"],
    CgroupDriver: "none",
  });
  assert.equal(modern.keepsImagesInContainerd, true);
  assert.deepEqual([modern.seccomp, modern.hasUserNamespace], [null, true]);
  assert.equal(modern.missingLimits.length, 4);
  assert.match(notesOn(modern).join(" "), /can't limit memory.*No seccomp/);
  assert.deepEqual(factsOf({ ...info, PidsLimit: false }).missingLimits, ["processes"]);
  assert.deepEqual(
    ["runc", "crun", "runsc", "kata-runtime", "io.containerd.kata.v2"].map((runtime) =>
      strengthOf(runtime, facts),
    ),
    ["container", "container", "strong", "strong", "strong"],
  );
  assert.equal(strengthOf("runc", modern), "weak");
  assert.deepEqual(
    cpusFromRefusal("CPUs are not available - requested 0, available: 4-5,8"),
    [4, 5, 8],
  );
  assert.deepEqual(cpusFromRefusal("something else"), []);
});

// Guards against a report that says what was asked for instead of what is.
test("a container that is not held back is reported as such", () => {
  const facts = factsOf(info);
  const open = isolationOf(seen, facts);
  assert.equal(open.capabilities.length, 14);
  assert.deepEqual(
    [open.noNewPrivileges, open.readOnlyRoot, open.diskMb, open.memoryMb, open.pidsMax],
    [false, false, null, 0, 0],
  );
  assert.match(open.notes.join(" "), /No disk quota/);
  const privileged = { ...seen, HostConfig: { Privileged: true, NetworkMode: "host" } };
  const none = isolationOf(privileged, facts);
  assert.deepEqual([none.strength, none.seccomp, none.capabilities], ["weak", "none", ["ALL"]]);
  const added = isolationOf(
    {
      ...seen,
      HostConfig: { CapDrop: ["all"], CapAdd: ["cap_net_admin"], CapDropped: [] } as object,
    },
    facts,
  );
  assert.deepEqual(added.capabilities, ["NET_ADMIN"]);
  const unconfined = { ...seen, HostConfig: { SecurityOpt: ["seccomp=unconfined"] } };
  assert.deepEqual(
    [isolationOf(unconfined, facts).seccomp, isolationOf(unconfined, facts).strength],
    ["none", "weak"],
  );
  const disk = (HostConfig: object) => isolationOf({ ...seen, HostConfig }, facts).diskMb;
  assert.equal(disk({ StorageOpt: { size: "100m" } }), 100);
  assert.equal(
    disk({ ReadonlyRootfs: true, ShmSize: 2 ** 20, Tmpfs: { "/a": "rw,size=2g" } }),
    2_049,
  );
  assert.equal(disk({ ReadonlyRootfs: true, Tmpfs: { "/a": "rw", "/b": "size=1m" } }), null);
  assert.equal(containerOf(seen, facts), null);
});

// Guards against the host's paths in what callers read, and retries of what can never work.
test("the engine's words become one of the runtime's errors, and stay private", () => {
  const failure = (statusCode: number, words: string) =>
    Object.assign(new Error(`(HTTP code ${statusCode}) unexpected - ${words} `), { statusCode });
  const shim = "failed to create shim task: OCI runtime create failed: /var/lib/docker/x";
  for (const [status, words, name] of [
    [404, "No such container: x", "GONE"],
    [404, "No such image: x", "IMAGE_MISSING"],
    [409, "Container x is not running", "CONFLICT"],
    [500, "Container x is paused", "CONFLICT"],
    [500, "write /var/lib/docker/x: no space left on device", "DISK_FULL"],
    [500, shim, "REFUSED"],
    [400, "anything", "REFUSED"],
    [500, "anything", "UNAVAILABLE"],
    [503, "anything", "UNAVAILABLE"],
  ] as const) {
    const problem = problemOf("do it", failure(status, words));
    assert.equal(problem.code, `ERR_LEASES_RUNTIME_${name}`, words);
    assert.doesNotMatch(problem.message, /var|shim|anything/);
  }
  assert.equal(problemOf("do it", new Error("ECONNREFUSED /var/run")).status, 503);
  const lost = 'exec: "serve": executable file not found in $PATH: unknown';
  assert.match(problemOf("start", failure(500, lost)).message, /"serve" is not in the container/);
  assert.equal(startFault("anything"), null);
});

// Guards against root by another name, and against names that are taken for numbers.
test("who runs the program is never root unless the lease says so", () => {
  for (const user of ["", "root", "0", "00", "0:1000", "root:users", ":5"]) {
    assert.equal(userOf(null, user), "65534:65534", user);
  }
  assert.deepEqual(
    [userOf("0:0", "node"), userOf(null, "1000"), userOf(null, "7:8")],
    ["0:0", "1000", "7:8"],
  );
  assert.deepEqual([userOf(null, "node"), userOf(null, "1000:users")], [null, null]);
  const passwd = "root:x:0:0::/:\ntoor:x:0:0::/:\nnode:x:1000:1001::/home:\nbad:x:abc:1::/:\n";
  assert.equal(numbersOf("node", passwd), "1000:1001");
  assert.equal(numbersOf("node:5", passwd), "1000:5");
  assert.equal(numbersOf("node:users", passwd), "1000:1001");
  assert.equal(numbersOf("1000:users", passwd), "1000:65534");
  for (const user of ["toor", "absent", "bad", "", "node2"]) {
    assert.equal(numbersOf(user, passwd), "65534:65534", user);
  }
});

// Guards against asking a registry for an image of another name.
test("a reference is split where its tag or digest begins", () => {
  for (const [image, repository, tag] of [
    ["busybox", "busybox", "latest"],
    ["busybox:1", "busybox", "1"],
    ["host:5000/a/b", "host:5000/a/b", "latest"],
    ["host:5000/a/b:2", "host:5000/a/b", "2"],
    ["a/b@sha256:00", "a/b", "sha256:00"],
  ] as const) {
    assert.deepEqual(splitReference(image), { repository, tag });
  }
});

// Guards against images that choose root or the host's disk for what runs in them.
test("an image's user by name becomes numbers, and its volumes stay in memory", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { engine, installId } = house;
  const base = await house.run({ writable: true, user: "0:0" });
  const accounts = "root:x:0:0::/:\ntoor:x:0:0::/:\nnode:x:1000:1001::/home:\n";
  await house.sh(base.id, "cat >/etc/passwd; mkdir /data", { stdin: Buffer.from(accounts) });
  const imageOf = async (user: string) => {
    const repo = `plimsoll/${installId}/test/users`;
    await engine.ask("commit", {
      method: "POST",
      path: "/commit",
      query: {
        container: base.id,
        repo,
        tag: user,
        changes: [`USER ${user}`, "VOLUME /data", "WORKDIR /"],
      },
    });
    return `${repo}:${user}`;
  };
  const node = await house.run({ image: await imageOf("node") });
  assert.equal(node.isolation.user, "1000:1001");
  const said = await house.sh(
    node.id,
    "id -u; id -g; touch /data/a /tmp/a a; grep ' /data ' /proc/mounts",
  );
  assert.match(said.stdout, /^1000\n1001\ntmpfs \/data tmpfs rw,nosuid,nodev/);
  const toor = await house.run({ image: await imageOf("toor"), writable: true });
  assert.equal(toor.isolation.user, "65534:65534");
  assert.equal(
    (await house.sh(toor.id, "id -u; touch /data/a a && echo wrote")).stdout,
    "65534\nwrote\n",
  );
  const all = await engine.ask<{ Id: string }[]>("list", {
    method: "GET",
    path: "/containers/json",
    query: { all: true, filters: JSON.stringify({ label: [`plimsoll.install=${installId}`] }) },
  });
  assert.equal(all.body.length, 3, "a look into an image was left behind");
  for (const { id } of [node, toor]) {
    const path = `/containers/${id}/json`;
    const { body } = await engine.ask<{ Mounts: unknown[] }>("look", { method: "GET", path });
    assert.deepEqual(body.Mounts, []);
  }
  const left = await engine.ask<{ Id: string }>("create", {
    method: "POST",
    path: "/containers/create",
    body: {
      Image: house.image,
      Cmd: ["x"],
      Labels: { "plimsoll.install": installId, "plimsoll.lookup": "1" },
    },
  });
  const look = {
    method: "GET",
    path: `/containers/${left.body.Id}/json`,
    accept: [200, 404],
  } as const;
  const nowSeconds = Date.now() / 1_000;
  await removeLookups(engine, nowSeconds);
  assert.equal((await engine.ask("look", look)).status, 200);
  await removeLookups(engine, nowSeconds + 700);
  assert.equal((await engine.ask("look", look)).status, 404);
});
