import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { withClient } from "#kernel/db/roles.ts";
import { connectDocker } from "../tests/support/leases-eyes.ts";
import { type LeasesHouse, openLeasesHouse, type Slot } from "../tests/support/leases-house.ts";
import { hasCli, modelOf, remove, removeAll, runByApi, runByCli } from "./leases-bare.ts";
import { line } from "./load.ts";

/**
 * How long a lease takes to run, alone and a hundred at once, beside bare `docker run` of the same
 * container in the same rounds; how late leases end; what sleeping ones cost.
 *
 *   npm run bench -- leases [--rounds 20] [--burst 100] [--leases 500] [--runtime docker|process]
 *
 * The Docker Engine is that of DOCKER_HOST, with the image of PLIMSOLL_TEST_DOCKER_IMAGE.
 */
const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    burst: { type: "string", default: "100" },
    leases: { type: "string", default: "500" },
    "idle-seconds": { type: "string", default: "60" },
    runtime: { type: "string", default: "docker" },
  },
});
const rounds = Number(args.rounds);
const burst = Number(args.burst);
const many = Number(args.leases);
const idleSeconds = Number(args["idle-seconds"]);
const isDocker = args.runtime === "docker";
const { DOCKER_HOST, PLIMSOLL_TEST_DOCKER_HOST, PLIMSOLL_TEST_DOCKER_IMAGE } = process.env;
const host = PLIMSOLL_TEST_DOCKER_HOST ?? DOCKER_HOST ?? "unix:///var/run/docker.sock";
const image = isDocker ? (PLIMSOLL_TEST_DOCKER_IMAGE ?? "busybox") : "alpine";
const command = ["sleep", "3600"];
const size = { cpuMillis: 100, memoryMb: 32 };
const warmup = 2;
const longSeconds = 3_600;
const patienceMs = 300_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const ms = (value: number) => `${value.toFixed(0)} ms`;

/** The value below which so many of a hundred are. */
function percentile(figures: readonly number[], part: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((part / 100) * sorted.length) - 1)] as number;
}

function spread(name: string, figures: readonly number[], target = ""): void {
  const shown = [50, 95, 99].map((part) => ms(percentile(figures, part))).join(" / ");
  line(`${name}: p50 / p95 / p99`, shown, target);
}

async function timed<T>(work: () => Promise<T>): Promise<{ tookMs: number; result: T }> {
  const startMs = performance.now();
  const result = await work();
  return { tookMs: performance.now() - startMs, result };
}

interface Bench {
  house: LeasesHouse;
  server: Slot;
}

/** Asks for a container of the usual kind and waits until it runs; the lease's id. */
const lease = (bench: Bench): Promise<string> =>
  askFor(bench, { image, command, ...size, ttlSeconds: longSeconds });

async function askFor({ house, server }: Bench, body: object): Promise<string> {
  const { status, body: made } = await house.ask(server, "POST", "/leases?wait=60", { body });
  if (status === 202 && made.state === "running") return made.id;
  throw new Error(`POST /leases answered ${status} ${JSON.stringify(made)}`);
}

async function end({ house, server }: Bench, ids: readonly string[]): Promise<void> {
  await atOnce(ids, 20, (id) => house.ask(server, "DELETE", `/leases/${id}`));
  await untilContainers(house, 0);
}

/** Waits until so many containers are there. */
async function untilContainers(house: LeasesHouse, count: number): Promise<void> {
  const endMs = performance.now() + patienceMs;
  for (;;) {
    const { containers } = await house.eyes.look();
    if (containers.length === count) return;
    if (performance.now() > endMs) {
      throw new Error(`There are ${containers.length} containers and should be ${count}`);
    }
    await pause(100);
  }
}

/** Does it for each, so many at once. */
async function atOnce<T>(items: readonly T[], most: number, work: (item: T) => Promise<unknown>) {
  const left = [...items];
  const hand = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: most }, hand));
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** One lease at a time and one bare container at a time, in turn. */
async function compareCold(bench: Bench): Promise<void> {
  const docker = connectDocker(host);
  const first = await lease(bench);
  const [name = ""] = (await bench.house.eyes.look()).containers;
  const model = await modelOf(docker, name);
  await end(bench, [first]);
  const isCli = await hasCli();
  const leases: number[] = [];
  const bare: number[] = [];
  const cli: number[] = [];
  for (let round = 0; round < rounds + warmup; round += 1) {
    const ours = await timed(() => lease(bench));
    await end(bench, [ours.result]);
    const theirs = await timed(() => runByApi(docker, model));
    await remove(docker, theirs.result);
    const typed = isCli ? await timed(() => runByCli(host, model)) : null;
    if (typed) await remove(docker, typed.result);
    if (round < warmup) continue;
    leases.push(ours.tookMs);
    bare.push(theirs.tookMs);
    if (typed) cli.push(typed.tookMs);
  }
  spread(`one at a time, ${rounds} rounds: lease, from asking to running`, leases);
  spread("  the same container by the engine's API: create, start", bare);
  if (isCli) spread("  the same container by docker run -d", cli);
  const over = (them: number[]) => percentile(leases, 50) / percentile(them, 50) - 1;
  const shown = (value: number) => `${(value * 100).toFixed(1)} %`;
  if (isCli) line("  added over docker run -d, at the median", shown(over(cli)), "≤ 15 %");
  line("  added over the engine's API, at the median", shown(over(bare)));
}

/** Of a template that keeps containers ready, asked for one at a time. */
async function measureWarm(bench: Bench): Promise<void> {
  const { house, server } = bench;
  const body = { name: "warm", image, command, ...size, warmSize: 2 };
  const made = await house.ask(server, "POST", "/leases/templates", { body });
  if (made.status !== 201) throw new Error(`POST /leases/templates answered ${made.status}`);
  const took: number[] = [];
  for (let round = 0; round < rounds + warmup; round += 1) {
    await untilContainers(house, body.warmSize);
    // They are there, and some moments later they are written down as ready.
    await pause(500);
    const asked = { template: "warm", ttlSeconds: longSeconds };
    const ours = await timed(() => askFor(bench, asked));
    if (round >= warmup) took.push(ours.tookMs);
    await house.ask(server, "DELETE", `/leases/${ours.result}`);
  }
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const hits =
    /^plimsoll_leases_pool_claims_total\{[^}]*result="hit"[^}]*\} (\d+)/m.exec(metrics)?.[1] ?? "?";
  const what = `${rounds + warmup} leases of a template with a pool, ${hits} from it`;
  spread(what, took, "p95 ≤ 150 ms");
  await house.ask(server, "DELETE", `/leases/templates/${made.body.id}`);
  await untilContainers(house, 0);
}

async function coldOnly(bench: Bench): Promise<void> {
  const leases: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const ours = await timed(() => lease(bench));
    leases.push(ours.tookMs);
    await end(bench, [ours.result]);
  }
  spread(`one at a time, ${rounds} rounds: lease, from asking to running`, leases);
}

/** A hundred asked at once; then all of them end at one moment. */
async function measureBurst(bench: Bench): Promise<void> {
  const took: number[] = [];
  const ids: string[] = [];
  const all = await timed(() =>
    Promise.all(
      numbers(burst).map(async () => {
        const { tookMs, result } = await timed(() => lease(bench));
        took.push(tookMs);
        ids.push(result);
      }),
    ),
  );
  line(`${burst} asked at once: all run after`, ms(all.tookMs), `${ids.length} of ${burst} run`);
  spread("  each of them", took);
  if (isDocker) {
    const docker = connectDocker(host);
    const [name = ""] = (await bench.house.eyes.look()).containers;
    const model = await modelOf(docker, name);
    const made: string[] = [];
    const bare = await timed(() =>
      atOnce(numbers(burst), 8, async () => made.push(await runByApi(docker, model))),
    );
    line(`  ${burst} bare containers, 8 at a time: all run after`, ms(bare.tookMs));
    await atOnce(made, 8, (id) => remove(docker, id));
  }
  const untilMs = Date.now() + 10_000;
  await atOnce(ids, 20, (id) => renew(bench, id, Math.ceil((untilMs - Date.now()) / 1_000)));
  await reportLag(bench, ids, `${burst} that end within a second`);
}

async function renew({ house, server }: Bench, id: string, ttlSeconds: number): Promise<void> {
  const body = { ttlSeconds };
  const { status } = await house.ask(server, "POST", `/leases/${id}/renew`, { body });
  if (status !== 200) throw new Error(`POST /leases/${id}/renew answered ${status}`);
}

/** From each deadline until its end was decided, and until its container was gone. */
async function reportLag({ house }: Bench, ids: readonly string[], what: string): Promise<void> {
  const read = () =>
    withClient(house.ownerUrl, async (client) => {
      await client.query("select set_config('app.tenant_id', $1, false)", [house.tenantId]);
      const { rows } = await client.query<{ decidedMs: number; goneMs: number }>(
        `select extract(epoch from a.at - l.ends_at)::float8 * 1000 as "decidedMs",
                extract(epoch from l.ended_at - l.ends_at)::float8 * 1000 as "goneMs"
           from leases.lease l join platform.audit a
             on a.tenant_id = l.tenant_id and a.resource_id = l.id::text
            and a.action = 'lease.expire'
          where l.id = any($1::uuid[]) and l.ended_at is not null`,
        [ids],
      );
      return rows;
    });
  const endMs = performance.now() + patienceMs;
  let rows = await read();
  for (; rows.length < ids.length && performance.now() < endMs; rows = await read()) {
    await pause(500);
  }
  if (rows.length < ids.length) throw new Error(`${rows.length} of ${ids.length} have ended`);
  const decided = rows.map(({ decidedMs }) => decidedMs);
  spread(`${what}: deadline to its end being decided`, decided, "p99 ≤ 2000 ms");
  spread(
    "  to its container being gone",
    rows.map(({ goneMs }) => goneMs),
  );
}

const ticksPerSecond = 100;

/** Seconds of the processor that a process has used. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

async function measureMany(bench: Bench): Promise<void> {
  const ids: string[] = [];
  const all = await timed(() =>
    atOnce(numbers(many), 24, async () => ids.push(await lease(bench))),
  );
  line(`${many} leases, 24 asked for at a time: all run after`, ms(all.tookMs));
  await pause(5_000);
  const pid = bench.server.server?.pid as number;
  const beforeSeconds = cpuSeconds(pid);
  await pause(idleSeconds * 1_000);
  const part = (cpuSeconds(pid) - beforeSeconds) / idleSeconds;
  line(
    `${many} sleeping leases: processor of the server`,
    `${(part * 100).toFixed(1)} %`,
    "of one",
  );
  const spreadSeconds = 60;
  await atOnce(ids, 20, (id) => renew(bench, id, 30 + (ids.indexOf(id) % spreadSeconds)));
  await reportLag(bench, ids, `${many} that end within ${spreadSeconds} s`);
}

await using left = new AsyncDisposableStack();
if (isDocker) left.defer(() => removeAll(connectDocker(host)));
const house = await openLeasesHouse(left, 1, {
  engine: { runtime: isDocker ? "docker" : "process", host: isDocker ? host : null, image },
  env: {
    LEASES_MIN_TTL_SECONDS: "1",
    LEASES_MAX_TTL_SECONDS: "7200",
    LEASES_QUOTA_LEASES: "5000",
    LEASES_QUOTA_CPU_MILLIS: "10000000",
    LEASES_QUOTA_MEMORY_MB: "10000000",
  },
});
const bench: Bench = { house, server: house.servers[0] as Slot };
console.log(`${args.runtime}, ${image}, load ${readFileSync("/proc/loadavg", "utf8").trim()}`);
if (rounds > 0) await (isDocker ? compareCold(bench) : coldOnly(bench));
if (rounds > 0) await measureWarm(bench);
if (burst > 0) await measureBurst(bench);
if (many > 0) await measureMany(bench);
