import { randomUUID } from "node:crypto";
import type { Answer, LeasesHouse, Told } from "../tests/support/leases-house.ts";

/** A lease that somebody was promised. */
export interface Promised {
  readonly id: string;
  /** Before this it must not end for its time to live: what its last renewal was answered with. */
  expiresAtMs: number;
  isWritable: boolean;
  /** Somebody does something with it now. */
  isBusy: boolean;
  isOver: boolean;
}

/** What the clients of a drill asked for, and were told. */
export interface Ledger {
  /** Requests that were answered, by what they asked for. */
  readonly answered: Map<string, number>;
  /** Requests without an answer: their server died. */
  unanswered: number;
  /** Answers that nobody should get, such as `create: 500 …`. */
  readonly bad: string[];
  /** Creates that were asked for, by the name that they gave. */
  readonly asked: Set<string>;
  readonly promised: Map<string, Promised>;
}

export interface LoadOptions {
  house: LeasesHouse;
  clients: number;
  /** Of leases that live at once. */
  leasesMost: number;
  /** The template whose containers are kept ready. */
  poolId: string;
  random: () => number;
}

export interface Load {
  readonly ledger: Ledger;
  /** What is asked for more often than the rest from now on, such as "pause". */
  focus: string | null;
  /** While a server starts, clients ask for less, so that it gets its share of the processor. */
  isCalm: boolean;
  stop(): Promise<Ledger>;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** How often somebody who got no answer asks again, with the same key. */
const attemptsMost = 60;
const betweenAttemptsMs = 250;
const betweenRequestsMs = 30;
const calmMs = 300;

interface Client {
  readonly options: LoadOptions;
  readonly ledger: Ledger;
  readonly snapshots: Set<string>;
}

const commands = [
  ["sleep", "600"],
  ["sleep", "600"],
  ["sleep", "600"],
  ["sh", "-c", "sleep 1; exit 3"],
  ["sh", "-c", "sleep 2; exit 0"],
];

/**
 * Sends it to one server after the other until one answers: under one key it is done once, however
 * often it is sent. Null where none ever did.
 */
async function send(
  { options, ledger }: Client,
  what: string,
  method: string,
  path: string,
  told: Told = {},
): Promise<Answer | null> {
  const { house, random } = options;
  const key = method === "POST" && { "idempotency-key": randomUUID() };
  const headers = { ...told.headers, ...key };
  let turn = Math.floor(random() * house.servers.length);
  for (let attempt = 0; attempt < attemptsMost; attempt += 1) {
    const at = house.servers[turn % house.servers.length] as { url: string };
    try {
      const answer = await house.ask(at, method, path, { ...told, headers });
      const { status, body } = answer;
      if (status !== 503) {
        ledger.answered.set(what, (ledger.answered.get(what) ?? 0) + 1);
        const isExpected = status < 300 || [404, 409, 410, 412].includes(status);
        if (!isExpected) ledger.bad.push(`${what}: ${status} ${JSON.stringify(body)}`);
        return answer;
      }
    } catch {
      // Its server died, or is not there yet.
      ledger.unanswered += 1;
    }
    turn += 1;
    await pause(betweenAttemptsMs);
  }
  ledger.bad.push(`${what}: no server answered ${attemptsMost} times`);
  return null;
}

const among = (random: () => number, least: number, most: number) =>
  least + Math.floor(random() * (most - least + 1));

const living = ({ ledger }: Client): Promised[] =>
  [...ledger.promised.values()].filter(({ isOver }) => !isOver);

/** The answer's lease as it was promised; where its end has been decided nothing is. */
function note({ ledger }: Client, { body }: Answer, isWritable: boolean): void {
  const { id, expiresAt } = body;
  const known = ledger.promised.get(id);
  // Nobody is promised anything by a lease that has not run: its clock begins when it does.
  const expiresAtMs = Date.parse(expiresAt);
  if (known) known.expiresAtMs = Math.max(known.expiresAtMs, expiresAtMs);
  else ledger.promised.set(id, { id, expiresAtMs, isWritable, isBusy: false, isOver: false });
}

/** Strikes out those that have ended by themselves. */
async function seeWhoLives(client: Client): Promise<void> {
  const known = living(client);
  const answer = await send(client, "list", "GET", "/leases?live=true&limit=100");
  if (answer?.status !== 200) return;
  const alive = new Set(answer.body.items.map(({ id }: { id: string }) => id));
  for (const lease of known) lease.isOver ||= !alive.has(lease.id);
}

async function create(client: Client, isWritable = client.options.random() < 0.5): Promise<void> {
  const { ledger, options } = client;
  const { random, house } = options;
  if (living(client).length >= options.leasesMost) return seeWhoLives(client);
  const name = `chaos ${randomUUID()}`;
  ledger.asked.add(name);
  const body = {
    name,
    ...(isWritable ? { template: "box" } : { image: house.engine.image }),
    command: commands[among(random, 0, commands.length - 1)],
    cpuMillis: 100,
    memoryMb: 32,
    ttlSeconds: among(random, 2, 8),
    maxRestarts: among(random, 0, 1),
    env: { TOKEN: "s3cr3t" },
    ...(random() < 0.2 && { idleTtlSeconds: 3 }),
    ...(isWritable && random() < 0.3 && { snapshotOnEnd: true }),
    ...(random() < 0.2 && { preStop: { command: ["true"], timeoutSeconds: 5 } }),
  };
  const path = random() < 0.6 ? "/leases?wait=5" : "/leases";
  const answer = await send(client, "create", "POST", path, { body });
  if (answer?.status === 202) note(client, answer, isWritable);
}

const any = () => true;

/** Does something with a lease that nobody else does anything with; null: there is none. */
async function withLease(
  client: Client,
  isFit: (lease: Promised) => boolean,
  work: (lease: Promised) => Promise<Answer | null>,
): Promise<void> {
  const free = living(client).filter((lease) => !lease.isBusy && isFit(lease));
  const lease = free[Math.floor(client.options.random() * free.length)];
  if (!lease) return create(client, isFit !== any);
  lease.isBusy = true;
  try {
    const answer = await work(lease);
    if (answer?.status === 410 || answer?.status === 404) lease.isOver = true;
  } finally {
    lease.isBusy = false;
  }
}

const renew = (client: Client) =>
  withLease(client, any, async (lease) => {
    const body = { ttlSeconds: among(client.options.random, 2, 8) };
    const answer = await send(client, "renew", "POST", `/leases/${lease.id}/renew`, { body });
    // A renewal can also bring the end nearer.
    if (answer?.status === 200) lease.expiresAtMs = Date.parse(answer.body.expiresAt);
    return answer;
  });

const ask = (client: Client, what: "pause" | "resume" | "restart") =>
  withLease(client, any, (lease) => send(client, what, "POST", `/leases/${lease.id}/${what}`));

const pauseAndResume = (client: Client) =>
  withLease(client, any, async (lease) => {
    const path = `/leases/${lease.id}`;
    const paused = await send(client, "pause", "POST", `${path}/pause?wait=5`);
    if (paused?.status !== 202) return paused;
    return send(client, "resume", "POST", `${path}/resume?wait=5`);
  });

const snapshot = (client: Client) =>
  withLease(
    client,
    ({ isWritable }) => isWritable,
    async (lease) => {
      const path = `/leases/${lease.id}/snapshots?wait=5`;
      const answer = await send(client, "snapshot", "POST", path, { body: { name: "Kept" } });
      if (answer?.status === 202) client.snapshots.add(answer.body.id);
      return answer;
    },
  );

async function takeSnapshotId(client: Client): Promise<string | null> {
  const [id] = client.snapshots;
  if (id === undefined) await snapshot(client);
  else client.snapshots.delete(id);
  return id ?? null;
}

async function dropSnapshot(client: Client): Promise<void> {
  const id = await takeSnapshotId(client);
  if (id === null) return;
  const answer = await send(client, "drop", "DELETE", `/snapshots/${id}`);
  if (answer?.status === 409) client.snapshots.add(id);
}

async function restore(client: Client): Promise<void> {
  const id = await takeSnapshotId(client);
  if (id === null || living(client).length >= client.options.leasesMost) return;
  const name = `chaos ${randomUUID()}`;
  client.ledger.asked.add(name);
  const body = { name, ttlSeconds: among(client.options.random, 2, 6), env: { TOKEN: "s3cr3t" } };
  const answer = await send(client, "restore", "POST", `/snapshots/${id}/restore`, { body });
  if (answer?.status === 202) note(client, answer, true);
  client.snapshots.add(id);
}

/** Of a template whose containers are ready before anybody asks for them. */
async function claimWarm(client: Client): Promise<void> {
  if (living(client).length >= client.options.leasesMost) return seeWhoLives(client);
  const name = `chaos ${randomUUID()}`;
  client.ledger.asked.add(name);
  const body = { name, template: "ready", ttlSeconds: among(client.options.random, 2, 6) };
  const answer = await send(client, "create", "POST", "/leases?wait=5", { body });
  if (answer?.status === 202) note(client, answer, false);
}

/** What is ready does not fit its template any more, and goes. */
async function changePool(client: Client): Promise<void> {
  const path = `/leases/templates/${client.options.poolId}`;
  const found = await send(client, "list", "GET", path);
  if (found?.status !== 200) return;
  const body = { memoryMb: found.body.memoryMb === 32 ? 33 : 32 };
  const headers = { "if-match": found.headers.get("etag") ?? "" };
  await send(client, "change of a pool", "PATCH", path, { body, headers });
}

const release = (client: Client) =>
  withLease(client, any, async (lease) => {
    const answer = await send(client, "delete", "DELETE", `/leases/${lease.id}`);
    lease.isOver = true;
    return answer;
  });

const acts: readonly { name: string; weight: number; act: (client: Client) => Promise<void> }[] = [
  { name: "create", weight: 6, act: create },
  { name: "renew", weight: 3, act: renew },
  { name: "pause", weight: 1, act: (client) => ask(client, "pause") },
  { name: "resume", weight: 2, act: pauseAndResume },
  { name: "restart", weight: 1, act: (client) => ask(client, "restart") },
  { name: "snapshot", weight: 1, act: snapshot },
  { name: "drop", weight: 1, act: dropSnapshot },
  { name: "restore", weight: 1, act: restore },
  { name: "warm", weight: 2, act: claimWarm },
  { name: "pool", weight: 0.2, act: changePool },
  { name: "delete", weight: 2, act: release },
];

const focusPart = 0.5;

function chooseAct(random: () => number, focus: string | null) {
  const wanted = acts.find(({ name }) => name === focus);
  if (wanted && random() < focusPart) return wanted;
  const total = acts.reduce((sum, { weight }) => sum + weight, 0);
  let left = random() * total;
  return acts.find(({ weight }) => (left -= weight) < 0) ?? acts[0];
}

/** Lets clients ask for leases, and for all that one can ask of them, until `stop`. */
export function startLoad(options: LoadOptions): Load {
  const { random, clients } = options;
  const ledger: Ledger = {
    answered: new Map(),
    unanswered: 0,
    bad: [],
    asked: new Set(),
    promised: new Map(),
  };
  const client: Client = { options, ledger, snapshots: new Set() };
  let isStopping = false;
  const load: Load = {
    ledger,
    focus: null,
    isCalm: false,
    async stop() {
      isStopping = true;
      await Promise.all(loops);
      return ledger;
    },
  };
  const loops = Array.from({ length: clients }, async () => {
    while (!isStopping) {
      await chooseAct(random, load.focus)?.act(client);
      await pause(load.isCalm ? calmMs : betweenRequestsMs);
    }
  });
  return load;
}
