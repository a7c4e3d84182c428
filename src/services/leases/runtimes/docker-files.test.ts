import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { test } from "node:test";
import { buffer } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { type DockerHouse, dockerHouse } from "./docker-fixture.ts";
import { checkedPath, readable, writableReach } from "./docker-paths.ts";

const code = (name: string) => ({ code: `ERR_LEASES_RUNTIME_${name}` });
const sizeMax = 100_000_000;

async function get({ runtime }: DockerHouse, id: string, path: string): Promise<Buffer> {
  const { content, sizeBytes } = await runtime.getFile(id, path);
  const whole = await buffer(content);
  assert.equal(whole.length, sizeBytes);
  return whole;
}

const put = ({ runtime }: DockerHouse, id: string, path: string, content: string | Buffer) =>
  runtime.putFile(id, path, Readable.from([Buffer.from(content)]), sizeMax);

// Guards against paths that lead out before anybody has looked at a file.
test("a path is below where it may be, without a step up, and no folder", () => {
  const memory = writableReach({ "/tmp": "", "/workspace": "", "/run": "" });
  const disk = writableReach(null);
  for (const [path, whole] of [
    ["a", "/workspace/a"],
    ["./a//b/./c", "/workspace/a/b/c"],
    ["/workspace/ü -x\n", "/workspace/ü -x\n"],
    ["/tmp/...", "/tmp/..."],
  ] as const) {
    assert.equal(checkedPath(path, memory), whole);
    assert.equal(checkedPath(path, disk), whole);
  }
  const refused = [
    ..." / . a/ a/. .. ../a /workspace/../etc/a /workspace/a/../../b /tmp/../proc/a".split(" "),
    ..."/proc/self/mem /sys/a /dev/shm/a //proc/1/environ".split(" "),
    "a\0b",
    `/tmp/${"x".repeat(256)}`,
    `/tmp/${"x/".repeat(2_100)}x`,
  ];
  for (const reach of [memory, disk, readable]) {
    for (const path of refused) {
      assert.throws(() => checkedPath(path, reach), code("PATH_REFUSED"), JSON.stringify(path));
    }
  }
  for (const path of ["/etc/passwd", "/workspace", "/tmp/", "/tmpfile", "/workspaces/a"]) {
    assert.throws(() => checkedPath(path, memory), code("PATH_REFUSED"), path);
  }
  assert.equal(checkedPath("/etc/passwd", disk), "/etc/passwd");
});

// Guards against files that arrive changed, cut off or under a name that a shell has read.
test("files go in and come out whole, by any name", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 256));
  for (const path of [
    "plain",
    "/tmp/deep/er/file",
    'O\'Brien $(id) <3 `x` "y"\n.txt',
    "-rf",
    "--",
    "-",
    "ä/€",
  ]) {
    const sum = await put(house, id, path, bytes);
    assert.equal(sum, createHash("sha256").update(bytes).digest("hex"));
    assert(bytes.equals(await get(house, id, path)), path);
  }
  await put(house, id, "plain", "shorter");
  assert.equal((await get(house, id, "/workspace/plain")).toString(), "shorter");
  await put(house, id, "empty", "");
  assert.equal((await get(house, id, "empty")).length, 0);
  const { stdout } = await house.sh(id, "ls -ln plain; ls -A . | grep -c upload");
  assert.match(stdout, /^-rw-r--r-- +1 65534 +65534 +7 .* plain\n0\n$/);
  assert.match((await get(house, id, "/etc/hostname")).toString(), /^lease/);
});

// Guards against uploads that are reported done and are not, beyond what one buffer holds.
test("50 MB go in and come out, no faster than they are read", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run({ memoryMb: 512, diskMb: 300, cpuMillis: 2_000 });
  const part = Buffer.from(Array.from({ length: 50_000 }, (_, index) => (index * 7) % 251));
  const hash = createHash("sha256");
  let sent = 0;
  const content = Readable.from(
    (function* () {
      for (; sent < 1_000; sent += 1) {
        hash.update(part);
        yield part;
      }
    })(),
  );
  const sum = await house.runtime.putFile(id, "large", content, 50_000_000);
  assert.equal(sum, hash.digest("hex"));
  const { content: back, sizeBytes } = await house.runtime.getFile(id, "large");
  assert.equal(sizeBytes, 50_000_000);
  // Nobody reads yet: what waits for them must not be the whole file.
  await delay(300);
  assert(back.readableLength < 5_000_000, `${back.readableLength} bytes wait`);
  const received = createHash("sha256");
  for await (const chunk of back) received.update(chunk as Buffer);
  assert.equal(received.digest("hex"), sum);
  assert.match((await house.sh(id, "sha256sum large")).stdout, new RegExp(`^${sum}`));
});

// Guards against half a file under the name of a whole one, and against leftovers that fill the
// disk.
test("a file that is too large, or whose sender stops, leaves what was there", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  const { runtime } = house;
  await put(house, id, "kept", "old");
  const tooLarge = Readable.from([Buffer.alloc(600), Buffer.alloc(600)]);
  await assert.rejects(runtime.putFile(id, "kept", tooLarge, 1_000), code("FILE_TOO_LARGE"));
  const broken = Readable.from(
    (async function* () {
      yield Buffer.alloc(100_000);
      throw new Error("the sender is gone");
    })(),
  );
  await assert.rejects(runtime.putFile(id, "kept", broken, sizeMax), /the sender is gone/);
  const filling = Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(1_000_000)));
  await assert.rejects(runtime.putFile(id, "kept", filling, sizeMax * 2), code("DISK_FULL"));
  assert.equal((await get(house, id, "kept")).toString(), "old");
  const { stdout } = await house.sh(id, "ls -A; df -m . | tail -n 1; ps | grep -c '[c]at'");
  assert.match(stdout, /^kept\n\S+ +\d+ +0 .*\n0\n$/);
  const stopped = await runtime.getFile(id, "/bin/busybox");
  stopped.content.destroy();
  await assert.rejects(get(house, id, "absent"), code("FILE_MISSING"));
  await assert.rejects(get(house, id, "no/folder/file"), code("FILE_MISSING"));
});

// Guards against links and special files that turn a path into another one's.
test("links that lead astray, folders and devices are refused, both ways", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run();
  await house.sh(
    id,
    "mkdir inner folder; ln -s /etc out; ln -s /proc/self proc; ln -s /etc/hostname file; " +
      "ln -s inner in; ln -s /proc/1/environ secret; mkfifo pipe; echo data >inner/data",
  );
  for (const path of ["out/passwd", "proc/status", "proc/deep/er", "file", "secret", "folder"]) {
    await assert.rejects(put(house, id, path, "x"), code("PATH_REFUSED"), `writing ${path}`);
  }
  for (const path of ["proc/status", "file", "secret", "folder", "pipe"]) {
    await assert.rejects(get(house, id, path), code("PATH_REFUSED"), `reading ${path}`);
  }
  for (const path of ["/etc/mine", "/mine", "/proc/self/comm", "/dev/shm/x", "../etc/x"]) {
    await assert.rejects(put(house, id, path, "x"), code("PATH_REFUSED"), `writing ${path}`);
  }
  assert.equal((await get(house, id, "in/data")).toString(), "data\n");
  await put(house, id, "in/more", "more");
  assert.equal((await house.sh(id, "cat inner/more; cat file")).stdout, "morelease\n");
  const writable = await house.run({ writable: true });
  await put(house, writable.id, "here", "on the disk");
  await assert.rejects(put(house, writable.id, "/etc/mine", "x"), code("PATH_REFUSED"));
  assert.equal((await house.sh(writable.id, "cat /workspace/here")).stdout, "on the disk");
  await house.runtime.stop(id, 0);
  await assert.rejects(put(house, id, "late", "x"), code("CONFLICT"));
});
