import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { breakable, dockerHouse } from "./docker-fixture.ts";
import type { RuntimeEvent } from "./types.ts";

const never = new AbortController().signal;
const code = (name: string) => ({ code: `ERR_LEASES_RUNTIME_${name}` });

// Guards against a second container, and a second bill, where a create was repeated.
test("asked for twice, also at once, a container is there once", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, spec } = house;
  const wanted = spec();
  const other = house.another();
  const made = await Promise.all([
    runtime.create(wanted, never),
    other.create(wanted, never),
    runtime.create(wanted, never),
  ]);
  assert.equal(new Set(made.map(({ id }) => id)).size, 1);
  assert.equal((await runtime.list()).length, 1);
  assert.deepEqual(
    made.map(({ state }) => state),
    ["created", "created", "created"],
  );
  const started = await runtime.start(made[0].id);
  assert.equal(started.state, "running");
  assert.equal((await runtime.start(made[0].id)).startedAt, started.startedAt);
  assert.equal((await runtime.create(wanted, never)).state, "running");
});

// Guards against taking over what is another lease's, or nobody's of ours.
test("a name that another container has is a conflict, and that container stays", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, engine, spec, image } = house;
  const wanted = spec();
  const { identity } = wanted;
  const theirs = { ...identity, leaseId: "another-lease" };
  const first = await runtime.create({ ...wanted, identity: theirs }, never);
  await assert.rejects(runtime.create(wanted, never), code("CONFLICT"));
  assert.equal((await runtime.inspect(first.id))?.identity.leaseId, "another-lease");
  const foreign = spec();
  const { body } = await engine.ask<{ Id: string }>("create", {
    method: "POST",
    path: "/containers/create",
    query: { name: foreign.name },
    body: { Image: image, Cmd: ["true"], Labels: { "plimsoll.install": house.installId } },
  });
  await assert.rejects(runtime.create(foreign, never), code("CONFLICT"));
  assert.equal(await runtime.inspect(foreign.name), null);
  assert.deepEqual(
    (await runtime.list()).map(({ id }) => id),
    [first.id],
  );
  await assert.rejects(runtime.remove(foreign.name), code("REFUSED"));
  await engine.ask("remove", { method: "DELETE", path: `/containers/${body.Id}` });
});

// Guards against containers that stay because their removal was asked for in an unlucky moment.
test("removal is done once, however often and in which state it is asked for", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, spec } = house;
  const [created, running, paused] = [
    await runtime.create(spec(), never),
    await house.run(),
    await house.run(),
  ];
  await runtime.pause(paused.id);
  const other = house.another();
  await Promise.all([
    runtime.remove(created.id),
    runtime.remove(running.id),
    other.remove(running.id),
    runtime.remove(running.name),
    other.remove(paused.id),
  ]);
  assert.deepEqual(await runtime.list(), []);
  await runtime.remove(running.id);
  await runtime.remove("plm-never-was-1");
  await assert.rejects(runtime.start(running.id), code("GONE"));
  await assert.rejects(runtime.stats(running.id), code("GONE"));
  await assert.rejects(runtime.stop(running.id, 0), code("GONE"));
  await assert.rejects(house.sh(running.id, "true"), code("GONE"));
});

// Guards against clocks that stop while the program goes on, and the other way round.
test("pause and resume may be repeated, and stop works on a paused container", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime } = house;
  const { id } = await house.run();
  const state = async () => (await runtime.inspect(id))?.state;
  await runtime.resume(id);
  assert.equal(await state(), "running");
  await runtime.pause(id);
  await runtime.pause(id);
  assert.equal(await state(), "paused");
  await assert.rejects(house.sh(id, "true"), code("CONFLICT"));
  await runtime.resume(id);
  await runtime.resume(id);
  assert.equal((await house.sh(id, "echo on")).stdout, "on\n");
  await runtime.pause(id);
  await runtime.stop(id, 100);
  assert.equal(await state(), "exited");
  await runtime.stop(id, 100);
  await assert.rejects(runtime.pause(id), code("CONFLICT"));
});

// Guards against a program that never learns that it must end, or is never ended.
test("stop asks first and ends after the grace; the end says how", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime } = house;
  const polite = await house.run({ command: ["sh", "-c", "trap 'exit 7' TERM; sleep 600 & wait"] });
  const deaf = await house.run({
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
  });
  assert.equal((await house.sh(deaf.id, "true")).exitCode, 0);
  await Promise.all([runtime.stop(polite.id, 5_000), runtime.stop(deaf.id, 500)]);
  const ends = await Promise.all([runtime.inspect(polite.id), runtime.inspect(deaf.id)]);
  assert.deepEqual(
    ends.map((end) => [end?.state, end?.exitCode, end?.outOfMemory]),
    [
      ["exited", 7, false],
      ["exited", 137, false],
    ],
  );
  assert.match(ends[0]?.exitedAt ?? "", /^\d{4}-\d\d-\d\dT.*Z$/);
});

// Guards against an unusable lease that is billed because nobody says why it can't run.
test("what can't be made is refused with the reason, and leaves nothing", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, spec } = house;
  const create = (overrides: object) => runtime.create(spec(overrides), never);
  await assert.rejects(create({ image: "plimsoll-test:none-such" }), code("IMAGE_MISSING"));
  await assert.rejects(create({ image: "sha256:00" }), code("IMAGE_MISSING"));
  await assert.rejects(create({ image: "../../etc" }), code("IMAGE_MISSING"));
  await assert.rejects(create({ ociRuntime: "runsc" }), {
    ...code("REFUSED"),
    message: /no OCI runtime "runsc"/,
  });
  await assert.rejects(create({ user: "root" }), code("REFUSED"));
  await assert.rejects(create({ command: [] }), code("REFUSED"));
  await assert.rejects(create({ command: null }), {
    ...code("REFUSED"),
    message: /names a program/,
  });
  assert.deepEqual(await runtime.list(), []);
});

// Guards against a mistyped command that looks like a lease which simply ended.
test("a program that is not in the image ends with 127, and the log says why", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime, spec } = house;
  const { id } = await runtime.create(spec({ command: ["no-such-program"] }), never);
  await runtime.start(id);
  const lines: string[] = [];
  for await (const { text } of runtime.logs(id, {
    after: null,
    tail: null,
    follow: true,
    signal: never,
  })) {
    lines.push(text);
  }
  const end = await runtime.inspect(id);
  assert.deepEqual([end?.state, end?.exitCode], ["exited", 127]);
  assert.match(lines.join("\n"), /no-such-program/);
});

// Guards against a crash that nobody hears of before the next sweep.
test("events tell of ends, lack of memory and removals, and whose they were", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime } = house;
  const stop = new AbortController();
  const seen: RuntimeEvent[] = [];
  const waiting: (() => void)[] = [];
  const watching = (async () => {
    for await (const event of runtime.events(stop.signal)) {
      seen.push(event);
      for (const wake of waiting.splice(0)) wake();
    }
  })();
  const until = async (type: string, leaseId: string) => {
    while (!seen.some((event) => event.type === type && event.identity.leaseId === leaseId)) {
      await new Promise<void>((resolve) => void waiting.push(resolve));
    }
  };
  // The first container may be over before the engine has begun to tell.
  const canary = await house.run({ command: ["sleep", "1"] });
  await until("exited", canary.identity.leaseId);
  const hungry = await house.run({ memoryMb: 32, command: ["sh", "-c", "tail /dev/zero"] });
  await until("out_of_memory", hungry.identity.leaseId);
  await until("exited", hungry.identity.leaseId);
  await runtime.remove(hungry.id);
  await until("removed", hungry.identity.leaseId);
  const end = await house.another().inspect(canary.id);
  assert.equal(end?.outOfMemory, false);
  stop.abort();
  await watching;
  assert(seen.every(({ identity }) => identity.installId === house.installId));
});

// Guards against a crash that nobody hears of because it came while the engine was out of reach.
test("events that came while the connection was broken are told afterwards", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const weak = await breakable(t, house.host);
  const { id, identity } = await house.run();
  const stop = new AbortController();
  const events = house.another(weak.host).events(stop.signal);
  const next = events[Symbol.asyncIterator]().next();
  await systemClock.sleep(1_000);
  weak.cut();
  await house.runtime.stop(id, 0);
  weak.mend();
  const { value } = await next;
  assert.deepEqual(value, { type: "exited", identity });
  stop.abort();
});

// Guards against numbers that mislead whoever watches a container.
test("stats say what a container uses, and info what the engine is", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { runtime } = house;
  const { id } = await house.run();
  await house.sh(id, "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done");
  const stats = await runtime.stats(id);
  const { cpuSeconds, memoryBytes, pids } = stats;
  assert(cpuSeconds !== null && cpuSeconds > 0 && cpuSeconds < 60, String(cpuSeconds));
  assert(memoryBytes !== null && memoryBytes > 0 && memoryBytes < stats.memoryLimitBytes);
  assert.equal(stats.memoryLimitBytes, 128 * 2 ** 20);
  assert(pids !== null && pids >= 2, String(pids));
  assert.equal(stats.networkInBytes, null);
  const info = await runtime.info();
  assert.deepEqual([info.name, info.available], ["docker", true]);
  assert(info.ociRuntimes.includes("runc"));
});
