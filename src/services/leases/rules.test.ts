import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "#kernel/config.ts";
import { leaseIn, second, startMs } from "./fixtures/leases.ts";
import { leasesConfigOf } from "./rules/config.ts";
import { mismatchOf, orphanOf } from "./rules/drift.ts";
import { allowedImage, parseImage, parseImageRules, priceOf } from "./rules/images.ts";
import { costMicrosOf, lastsMs, minorOf, rateOf, totalCostMicros } from "./rules/money.ts";
import { monthStartMs, spentUpMs } from "./rules/quota.ts";
import { leasesSettings, limitsOf } from "./rules/settings.ts";
import type { Container } from "./runtimes/types.ts";

// Guards against money that is lost or made by rounding.
test("costs are whole millionths, rounded once, however long and however dear", () => {
  const price = { cpuHourMinor: 4, gbHourMinor: 1, flatMinor: 0 };
  const rate = rateOf(price, { cpuMillis: 500, memoryMb: 512 });
  assert.equal(costMicrosOf(rate, 3_600_000), 2_500_000n);
  assert.equal(costMicrosOf(rate, 1), 1n, "0.694 rounds up");
  assert.equal(costMicrosOf(rate, 0), 0n);
  assert.equal(costMicrosOf(rate, -5), 0n);
  const dear = { cpuHourMinor: 1_000_000, gbHourMinor: 1_000_000, flatMinor: 0 };
  const most = rateOf(dear, { cpuMillis: 256_000, memoryMb: 4_194_304 });
  const year = 365 * 86_400_000;
  assert.equal(costMicrosOf(most, year), BigInt(256 + 4_096) * 8_760n * 10n ** 12n);
  assert.equal(minorOf(1_499_999n), 1);
  assert.equal(minorOf(1_500_000n), 2);
  assert.throws(() => minorOf(10n ** 40n), RangeError);
  // Whatever it is cut into, no part is off by more than half of a millionth.
  const whole = costMicrosOf(rate, 86_400_000);
  const parts = Array.from({ length: 24 }, () => costMicrosOf(rate, 3_600_000));
  assert.equal(
    parts.reduce((sum, part) => sum + part, 0n),
    whole,
  );
});

// Guards against a flat price that is paid before a lease runs, or more than once.
test("the flat price is part of the first interval", () => {
  const flatMicros = 5_000_000n;
  const running = leaseIn("running", { flatMicros, rate: 0n });
  assert.equal(totalCostMicros(running, startMs), flatMicros);
  assert.equal(totalCostMicros(leaseIn("starting", { flatMicros }), startMs), 0n);
  const again = { ...running, runningSinceMs: startMs + second, costMicros: flatMicros };
  assert.equal(totalCostMicros(again, startMs + 9 * second), flatMicros);
});

// Guards against a budget that ends too late or too soon.
test("how long a budget lasts is exact at a rate", () => {
  const rate = rateOf(
    { cpuHourMinor: 360, gbHourMinor: 0, flatMinor: 0 },
    { cpuMillis: 1_000, memoryMb: 1 },
  );
  assert.equal(lastsMs(1_000_000n, rate), 10_000);
  assert.equal(lastsMs(1n, 0n), null);
  assert.equal(lastsMs(0n, rate), 0);
  assert.equal(spentUpMs(2, { spentMicros: 1_000_000n, rate }, startMs), startMs + 10_000);
  assert.equal(spentUpMs(2, { spentMicros: 3_000_000n, rate }, startMs), startMs - 10_000);
  assert.equal(monthStartMs(Date.UTC(2026, 1, 28, 23, 59)), Date.UTC(2026, 1, 1));
});

// Guards against an image that is allowed because its name looks like one that is.
test("an image is allowed by its name, its tag or its digest, and by nothing else", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const rules = parseImageRules(`alpine, node:24 ,ghcr.io/acme/tool, busybox:1@${digest}`);
  assert.ok(rules);
  const allowed = (text: string) => allowedImage(text, rules);
  for (const text of [
    "alpine",
    "alpine:3.20",
    "library/alpine",
    "docker.io/library/alpine:edge",
    `alpine@${digest}`,
    "node:24",
    "ghcr.io/acme/tool:1.2",
    `busybox:1@${digest}`,
    `busybox@${digest}`,
  ]) {
    assert.equal(allowed(text), text);
  }
  assert.equal(allowed("busybox:1"), `busybox:1@${digest}`, "pinned");
  assert.equal(allowed("busybox"), `busybox:1@${digest}`, "pinned");
  for (const text of [
    "node",
    "node:22",
    "alpine2",
    "acme/alpine",
    "evil.test/alpine",
    "evil.test/library/alpine",
    "busybox:2",
    `busybox@sha256:${"b".repeat(64)}`,
    "Alpine",
    "alpine:",
    "alpine:../x",
    "alpine@sha256:abc",
    "-alpine",
    "alpine/../node:24",
    "alpine\n",
    "",
  ]) {
    assert.equal(allowed(text), null, text);
  }
  assert.deepEqual(parseImage("localhost:5000/a/b:c"), {
    repository: "localhost:5000/a/b",
    tag: "c",
    digest: null,
  });
  assert.equal(parseImageRules("alpine,!"), null);
});

// Guards against a price that is another image's.
test("a price is the most particular one that names the image", () => {
  const { prices } = leasesConfigOf({ LEASES_PRICES: "node=2:0:0,node:24=3:0:0,*=1:0:0" });
  const cpu = (image: string) => priceOf(image, prices).cpuHourMinor;
  assert.deepEqual(["node:24", "node:22", "node", "alpine"].map(cpu), [3, 2, 2, 1]);
});

// Guards against a typing error in a variable that is taken for a default.
test("every variable that is wrong or unknown is named", () => {
  const wrong = {
    LEASES_RUNTIME: "podman",
    LEASES_ALLOWED_IMAGES: "alpine, !",
    LEASES_MAX_TTL_SECONDS: "two hours",
    LEASES_QUOTA_LEASES: "-1",
    LEASES_CURRENCY: "pounds",
    LEASES_PRICES: "alpine=1:1:1",
    LEASES_MAX_TTL: "7",
  };
  assert.throws(
    () => leasesConfigOf(wrong),
    (error: ConfigError) => {
      const named = error.faults.map(({ name }) => name).sort();
      assert.deepEqual(named, Object.keys(wrong).sort());
      assert.doesNotMatch(error.message, /podman|two hours|pounds/);
      return true;
    },
  );
  const backwards = { LEASES_MIN_TTL_SECONDS: "600", LEASES_MAX_TTL_SECONDS: "60" };
  assert.throws(() => leasesConfigOf(backwards), ConfigError);
});

// Guards against a setting that nothing reads, and a default that is not what the page says.
test("a tenant's settings stand in the place of the variables, each of them", () => {
  const config = leasesConfigOf({ DOCKER_HOST: "unix:///run/docker.sock" });
  const usual = limitsOf(config, {});
  assert.deepEqual(
    [usual.minTtlSeconds, usual.maxTtlSeconds, usual.hardCapSeconds, usual.maxCpuMillis],
    [60, 7_200, 86_400, 2_000],
  );
  assert.deepEqual([usual.maxMemoryMb, usual.maxDiskMb, usual.runtime], [2_048, 5_120, "auto"]);
  for (const name of Object.keys(leasesSettings)) {
    const values: Record<string, unknown> = {
      runtime: "process",
      allowed_images: "debian",
      docker_host: "tcp://10.0.0.9:2376",
      kubeconfig: "/etc/kube.conf",
      warm_platform_templates: true,
    };
    const set = limitsOf(config, { [name]: values[name] ?? 7 });
    assert.notDeepEqual(set, usual, name);
  }
});

const found: Container = {
  id: "c1",
  name: "plm-x",
  identity: {
    installId: "x",
    tenantId: "t",
    leaseId: "019b76da-a800-7000-8000-000000000001",
    generation: 1,
  },
  state: "running",
  createdAt: new Date(startMs).toISOString(),
  startedAt: null,
  exitedAt: null,
  exitCode: null,
  outOfMemory: false,
  isolation: {} as never,
};

// Guards against a container that is taken for a stray while somebody makes it or needs it.
test("a container is a stray only if it is old, and no lease at work may want it", () => {
  const late = startMs + 60 * second;
  assert.equal(orphanOf(found, null, late)?.kind, "orphan_container");
  assert.equal(orphanOf(found, null, late - 1), null, "too young to judge");
  assert.equal(orphanOf(found, leaseIn("running"), late), null);
  assert.equal(orphanOf(found, leaseIn("pending"), late), null);
  assert.equal(orphanOf(found, leaseIn("ended"), late)?.kind, "orphan_container");
  const newer = leaseIn("running", { generation: 2 });
  assert.equal(orphanOf(found, newer, late)?.kind, "orphan_container");
  const held = { ...newer, stepUntilMs: late + 1 };
  assert.equal(orphanOf(found, held, late), null, "its maker removes it");
  const next = { ...found, identity: { ...found.identity, generation: 2 } };
  assert.equal(orphanOf(next, leaseIn("running"), late), null, "of the generation to come");
});

// Guards against a repair of what is just being done.
test("a lease differs from its container only while nobody works on it", () => {
  const late = startMs + 60 * second;
  assert.equal(mismatchOf(leaseIn("running"), found, late), null);
  assert.equal(mismatchOf(leaseIn("running"), null, late)?.kind, "missing_container");
  assert.equal(mismatchOf(leaseIn("paused"), found, late)?.kind, "state_mismatch");
  const held = leaseIn("running", { stepUntilMs: late + 1 });
  assert.equal(mismatchOf(held, null, late), null);
  for (const state of ["pending", "starting", "stopping", "ended", "failed"] as const) {
    assert.equal(mismatchOf(leaseIn(state), null, late), null, state);
  }
});
