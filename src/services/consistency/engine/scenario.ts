import type { BreakerEvent, HistoryMeta, LevelName, Operation, Version } from "../rules/history.ts";
import { admit, type BreakerOptions, createBreaker, rejected, settleCall } from "./breaker.ts";
import { type Chance, createChance } from "./chance.ts";
import { type Cluster, createCluster, type Mode, replicaName } from "./cluster.ts";
import { newerOf, noVersion } from "./member.ts";
import type { Protocol } from "./protocol.ts";
import { type Asked, operationOf, type Recording, rejection, withVersions } from "./recorder.ts";
import { createScheduler, type Scheduler } from "./scheduler.ts";
import { runNemesis } from "./nemesis.ts";
import type { Answer, Settings, Token, Write } from "./types.ts";

/** A run of a cluster in virtual time: the same options give the same bytes of history. */
export interface Scenario {
  readonly seed: number;
  readonly mode: Mode;
  readonly settings: Settings;
  readonly clients: number;
  readonly operationsEach: number;
  readonly keys: number;
  readonly readRatio: number;
  readonly levels: readonly LevelName[];
  /** How long faults come and go; 0 for none. */
  readonly faultsMs: number;
  readonly breaker: BreakerOptions | null;
  readonly protocol?: Protocol;
}

const wallMs = 1_000_000;
const quietMs = 5_000;
const quietAtLeastMs = 400;
const longestMs = 120_000;

interface Run {
  readonly scenario: Scenario;
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly cluster: Cluster;
  readonly operations: Operation[];
  readonly events: BreakerEvent[];
  readonly breakers: readonly ReturnType<typeof createBreaker>[];
  calls: number;
  busy: number;
}

/**
 * Runs clients and faults to their end, heals, waits until all is quiet, and looks at each
 * replica.
 */
export function runScenario(scenario: Scenario): Recording {
  const { seed, mode, settings, clients, faultsMs, protocol } = scenario;
  const scheduler = createScheduler();
  const options = { mode, seed, settings, scheduler, wallMs, ...(protocol && { protocol }) };
  const cluster = createCluster(options);
  const chance = createChance(seed ^ 0x5bd1e995);
  const events: BreakerEvent[] = [];
  const breakers = scenario.breaker
    ? Array.from({ length: settings.replicas }, (_, at) =>
        createBreaker(replicaName(at), scenario.breaker!, (event) => void events.push(event)),
      )
    : [];
  const run: Run = {
    scenario,
    scheduler,
    chance,
    cluster,
    operations: [],
    events,
    breakers,
    calls: 0,
    busy: clients,
  };
  for (let client = 0; client < clients; client += 1) startClient(run, client);
  if (faultsMs > 0) runNemesis({ scheduler, chance, cluster, settings, untilMs: faultsMs });
  let now = 0;
  while ((run.busy > 0 || now < faultsMs) && now < longestMs) {
    now += settings.heartbeatMs;
    scheduler.runUntil(now);
  }
  cluster.heal();
  settleDown(run);
  readFinals(run);
  return {
    meta: metaOf(scenario),
    operations: withVersions(run.operations, cluster.versionOf),
    faults: cluster.faults(),
    breakers: events,
  };
}

/**
 * Waits until all replicas hold the same, under a leader that has committed something, or too
 * long.
 */
function settleDown({ scheduler, scenario, cluster }: Run): void {
  const start = scheduler.nowMs();
  for (let ms = quietAtLeastMs; ms <= quietMs; ms += scenario.settings.heartbeatMs) {
    scheduler.runUntil(start + ms);
    const all = cluster.status();
    const [first] = all;
    const isSame = all.every(
      ({ applied, held }) =>
        applied.term === first!.applied.term &&
        applied.seq === first!.applied.seq &&
        held === first!.held,
    );
    const isLed =
      scenario.mode === "AP" ||
      all.some(({ role, term, applied }) => role === "leader" && term === applied.term);
    if (isSame && isLed) return;
  }
}

function metaOf({ mode, settings, levels, breaker, seed }: Scenario): Partial<HistoryMeta> {
  // Other levels may be refused in AP: a session's barrier and a bound need to hear of others.
  const isPromised =
    mode === "CP" || (breaker === null && levels.every((one) => one === "eventual"));
  return {
    name: `${mode} ${seed}`,
    versions: "global",
    maxStalenessMs: settings.maxStalenessMs,
    maxStalenessVersions: settings.maxStalenessVersions,
    operationTimeoutMs: settings.operationTimeoutMs,
    mode: isPromised ? mode : null,
    ...(breaker && {
      breaker: { failures: breaker.failures, openMs: breaker.openMs, probes: breaker.probes },
    }),
  };
}

interface Client {
  readonly name: string;
  home: number;
  left: number;
  token: Token | null;
  /** What it has last read of each key. */
  readonly seen: Map<string, { value: unknown; version: Version | null }>;
}

function startClient(run: Run, at: number): void {
  const { scenario, scheduler, chance } = run;
  const client: Client = {
    name: `c${at}`,
    home: chance.below(scenario.settings.replicas),
    left: scenario.operationsEach,
    token: null,
    seen: new Map(),
  };
  const next = () => {
    if (client.left === 0) {
      run.busy -= 1;
      return;
    }
    client.left -= 1;
    call(run, client, () => scheduler.after(chance.between(0.5, 40), next));
  };
  scheduler.after(chance.between(0, 200), next);
}

function call(run: Run, client: Client, then: () => void): void {
  const { scenario, chance, cluster, scheduler } = run;
  run.calls += 1;
  const id = `o${run.calls}`;
  if (chance.isHit(0.25)) client.home = chance.below(scenario.settings.replicas);
  const replica = client.home;
  const key = `k${chance.below(scenario.keys)}`;
  const level = scenario.levels[chance.below(scenario.levels.length)]!;
  const seen = client.seen.get(key);
  const write = chance.isHit(scenario.readRatio) ? null : writeOf(run, id, key, seen?.version);
  const { token } = client;
  const asked: Asked = {
    id,
    process: client.name,
    replica: replicaName(replica),
    key,
    level,
    write,
    expectedValue: write?.op === "cas" ? (seen?.value ?? null) : null,
    token: scenario.mode === "CP" ? (token?.version ?? null) : null,
    call: scheduler.nowMs(),
  };
  const end = (answer: Pick<Answer, "status" | "value" | "version">) => {
    run.operations.push(operationOf(asked, answer, scheduler.nowMs()));
    then();
  };
  const breaker = run.breakers[replica];
  const epoch = breaker ? admit(breaker, scheduler.nowMs(), id) : 0;
  if (epoch === rejected) return end(rejection);
  cluster.ask(replica, { id, level, key, write, token }, (answer) => {
    if (breaker) {
      const isOk = answer.status === "ok" || answer.status === "mismatch";
      const tookMs = scheduler.nowMs() - asked.call;
      settleCall(breaker, { epoch, call: id, isOk, tookMs }, scheduler.nowMs());
    }
    learn(client, key, answer);
    end(answer);
  });
}

function learn(client: Client, key: string, { status, token, value, version }: Answer): void {
  if (token) {
    const before = client.token;
    const vector = token.vector?.map((count, at) => Math.max(count, before?.vector?.[at] ?? 0));
    client.token = {
      version: newerOf(token.version, before?.version ?? noVersion),
      vector: vector ?? null,
    };
  }
  if (status === "ok") client.seen.set(key, { value, version });
}

function writeOf(run: Run, id: string, key: string, seen: Version | null | undefined): Write {
  const { chance, scenario } = run;
  const kind = chance.float();
  const common = { id, key, value: `v${id.slice(1)}`, expected: null };
  if (kind < 0.1) return { ...common, op: "delete", value: null };
  if (kind < 0.3 && scenario.mode === "CP" && seen !== undefined) {
    return { ...common, op: "cas", expected: seen };
  }
  return { ...common, op: "write" };
}

function readFinals({ scenario, cluster, scheduler, operations }: Run): void {
  const now = scheduler.nowMs();
  for (let key = 0; key < scenario.keys; key += 1) {
    for (let replica = 0; replica < scenario.settings.replicas; replica += 1) {
      const cell = cluster.cellOf(replica, `k${key}`);
      const name = replicaName(replica);
      operations.push({
        id: `f${key}-${name}`,
        process: "probe",
        key: `k${key}`,
        op: "read",
        value: cell?.value ?? null,
        level: "eventual",
        call: now,
        return: now,
        outcome: "ok",
        replica: name,
        version: cell?.version ?? noVersion,
        final: true,
      });
    }
  }
}
