import assert from "node:assert/strict";
import { test } from "node:test";
import { makeStore, over, refusal, startConsistency } from "./fixture.ts";
import type { ExperimentName } from "./rules/experiment-names.ts";

// Guards against faults that hang on, that nobody knows of, or that name what is not there.
test("faults are injected by hand, told, and ended", async (t) => {
  const { admin, events } = await startConsistency(t);
  const { id } = await makeStore(admin, { operationTimeoutMs: 500 });
  const path = `/stores/${id}`;
  assert.equal((await admin.put(`${path}/keys/a`, { value: 1 })).status, 200);
  const inject = async (body: object) => refusal(await admin.post(`${path}/faults`, body));
  const bad = "422 ERR_CONSISTENCY_BAD_FAULT";
  assert.equal(await inject({ kind: "crash" }), `${bad} /replicas`);
  assert.equal(await inject({ kind: "crash", replicas: ["n9"] }), `${bad} /replicas/0`);
  assert.equal(await inject({ kind: "crash", replicas: ["n1"], ratio: 1 }), `${bad} /ratio`);
  const twice = [["n1"], ["n1", "n2", "n3"]];
  assert.equal(await inject({ kind: "partition", groups: twice }), `${bad} /groups/1/0`);
  const apart = [["n1"], ["n2"], ["n3"]];
  const injected = await admin.post(`${path}/faults`, { kind: "partition", groups: apart });
  assert.equal(injected.status, 200, injected.text);
  assert.equal(injected.body.items.at(-1).return, null);
  assert.equal((await admin.get(`${path}/status`)).body.activeFaults > 0, true);
  const refused = await admin.put(`${path}/keys/a`, { value: 2 });
  assert.ok([503, 504].includes(refused.status), refused.text);
  const eventual = await admin.get(`${path}/keys/a?consistency=eventual`);
  assert.equal(eventual.status, 200, "an eventual read needs no majority");
  const healed = await admin.delete(`${path}/faults`);
  assert.ok(healed.body.items.every((one: { return: number | null }) => one.return !== null));
  const types = (await events()).map(({ type }) => type);
  assert.ok(types.includes("store.fault_injected") && types.includes("store.healed"));
  const breakers = await admin.get(`${path}/breakers`);
  assert.deepEqual(
    breakers.body.items.map((one: { replica: string }) => one.replica),
    ["n1", "n2", "n3"],
  );
});

// Guards against workloads without an end, without a verdict, or two at once.
test("a workload runs with its faults, is checked, and is alone", async (t) => {
  const { admin, events } = await startConsistency(t);
  const { id } = await makeStore(admin);
  const path = `/stores/${id}`;
  const faults = [
    { atMs: 100, fault: { kind: "crash", replicas: ["n1"] } },
    { atMs: 400, heal: true },
  ];
  const wanted = { clients: 3, operations: 150, keys: 2, levels: ["strong", "session"], faults };
  const key = { "idempotency-key": "w1" };
  const begun = await admin.post(`${path}/workloads`, wanted, key);
  assert.equal(begun.status, 202, begun.text);
  assert.equal((await admin.post(`${path}/workloads`, wanted, key)).body.id, begun.body.id);
  const second = await admin.post(`${path}/workloads`, wanted);
  assert.equal(refusal(second), "409 ERR_CONSISTENCY_RUN_UNDER_WAY");
  const run = await over(admin, `${path}/runs/${begun.body.id}`);
  assert.deepEqual([run.state, run.status], ["done", "ok"], JSON.stringify(run));
  assert.deepEqual(run.progress, { done: 150, total: 150 });
  const { ok, refused, unknown } = run.summary;
  assert.equal(ok + refused + unknown, 150);
  const check = await admin.get(`/checks/${run.checkId}`);
  assert.equal(check.body.status, "ok");
  assert.equal(check.body.storeId, id);
  assert.equal((await admin.get(`${path}/status`)).body.activeFaults, 0);
  const types = (await events()).map(({ type }) => type);
  assert.ok(types.includes("run.started") && types.includes("run.finished"));
  const listed = await admin.get(`${path}/runs`);
  assert.equal(listed.body.items.length, 1);
});

// Guards against runs that can't be stopped, and faults that outlive them.
test("a workload is cancelled, and its faults with it", async (t) => {
  const { admin } = await startConsistency(t);
  const { id } = await makeStore(admin);
  const path = `/stores/${id}`;
  const faults = [{ atMs: 0, fault: { kind: "delay", replicas: ["n2"], delayMs: 50 } }];
  const begun = await admin.post(`${path}/workloads`, { durationSeconds: 60, faults });
  const one = `${path}/runs/${begun.body.id}`;
  assert.equal((await admin.post(`${one}/cancel`)).status, 200);
  assert.equal((await over(admin, one)).state, "cancelled");
  assert.equal((await admin.get(`${path}/status`)).body.activeFaults, 0);
  assert.equal(refusal(await admin.post(`${one}/cancel`)), "409 ERR_CONSISTENCY_NOT_RUNNING");
  const refused = async (body: object) => refusal(await admin.post(`${path}/workloads`, body));
  const bad = "422 ERR_CONSISTENCY_BAD_RUN";
  assert.equal(await refused({ operations: 5, durationSeconds: 5 }), `${bad} /durationSeconds`);
  assert.equal(await refused({ levels: ["bounded"] }), `${bad} /levels/0`);
  assert.equal(await refused({ faults: [{ atMs: 1 }] }), `${bad} /faults/0`);
  assert.equal(await refused({ operations: 1e9 }), "422 ERR_REQUEST_INVALID /operations");
});

interface Seen {
  readonly status: string;
  readonly words: string;
  readonly summary: {
    readonly isolated: { readonly ok: number; readonly refused: number; readonly unknown: number };
    readonly slowestRefusalMs: number | null;
    readonly fastestRejectionMs: number | null;
    readonly beyondBound: number;
    readonly breakerMoves: readonly string[];
  };
}

const timeoutMs = 800;
const shows: Record<string, [ExperimentName, (seen: Seen) => void][]> = {
  CP: [
    [
      "partition-cp",
      ({ summary }) => {
        assert.equal(summary.isolated.ok, 0, "a minority has answered");
        assert.ok(summary.isolated.refused + summary.isolated.unknown > 0);
        assert.ok(summary.slowestRefusalMs! <= timeoutMs);
      },
    ],
    ["failover-lost-write", ({ words }) => assert.match(words, /0 acknowledged writes were gone/)],
    ["stale-read", ({ words }) => assert.match(words, /missed up to/)],
    ["read-your-writes", ({ words }) => assert.match(words, /tokens/)],
    [
      "breaker-cycle",
      ({ summary }) => {
        const states = new Set(summary.breakerMoves.map((move) => move.split(" ")[1]));
        assert.deepEqual(
          [...states].toSorted((a, b) => a!.localeCompare(b!)),
          ["closed", "half-open", "open"],
        );
        assert.ok(summary.fastestRejectionMs! < timeoutMs / 10);
      },
    ],
  ],
  AP: [
    [
      "partition-ap",
      ({ summary }) => {
        assert.ok(summary.isolated.ok > 0, "who was cut off has not answered");
        assert.equal(summary.beyondBound, 0);
      },
    ],
    ["read-your-writes", ({ words }) => assert.match(words, /tokens/)],
  ],
};

// Guards against experiments that end without a verdict, or show something else than they say.
for (const mode of ["CP", "AP"] as const) {
  test(`each experiment on ${mode} ends in a verdict and plain words`, async (t) => {
    const { admin } = await startConsistency(t);
    const bounds = mode === "AP" ? { maxStalenessMs: 300 } : {};
    const { id } = await makeStore(admin, { mode, operationTimeoutMs: timeoutMs, ...bounds });
    const path = `/stores/${id}`;
    const other = mode === "CP" ? "partition-ap" : "partition-cp";
    const wrong = await admin.post(`${path}/experiments`, { name: other });
    assert.equal(refusal(wrong), "422 ERR_CONSISTENCY_BAD_RUN /name");
    for (const [name, look] of shows[mode]!) {
      const begun = await admin.post(`${path}/experiments`, { name });
      assert.equal(begun.status, 202, begun.text);
      const run = await over(admin, `${path}/runs/${begun.body.id}`);
      assert.equal(run.state, "done", JSON.stringify(run));
      assert.equal(run.status, "ok", run.words);
      look(run);
      const page = await admin.get(`/checks/${run.checkId}/page`);
      assert.match(page.text, new RegExp(name));
    }
  });
}
