import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { noProcessRuntime, type ProcessHouse, processHouse } from "../fixtures/process-runtime.ts";
import { refuses, soon, until } from "../fixtures/runtime-bench.ts";
import { type LiveFile, readPart, type Run } from "./process-folder.ts";
import { isAlive, membersOf, procOf } from "./process-proc.ts";
import type { Container, ContainerSpec } from "./types.ts";

const skip = await noProcessRuntime();
const asNobody = ["--reuid=64321", "--regid=64321", "--clear-groups"];

/** Why it can't be tried as another user; undefined where it can. */
function userSkip(): string | undefined {
  if (process.getuid?.() !== 0) return "the other tests are run by no root";
  const read = `require("node:fs").readFileSync(${JSON.stringify(fileURLToPath(import.meta.url))})`;
  const { status } = spawnSync("setpriv", [...asNobody, process.execPath, "-e", read]);
  return status === 0 ? undefined : "only root can read this folder";
}

const folderOf = ({ folder }: ProcessHouse, { name }: Container) =>
  join(folder, "containers", name);
const partsOf = (house: ProcessHouse, container: Container) => {
  const folder = folderOf(house, container);
  const run = readPart<Run>(folder, "run") as Run;
  const live = readPart<LiveFile>(folder, "live") as LiveFile;
  return { folder, run, live };
};

suite("process runtime, hardened", { skip, concurrency: 4 }, () => {
  // Guards against containers that go on when nobody looks after them any more.
  test("a container ends with its supervisor, and what is left can be removed", {
    skip,
  }, async (t) => {
    const house = processHouse(t);
    const container = await house.running({
      command: ["sh", "-c", "sleep 281 & setsid sleep 282 & (sleep 283 &) ; sleep 284"],
    });
    const { run, live } = partsOf(house, container);
    const all = await until("all processes", () => {
      const members = membersOf(live.init);
      return members.length >= 6 && members;
    });
    process.kill(run.supervisor.pid, "SIGKILL");
    await until("the end of all", () => !all.some(isAlive) && !isAlive(live.outer));
    const after = await house.runtime.inspect(container.id);
    assert.equal(after?.state, "exited");
    assert.equal(after?.exitCode, null, "nobody saw how it ended");
    await house.runtime.remove(container.id);
    assert.deepEqual(await house.runtime.list(), []);
  });

  // Guards against orphans: whatever a container has started ends with its removal.
  test("a removal leaves no process and no file", async (t) => {
    const house = processHouse(t);
    const line = "setsid sleep 271 & (setsid sleep 272 &); mkdir d; chmod 0 d; sleep 273";
    const container = await house.running({ command: ["sh", "-c", line] });
    const { runtime } = house;
    const exec = { command: ["sleep", "274"], stdin: null, timeoutMs: 60_000, outputBytesMax: 10 };
    const asked = runtime.exec(container.id, exec);
    const terminal = await runtime.terminal(container.id, { columns: 80, rows: 24 }, null);
    terminal.stream.resume();
    const { run, live, folder } = partsOf(house, container);
    const all = await until("all processes", () => {
      const members = membersOf(live.init, true);
      return members.length >= 9 && members;
    });
    await runtime.remove(container.id);
    assert.ok(!existsSync(folder));
    assert.deepEqual(readdirSync(join(house.folder, "containers")), []);
    assert.equal((await asked).exitCode, null);
    assert.equal(await terminal.exited, null);
    assert.deepEqual([...all, run.supervisor].filter(isAlive), []);
  });

  // Guards against killing whoever got a dead container's process id after it.
  test("a process id that was given away is not killed", async (t) => {
    const house = processHouse(t);
    const container = await house.running();
    const { folder, run, live } = partsOf(house, container);
    const bystander = spawn("sleep", ["60"]);
    t.after(() => bystander.kill("SIGKILL"));
    await once(bystander, "spawn");
    process.kill(run.supervisor.pid, "SIGKILL");
    await until("its end", () => !isAlive(live.init));
    // As the kernel would after many processes: the same ids, but born at another time.
    const reused = { pid: bystander.pid as number, birth: run.supervisor.birth };
    writeFileSync(join(folder, "run.json"), JSON.stringify({ supervisor: reused }));
    writeFileSync(
      join(folder, "live.json"),
      JSON.stringify({ ...live, outer: reused, init: reused }),
    );
    const { runtime } = house;
    assert.equal((await runtime.inspect(container.id))?.state, "exited");
    await runtime.stop(container.id, 0);
    await refuses("conflict", () => runtime.pause(container.id));
    await runtime.remove(container.id);
    assert.equal(await runtime.inspect(container.id), null);
    assert.ok(isAlive(procOf(bystander.pid as number) ?? reused), "the bystander lives");
    assert.equal(bystander.exitCode, null);
  });

  // Guards against a removal that a crash broke off, and whose processes nobody finds any more.
  test("a removal that was broken off is finished by the next look", async (t) => {
    const house = processHouse(t);
    const container = await house.running();
    const { folder, live } = partsOf(house, container);
    renameSync(folder, join(house.folder, "containers", `.gone.${container.id}`));
    assert.equal(await house.runtime.inspect(container.id), null);
    assert.ok(isAlive(live.init));
    await house.another().remove(container.id);
    assert.ok(!isAlive(live.init));
    const second = await house.running();
    const { folder: other, live: left } = partsOf(house, second);
    renameSync(other, join(house.folder, "containers", `.gone.${second.id}`));
    assert.deepEqual(await house.another().list(), []);
    assert.ok(!isAlive(left.init));
    assert.deepEqual(readdirSync(join(house.folder, "containers")), []);
  });

  // Guards against two servers that start one container twice.
  test("two servers that start a container at once start it once", async (t) => {
    const house = processHouse(t);
    const command = ["sh", "-c", "echo begun; sleep 300"];
    const { id } = await house.runtime.create(house.spec({ command }), soon());
    const servers = [house.runtime, house.another(), house.another()];
    const started = await Promise.all(servers.map((server) => server.start(id)));
    assert.equal(new Set(started.map(({ startedAt }) => startedAt)).size, 1);
    const request = { after: null, tail: null, follow: false, signal: soon() };
    const lines = await until("its line", async () => {
      const found = await Array.fromAsync(house.runtime.logs(id, request));
      return found.length > 0 && found;
    });
    assert.equal(lines.length, 1);
  });

  // Guards against containers that can be started after they were removed.
  test("a removal while a server starts the container leaves nothing", async (t) => {
    const house = processHouse(t);
    for (const part of ["kept", "run", "live"] as const) {
      const made = await house.runtime.create(house.spec(), soon());
      const starting = house
        .another()
        .start(made.id)
        .catch((error: unknown) => error);
      const folder = folderOf(house, made);
      const run = await until(part, () => readPart<Run>(folder, part));
      await house.another().remove(made.id);
      const result = await starting;
      assert.ok(
        result instanceof Error || (result as Container).state === "running",
        String(result),
      );
      assert.equal(await house.runtime.inspect(made.id), null);
      assert.deepEqual(readdirSync(join(house.folder, "containers")), []);
      if (run.supervisor !== undefined) assert.ok(!isAlive(run.supervisor));
    }
  });

  // Guards against a lease that reads what the server keeps: its data, its folders, its secrets.
  test("nothing of the host but its programs is seen inside", async (t) => {
    const house = processHouse(t, { hidden: ["/usr/share"] });
    const { id } = await house.running({ env: { TOKEN: "mine" } });
    assert.equal(
      await house.say(id, "ls /"),
      "bin\ndev\netc\nlib\nlib64\nproc\nsbin\ntmp\nusr\nworkspace\n"
        .split("\n")
        .filter((name) => name === "" || existsSync(`/${name}`) || name === "workspace")
        .join("\n"),
    );
    assert.match(await house.say(id, "ls /usr/share"), /denied|^$/);
    assert.match(
      await house.say(id, `ls ${house.folder}; ls ${process.cwd()}`),
      /No such file.*No such file/s,
    );
    const etc = (await house.say(id, "ls /etc")).trim().split("\n");
    const allowed = new Set(["alternatives", "group", "hosts", "ld.so.cache", "passwd", "ssl"]);
    assert.deepEqual(
      etc.filter((name) => !allowed.has(name)),
      [],
    );
    const mounts = await house.say(id, "cat /proc/mounts");
    for (const row of mounts.trim().split("\n")) {
      const [, at = "", , flags = ""] = row.split(" ");
      const isOwn = ["/workspace", "/tmp", "/dev/shm", "/dev/pts", "/proc"].includes(at);
      assert.ok(isOwn || at.startsWith("/dev/") || flags.split(",").includes("ro"), row);
    }
    assert.match(
      await house.say(id, "unshare --user true"),
      /unshare/,
      "no more rights by a user namespace",
    );
    assert.match(
      await house.say(id, "cat /workspace/../kept.json ../kept.json"),
      /No such file.*No such file/s,
    );
    const listed = spawnSync("ps", ["axww", "-o", "args"], { encoding: "utf8" }).stdout;
    assert.ok(!listed.includes("TOKEN=mine"), "no list of processes shows a lease's variables");
  });

  // Guards against leases that kill each other or the host's programs.
  test("containers do not see each other", async (t) => {
    const house = processHouse(t);
    const [one, two] = [await house.running(), await house.running()];
    const { live } = partsOf(house, two);
    const seen = await house.say(
      one.id,
      `ls /proc/${live.init.pid} 2>&1; kill -9 -1; kill -9 ${live.init.pid}`,
    );
    assert.match(seen, /No such/);
    assert.equal((await house.runtime.inspect(two.id))?.state, "running");
    assert.equal((await house.runtime.inspect(one.id))?.state === "paused", false);
    const ids = await house.say(two.id, "ls /proc | grep -c '^[0-9]'");
    assert.ok(Number(ids) <= 6, ids);
  });

  // Guards against a lease that fills the disk.
  test("a container that takes more disk than it may is ended", async (t) => {
    const house = processHouse(t);
    const line = "for i in 1 2 3 4; do head -c 3000000 /dev/urandom > f$i; done; sleep 300";
    const { id } = await house.running({ diskMb: 8, command: ["sh", "-c", line] });
    const over = await until("its end", async () => {
      const now = await house.runtime.inspect(id);
      return now?.state === "exited" && now;
    });
    assert.equal(over.outOfMemory, false);
    const request = { after: null, tail: 1, follow: false, signal: soon() };
    const [last] = await Array.fromAsync(house.runtime.logs(id, request));
    assert.match(last?.text ?? "", /8 MB of disk/);
    const single = await house.running({ diskMb: 8 });
    const big = await house.say(single.id, "head -c 9000000 /dev/zero > big; echo $?; wc -c < big");
    assert.match(big, /8388608/, "no file is larger than the disk");
  });

  // Guards against a weak runtime that slips into production.
  test("production is refused unless it is allowed by name", async (t) => {
    const house = processHouse(t);
    const strict = house.another({ isProduction: true });
    const { available, notes } = await strict.info();
    assert.equal(available, false);
    assert.match(notes.join(" "), /LEASES_PROCESS_IN_PRODUCTION/);
    await refuses("refused", () => strict.create(house.spec(), soon()));
    assert.deepEqual(await house.runtime.list(), []);
    const allowed = house.another({ isProduction: true, isAllowedInProduction: true });
    const info = await allowed.info();
    assert.equal(info.available, true);
    assert.match(info.notes.join(" "), /Development only: weak isolation/);
    const made = await allowed.create(house.spec(), soon());
    assert.match(made.isolation.notes.join(" "), /Development only: weak isolation/);
    assert.equal(made.isolation.strength, "weak");
  });

  // Guards against a lease without a fence where the kernel refuses one.
  test("where nothing can be fenced in, nothing runs", async (t) => {
    const house = processHouse(t, { modes: [] });
    const { available, notes } = await house.runtime.info();
    assert.equal(available, false);
    assert.match(notes.join(" "), /refuses/);
    await refuses("unavailable", () => house.runtime.create(house.spec(), soon()));
  });

  // Guards against specifications that end in somebody else's words.
  test("names, commands and variables that mean something else are refused", async (t) => {
    const { runtime, spec } = processHouse(t);
    const wrong: Partial<ContainerSpec>[] = [
      { name: "../up" },
      { name: ".new.x" },
      { name: "a/b" },
      { env: { "A=B": "c" } },
      { env: { A: "b\0c" } },
      { command: ["a\0b"] },
      { command: [] },
    ];
    for (const changes of wrong) {
      await refuses("refused", () => runtime.create(spec(changes), soon()));
    }
    assert.deepEqual(await runtime.list(), []);
    for (const id of ["..", ".", "", "../containers", "a/../b", ".gone.x"]) {
      assert.equal(await runtime.inspect(id), null);
      await runtime.remove(id);
    }
  });

  // Guards against a snapshot that another tenant restores, or one that reaches beyond its folder.
  test("snapshots belong to a tenant and to no other place", async (t) => {
    const house = processHouse(t);
    const { runtime } = house;
    const { id } = await house.running();
    await house.say(
      id,
      "ln -s /etc/shadow link; ln -s ../../../../.. up; echo text > file; mkfifo pipe",
    );
    const request = { tenantId: "tenant1", snapshotId: "one", scrubEnv: [] };
    const { image } = await runtime.snapshot(id, request);
    for (const snapshotId of ["../two", "a/b", ".x", ""]) {
      await refuses("refused", () => runtime.snapshot(id, { ...request, snapshotId }));
    }
    for (const wrong of [
      `${image}/../one`,
      "process-snapshot:tenant1/../tenant1/one",
      `${image}x`,
    ]) {
      await refuses("image_missing", () => runtime.create(house.spec({ image: wrong }), soon()));
    }
    const back = await house.running({ image });
    assert.equal(
      await house.say(back.id, "readlink link up; cat file; test -p pipe && echo pipe"),
      "/etc/shadow\n../../../../..\ntext\npipe\n",
    );
    await runtime.removeSnapshot(image);
    await runtime.removeSnapshot(image);
    await refuses("image_missing", () => runtime.create(house.spec({ image }), soon()));
  });

  // Guards against logs that fill the disk, and followers that lose their way when a file is full.
  test("logs are bounded, and followed across files", async (t) => {
    const house = processHouse(t);
    const words = "is a line of some length, which fills a file in time";
    const line = `i=0; while [ $i -lt 30000 ]; do echo "line $i ${words}"; i=$((i+1)); done`;
    const { id, name } = await house.running({ command: ["sh", "-c", line] });
    const follow = { after: null, tail: null, follow: true, signal: soon() };
    const lines = await Array.fromAsync(house.runtime.logs(id, follow));
    const numbers = lines.map(({ text }) => Number(text.split(" ")[1]));
    assert.equal(numbers.at(-1), 29_999);
    const first = numbers[0] as number;
    assert.deepEqual(
      numbers,
      Array.from({ length: 30_000 - first }, (_, at) => first + at),
    );
    const moments = lines.map(({ at }) => at);
    assert.deepEqual(moments, [...new Set(moments)].sort(), "each moment stands for one line");
    const sizes = readdirSync(join(house.folder, "containers", name))
      .filter((file) => file.startsWith("log"))
      .map((file) => readFileSync(join(house.folder, "containers", name, file)).length);
    assert.ok(sizes.length <= 2 && sizes.every((size) => size < 1_200_000), String(sizes));
  });

  // Guards against programs that were over before anybody looked, and then never ran.
  test("a program that is over at once has run and ended", async (t) => {
    const house = processHouse(t);
    for (const [line, exitCode] of [
      ["exit 0", 0],
      ["exit 3", 3],
      ["exec no-such-program", 127],
    ] as const) {
      const { id } = await house.runtime.create(
        house.spec({ command: ["sh", "-c", line] }),
        soon(),
      );
      await house.runtime.start(id);
      const over = await until("its end", async () => {
        const now = await house.runtime.inspect(id);
        return now?.state === "exited" && now;
      });
      assert.equal(over.exitCode, exitCode);
      assert.ok(Date.parse(over.exitedAt ?? "") >= Date.parse(over.startedAt ?? ""));
    }
  });

  const why = userSkip();
  // Guards against a runtime that only root can use.
  test("whoever is not root can do the same", { skip: why }, () => {
    const files = fileURLToPath(new URL("./process.test.ts", import.meta.url));
    const pattern = "--test-name-pattern=comes back finds|exit code and both|whole|leaves nothing";
    const ran = spawnSync(
      "setpriv",
      [...asNobody, process.execPath, "--test", "--test-reporter=tap", pattern, files],
      { encoding: "utf8", env: { PATH: process.env.PATH, HOME: "/nonexistent" }, timeout: 60_000 },
    );
    assert.equal(ran.status, 0, `${ran.stdout}${ran.stderr}`);
    assert.match(ran.stdout, /# pass 4\n/, ran.stdout);
    assert.match(ran.stdout, /# skipped 0\n/);
  });

  // Guards against half-made containers that stay for ever, or are taken for whole ones.
  test("what was left half made is not listed", async (t) => {
    const house = processHouse(t);
    const container = await house.runtime.create(house.spec(), soon());
    cpSync(folderOf(house, container), join(house.folder, "containers", ".new.half"), {
      recursive: true,
    });
    assert.equal((await house.runtime.list()).length, 1);
    assert.equal(await house.runtime.inspect(".new.half"), null);
    assert.ok(
      existsSync(join(house.folder, "containers", ".new.half")),
      "it may still be being made",
    );
  });
});
