import assert from "node:assert/strict";
import { after, before, suite, test, type TestContext } from "node:test";
import { type KubernetesHouse, kubernetesHouse } from "../fixtures/kubernetes-house.ts";
import { noProcessRuntime, processImage } from "../fixtures/process-runtime.ts";
import { plainSpec, refuses, soon, until } from "../fixtures/runtime-bench.ts";
import { connectCluster, type KubernetesOptions } from "./kubernetes-connection.ts";
import { tidyPolicies } from "./kubernetes-lifecycle.ts";
import { networkPolicyOf, podOf } from "./kubernetes-objects.ts";
import { bytesOf, containerOf, stateOf } from "./kubernetes-pod.ts";
import { usageIn } from "./kubernetes-stats.ts";
import type { Pod } from "./kubernetes-types.ts";
import type { ContainerSpec, RuntimeEvent } from "./types.ts";

const skip = await noProcessRuntime();
let house: KubernetesHouse;
let installs = 0;

/** A runtime of an installation of its own, whose pods are removed after the test. */
function install(t: TestContext, changes: Partial<KubernetesOptions> = {}) {
  installs += 1;
  const installId = `f${process.pid}n${installs}`;
  const runtime = house.open(installId, changes);
  t.after(async () => {
    await runtime.close();
    const cleaner = house.open(installId);
    for (const { id } of await cleaner.list()) await cleaner.remove(id);
    await cleaner.close();
  });
  const spec = (more: Partial<ContainerSpec> = {}) => plainSpec(installId, processImage, more);
  return {
    runtime,
    installId,
    spec,
    cluster: house.cluster,
    async running(more?: Partial<ContainerSpec>) {
      const { id } = await runtime.create(spec(more), soon());
      return runtime.start(id);
    },
    pods: () => house.cluster.store.list("pods", `plimsoll.install=${installId}`),
    policies: () => house.cluster.store.list("networkpolicies", `plimsoll.install=${installId}`),
  };
}

const listen = (events: AsyncIterable<RuntimeEvent>, told: RuntimeEvent[]) =>
  (async () => {
    for await (const event of events) told.push(event);
  })();

suite("kubernetes runtime against a cluster that fails", { skip, concurrency: 4 }, () => {
  before(async () => {
    house = await kubernetesHouse();
  });
  after(async () => house.close());

  // Guards against secrets that everybody sees who may look at pods, or that stay.
  test("variables are in a secret that goes with the pod", async (t) => {
    const { runtime, spec, cluster, pods } = install(t);
    const { id, name } = await runtime.create(spec({ env: { TOKEN: "s3cret" } }), soon());
    assert.ok(!JSON.stringify(pods()).includes("s3cret"));
    const secret = cluster.store.get("secrets", name);
    assert.equal(secret?.stringData?.TOKEN, "s3cret");
    assert.equal(secret?.metadata.ownerReferences?.[0]?.uid, id.split("/")[1]);
    await runtime.remove(id);
    assert.equal(cluster.store.get("secrets", name), undefined);
    const plain = await runtime.create(spec(), soon());
    assert.equal(cluster.store.get("secrets", plain.name), undefined);
  });

  // Guards against leases without walls, and walls that are taken away while they are needed.
  test("a tenant's network policies stand while it has pods, and go after", async (t) => {
    const { runtime, spec, policies, installId } = install(t);
    const closed = await runtime.create(spec(), soon());
    const names = () => policies().map(({ metadata }) => metadata.name);
    assert.deepEqual(names(), [`plm-${installId}-tenant1`]);
    const open = await runtime.create(spec({ egress: "internet" }), soon());
    assert.deepEqual(names(), [`plm-${installId}-tenant1`, `plm-${installId}-tenant1-egress`]);
    const [none, internet] = policies().map((each) => each.spec as Record<string, unknown>);
    assert.deepEqual(none?.egress, []);
    assert.deepEqual(none?.policyTypes, ["Ingress", "Egress"]);
    assert.match(JSON.stringify(internet?.egress), /169\.254\.0\.0\/16.*fc00::\/7/);
    await runtime.tidy?.();
    assert.equal(names().length, 2);
    for (const { id } of [closed, open]) await runtime.remove(id);
    await runtime.tidy?.();
    assert.deepEqual(names(), []);
  });

  // Guards against a policy that is cleared away in the moment in which somebody needs it again.
  test("a policy that was used since it was looked at is not cleared away", async (t) => {
    const { runtime, spec, policies, installId } = install(t);
    const { id } = await runtime.create(spec(), soon());
    await runtime.remove(id);
    const connection = connectCluster(house.optionsFor(installId));
    t.after(() => connection.close());
    await tidyPolicies(connection, async () => {
      await runtime.create(spec(), soon());
      // As it would have been seen a moment earlier.
      return new Set();
    });
    assert.equal(policies().length, 1);
  });

  // Guards against lists that end with their first page.
  test("all pods are listed, however many pages they take", async (t) => {
    const { runtime, spec } = install(t);
    const made = await Promise.all(Array.from({ length: 7 }, () => runtime.create(spec(), soon())));
    const listed = await runtime.list();
    assert.deepEqual(listed.map(({ id }) => id).sort(), made.map(({ id }) => id).sort());
  });

  // Guards against watches that die and leave everybody deaf.
  test("events go on after cut, old and silent watches", async (t) => {
    const { runtime, running, cluster, installId } = install(t, { watchSeconds: 1 });
    const lists = () =>
      cluster.requests.filter((each) => {
        return each.includes(`%3D${installId}&limit`);
      }).length;
    const told: RuntimeEvent[] = [];
    const over = new AbortController();
    const listening = listen(runtime.events(over.signal), told);
    const crash = async (listsBetween: number) => {
      const { identity, id } = await running({ command: ["sh", "-c", "sleep 0.3; exit 1"] });
      await until("the event", () =>
        told.find((event) => event.identity.leaseId === identity.leaseId),
      );
      const count = lists();
      await until("one more list", () => lists() >= count + listsBetween);
      await runtime.remove(id);
      await until("the removal", () => {
        const own = told.filter((event) => event.identity.leaseId === identity.leaseId);
        return own.some(({ type }) => type === "removed") && own;
      });
      const own = told.filter((event) => event.identity.leaseId === identity.leaseId);
      assert.deepEqual(
        own.map(({ type }) => type),
        ["exited", "removed"],
        "each is told once",
      );
    };
    await crash(2);
    cluster.cutWatches();
    await crash(0);
    cluster.store.compact();
    cluster.cutWatches();
    await crash(0);
    cluster.failNext(/watch=true/, 410);
    cluster.failNext(/watch=true/, 500, 2);
    cluster.cutWatches();
    await crash(0);
    over.abort();
    await listening;
  });

  // Guards against a server that takes a cluster's silence for an answer.
  test("a cluster that does not answer is unavailable, and then again is not", async (t) => {
    const { runtime, spec, cluster, installId } = install(t);
    const { id, name } = await runtime.create(spec(), soon());
    const look = new RegExp(`GET .*/pods/${name}$`);
    cluster.failNext(look, 0);
    await refuses("unavailable", () => runtime.inspect(id));
    cluster.failNext(look, 503);
    await refuses("unavailable", () => runtime.inspect(id));
    cluster.failNext(look, 401);
    await refuses("unavailable", () => runtime.inspect(id));
    assert.equal((await runtime.inspect(id))?.state, "created");
    const nobody = house.open(installId, { kubeconfig: "/no/such/file" });
    await refuses("unavailable", () => nobody.list());
    const { available, notes } = await nobody.info();
    assert.equal(available, false);
    assert.ok(notes.length > 0);
  });

  // Guards against a runtime that is chosen and then may do nothing.
  test("what the server may not do is said before it is needed", async (t) => {
    const { runtime, cluster } = install(t);
    const good = await runtime.info();
    assert.equal(good.available, true);
    assert.equal(good.version, "v1.33.0-stand-in");
    assert.deepEqual(good.ociRuntimes, ["gvisor"]);
    assert.deepEqual([good.canPause, good.canSnapshot], [false, false]);
    cluster.denied.add("create pods");
    try {
      const { available, notes } = await runtime.info();
      assert.equal(available, false);
      assert.match(notes.join(" "), /create pods/);
    } finally {
      cluster.denied.delete("create pods");
    }
    await refuses("refused", () => runtime.pause("x/y"));
    const request = { tenantId: "a", snapshotId: "b", scrubEnv: [] };
    await refuses("refused", () => runtime.snapshot("x/y", request));
  });

  // Guards against commands that go on after their connection was cut.
  test("a command whose connection is cut is ended", async (t) => {
    const { runtime, running, cluster } = install(t);
    const { id } = await running();
    const request = { stdin: null, timeoutMs: 20_000, outputBytesMax: 10_000 };
    const run = (line: string) => runtime.exec(id, { ...request, command: ["sh", "-c", line] });
    const left = async () => String((await run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).stdout);
    const asked = refuses("unavailable", () => run("sleep 261"));
    await until("the command", async () => (await left()).includes("sleep 261"));
    cluster.cutChannels();
    await asked;
    assert.ok(!(await left()).includes("sleep 261"));
    const terminal = await runtime.terminal(id, { columns: 80, rows: 24 }, ["sleep", "262"]);
    await until("the program", async () => (await left()).includes("sleep 262"));
    cluster.cutChannels();
    assert.equal(await terminal.exited, null);
    assert.ok(!(await left()).includes("sleep 262"));
  });

  // Guards against taking a pod that a node has begun anew for one that went on.
  test("a pod that was begun anew has ended", async (t) => {
    const { running, cluster } = install(t);
    const { name, identity } = await running();
    const pod = structuredClone(cluster.store.get("pods", name)) as unknown as Pod;
    const [status] = pod.status?.containerStatuses ?? [];
    const terminated = { exitCode: 137, reason: "OOMKilled", finishedAt: "2026-01-01T00:00:00Z" };
    const anew = { ...status, restartCount: 1, lastState: { terminated } };
    const changed = { ...pod, status: { ...pod.status, containerStatuses: [anew] } } as Pod;
    const seen = containerOf(changed, identity);
    assert.deepEqual([seen.state, seen.exitCode, seen.outOfMemory], ["exited", 137, true]);
    assert.equal(containerOf(pod, identity).state, "running");
    const evicted = { ...pod, status: { phase: "Failed", reason: "Evicted" } } as Pod;
    assert.deepEqual([stateOf(evicted), containerOf(evicted, identity).exitCode], ["exited", null]);
  });

  // Guards against two pods of one name, or none, when a lease comes back while it is leaving.
  test("a new pod waits until the old one of its name is gone", async (t) => {
    const { runtime, spec, pods } = install(t);
    const wanted = spec({
      command: ["sh", "-c", 'trap "sleep 0.5; exit" TERM; while :; do sleep 0.1; done'],
    });
    const old = await runtime.create(wanted, soon());
    await runtime.start(old.id);
    const leaving = runtime.stop(old.id, 5_000);
    await until("its leaving", async () => (await runtime.inspect(old.id))?.state === "removing");
    const fresh = await runtime.create(wanted, soon());
    assert.notEqual(fresh.id, old.id);
    assert.equal(fresh.state, "created");
    await leaving;
    assert.equal(await runtime.inspect(old.id), null);
    assert.equal(pods().length, 1);
  });

  // Guards against a runtime class that is silently left out.
  test("the runtime class is the one that was asked for, or none is had", async (t) => {
    const { runtime, spec } = install(t);
    const { isolation } = await runtime.create(spec({ ociRuntime: "gvisor" }), soon());
    assert.equal(isolation.strength, "strong");
    assert.match(isolation.runtime, /gvisor/);
    await refuses("refused", () => runtime.create(spec({ ociRuntime: "kata" }), soon()));
  });

  // Guards against pods that strict clusters turn away, or that have more than they need.
  test("a pod asks for nothing that it need not have", () => {
    const spec = plainSpec("install", "image", { user: "1000:1001", ports: [8080], diskMb: 100 });
    const { spec: pod } = podOf(spec);
    assert.equal(pod?.automountServiceAccountToken, false);
    assert.equal(pod?.enableServiceLinks, false);
    assert.equal(pod?.restartPolicy, "Never");
    const [container] = pod?.containers ?? [];
    assert.deepEqual(container?.resources?.limits, container?.resources?.requests);
    assert.equal(container?.resources?.limits?.memory, "64Mi");
    assert.equal(container?.securityContext?.readOnlyRootFilesystem, true);
    assert.deepEqual(container?.securityContext?.capabilities, { drop: ["ALL"] });
    assert.ok(
      pod?.volumes?.every(({ emptyDir }) => emptyDir?.medium === "Memory" && emptyDir.sizeLimit),
    );
    assert.deepEqual(
      [pod?.securityContext?.runAsUser, pod?.securityContext?.runAsGroup],
      [1000, 1001],
    );
    const nobody = podOf(plainSpec("install", "image")).spec?.securityContext;
    assert.equal(nobody?.runAsUser, 65_534);
    const policy = networkPolicyOf({ identity: spec.identity }, "none", "now");
    assert.deepEqual((policy.spec as { egress: unknown }).egress, []);
  });

  // Guards against numbers that are read in the wrong unit.
  test("counters and quantities are taken apart", () => {
    assert.deepEqual(
      ["64Mi", "1Gi", "500k", "12"].map(bytesOf),
      [67_108_864, 1_073_741_824, 500_000, 12],
    );
    const second =
      "cpu.stat usage_usec 2500000\ncpu.stat user_usec 1\nmemory.current 4096\npids.current 3\n";
    assert.deepEqual(usageIn(second), { cpuSeconds: 2.5, memoryBytes: 4_096, pids: 3 });
    const first =
      "cpuacct/cpuacct.usage 1500000000\nmemory/memory.usage_in_bytes 8192\npids/pids.current 2\n";
    assert.deepEqual(usageIn(first), { cpuSeconds: 1.5, memoryBytes: 8_192, pids: 2 });
    assert.deepEqual(usageIn(""), { cpuSeconds: null, memoryBytes: null, pids: null });
  });
});

/** The same on a cluster of the test's own. */
async function alone(t: TestContext, changes: Partial<KubernetesOptions> = {}) {
  const own = await kubernetesHouse();
  house = own;
  const installed = install(t, changes);
  t.after(() => own.close());
  return installed;
}

suite("kubernetes runtime against other clusters", { skip }, () => {
  // Guards against a second pod when the answer to the first request was lost.
  test("a pod whose making was not answered is found again", async (t) => {
    const { runtime, spec, cluster, pods } = await alone(t);
    const wanted = spec({ env: { COLOUR: "blue" } });
    cluster.loseNext(new RegExp(`POST .*/pods$`));
    await refuses("unavailable", () => runtime.create(wanted, soon()));
    assert.equal(pods().length, 1, "it was made");
    const { id } = await runtime.create(wanted, soon());
    assert.equal(pods().length, 1);
    assert.equal((await runtime.start(id)).state, "running");
    assert.ok(cluster.store.get("secrets", wanted.name), "and what it was to be told is there");
  });

  // Guards against a person being told what is the cluster's business.
  test("what a cluster forbids is refused in our own words", async (t) => {
    const { runtime, spec, cluster, pods } = await alone(t);
    cluster.failNext(new RegExp(`POST .*/pods$`), 403);
    await assert.rejects(runtime.create(spec(), soon()), (error) => {
      assert.equal((error as { code?: string }).code, "ERR_LEASES_RUNTIME_REFUSED");
      assert.doesNotMatch(String(error), /as the test/);
      return true;
    });
    assert.deepEqual(pods(), []);
  });

  // Guards against input that is cut short where a cluster can't be told of its end.
  test("a cluster without the newer protocol runs commands, and refuses input", async (t) => {
    const { runtime, running, cluster } = await alone(t);
    cluster.protocols = ["v4.channel.k8s.io"];
    const { id } = await running();
    const request = { command: ["cat"], timeoutMs: 5_000, outputBytesMax: 100 };
    const { exitCode } = await runtime.exec(id, { ...request, stdin: null });
    assert.equal(exitCode, 0);
    await refuses("refused", () => runtime.exec(id, { ...request, stdin: Buffer.from("x") }));
  });

  // Guards against watches that live and say nothing any more.
  test("a watch that has fallen silent is replaced", async (t) => {
    const { runtime, running, cluster } = await alone(t, { watchSeconds: 1 });
    const told: RuntimeEvent[] = [];
    const over = new AbortController();
    const listening = listen(runtime.events(over.signal), told);
    const { identity } = await running({ command: ["sh", "-c", "sleep 1; exit 1"] });
    cluster.muteWatches();
    await until("the event", () =>
      told.find((event) => event.identity.leaseId === identity.leaseId),
    );
    over.abort();
    await listening;
  });
});
