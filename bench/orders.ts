import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SignJWT } from "jose";
import { systemClock } from "#kernel/clock.ts";
import { removeCluster, startEmbedded } from "#kernel/db/embedded.ts";
import { createDatabase } from "#kernel/db/pool.ts";
import { systemRandom } from "#kernel/random.ts";
import { getOrder, listOrders } from "../src/services/orders/store/orders.ts";
import { type ServerProcess, startServer, temporaryDataDir } from "../tests/support/server.ts";
import { compare, inFlight, line, type LoadOptions, residentMiB, type Target } from "./load.ts";
import { rawConfirm, rawCreate } from "./orders-raw.ts";
import { type Seeded, type Seeder, startSeeder } from "./orders-seed.ts";

/**
 * The order desk, in one run beside the kernel's one-flight query over the same rows, and beside
 * `classic-orders.ts`, which does the same over the same tables as such a thing is usually written:
 * Express, Sequelize, a JWT, no audit, no events, no idempotency, no row-level security. All of it
 * with a million orders in the table. Then: one product that everybody wants, how long a list takes
 * among few orders and among all, and the export of all.
 *
 *   npm run bench -- orders [--quick] [--seconds 4] [--rounds 3] [--connections 32]
 *     [--orders 1000000] [--only lists|stacks|export]
 */
const { values: args } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    seconds: { type: "string" },
    rounds: { type: "string" },
    connections: { type: "string", default: "32" },
    orders: { type: "string" },
    only: { type: "string" },
  },
});
const options: LoadOptions = {
  seconds: Number(args.seconds ?? (args.quick ? 1 : 4)),
  rounds: Number(args.rounds ?? (args.quick ? 1 : 3)),
  connections: Number(args.connections),
};
const manyOrders = Number(args.orders ?? (args.quick ? 50_000 : 1_000_000));
const fewOrders = 1_000;
/** More than can be confirmed in all rounds of one comparison. */
const pendingOrders = Math.ceil(options.seconds * options.rounds * 8_000);
const secondsADay = 86_400;
const includes = (part: string) => args.only === undefined || args.only === part;

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const env = { PLIMSOLL_RATE_TENANT_PER_MINUTE: "100000000", LOG_LEVEL: "warn" };
const json = { "content-type": "application/json" };

interface Stack {
  name: "plimsoll" | "classic";
  origin: string;
  /** What stands before /orders. */
  prefix: string;
  headers: Record<string, string>;
}

interface Answered {
  id: string;
  key: string;
  accessToken: string;
}

async function post({ url }: ServerProcess, path: string, body: object, token = "") {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method: "POST",
    headers: { ...json, ...(token !== "" && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`POST ${path} answered ${await answer.text()}`);
  return (await answer.json()) as Answered;
}

/** Only what the bench asks for: an answer says what its caller may do next. */
const permissions = ["order:read", "order:create", "order:confirm", "order:export"];

/** A new tenant with a key for its orders. */
async function makeTenant(server: ServerProcess, name: string, isolation: "shared" | "dedicated") {
  const { email, password } = await server.demo();
  const { accessToken } = await post(server, "/auth/login", { email, password });
  const { id } = await post(server, "/tenants", { name, isolation }, accessToken);
  const there = await post(server, "/auth/switch-tenant", { tenant: id }, accessToken);
  const { key } = await post(server, "/api-keys", { name, permissions }, there.accessToken);
  const stack: Stack = {
    name: "plimsoll",
    origin: server.url,
    prefix: "/api/v1",
    headers: { "x-api-key": key },
  };
  return { id, stack };
}

async function startClassic(url: string, tenant: string) {
  const secret = "a secret of the bench and of nothing else";
  const child = spawn(process.execPath, [here("classic-orders.ts"), url, secret], {
    env: { ...process.env, NODE_ENV: "production" },
  });
  child.stderr.pipe(process.stderr);
  const origin = String((await once(child.stdout, "data"))[0]).trim();
  const token = await new SignJWT({ tid: tenant })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("bench")
    .setExpirationTime("4h")
    .sign(new TextEncoder().encode(secret));
  const headers = { authorization: `Bearer ${token}` };
  const stack: Stack = { name: "classic", origin, prefix: "", headers };
  return { stack, stop: () => child.kill() };
}

/** Prints both stacks beside the raw query, and how they compare. */
function report(what: string, rates: ReadonlyMap<string, number>): void {
  const [ours, classic] = [rates.get("plimsoll") as number, rates.get("classic") as number];
  const perSecond = (rate: number) => `${rate.toFixed(0)}/s`;
  line(`${what}: plimsoll`, perSecond(ours));
  line(`${what}: Express + Sequelize`, perSecond(classic));
  line("  plimsoll to Express + Sequelize", `${(ours / classic).toFixed(2)} ×`);
  const raw = rates.get("raw");
  if (raw === undefined) return;
  line(`${what}: one flight, without a server`, perSecond(raw));
  line("  plimsoll to the one flight", `${(ours / raw).toFixed(2)} ×`);
}

function newOrder({ shopIds, customerIds, productIds }: Seeded): () => string {
  let turn = 0;
  const at = (ids: readonly string[], place: number) => ids[place % ids.length] as string;
  return () => {
    turn += 1;
    const items = [0, 1, 2].map((n) => ({ productId: at(productIds, 3 * turn + n), quantity: 2 }));
    return JSON.stringify({ shopId: at(shopIds, turn), customerId: at(customerIds, turn), items });
  };
}

/** One order after the other, whoever asks. */
function taking(ids: string[]): () => string {
  return () => {
    const id = ids.pop();
    if (id === undefined) throw new Error("No pending order is left; the bench makes too few");
    return id;
  };
}

interface House {
  stacks: readonly Stack[];
  seeder: Seeder;
  seeded: Seeded;
  tenant: string;
}

const toEach = (stacks: readonly Stack[], path: string, more: Partial<Target> = {}): Target[] =>
  stacks.map(({ name, origin, prefix, headers }) => ({
    name,
    url: `${origin}${prefix}${path}`,
    ...more,
    headers: { ...headers, ...more.headers },
  }));

function confirming(
  stacks: readonly Stack[],
  nextId: () => string,
  connections?: number,
): Target[] {
  return toEach(stacks, "/orders", {
    method: "POST",
    ...(connections !== undefined && { connections }),
  }).map((target) => {
    const { pathname } = new URL(target.url);
    return { ...target, path: () => `${pathname}/${nextId()}/confirm` };
  });
}

async function compareAll({ stacks, seeder, seeded, tenant: id }: House): Promise<void> {
  const { appUrl, drop } = await seeder.appRole();
  const database = createDatabase({ appUrl, poolMax: 25, log: console });
  const db = database.forService("orders");
  const tenant = { id, isolation: "shared" as const };
  const [newest = ""] = (await listOrders(db, tenant, { limit: 1 }, null)).items.map(
    (one) => one.id,
  );
  try {
    const list = inFlight("raw", () => listOrders(db, tenant, { limit: 20 }, null));
    const lists = await compare([...toEach(stacks, "/orders?limit=20"), list], options);
    report("list of 20", lists);
    const get = inFlight("raw", () => getOrder(db, tenant, newest, null));
    report("get", await compare([...toEach(stacks, `/orders/${newest}`), get], options));

    const create = inFlight("raw", rawCreate(db, tenant, systemRandom(systemClock), seeded));
    const making = { method: "POST" as const, headers: json, body: newOrder(seeded) };
    const creates = await compare([...toEach(stacks, "/orders", making), create], options);
    report("create of 3 lines", creates);
    const single = { ...options, connections: 1 };
    report("create, one at a time", await compare(toEach(stacks, "/orders", making), single));

    const pending = { count: pendingOrders, lines: 3, state: "pending", secondsAgo: 0 };
    const nextId = taking(await seeder.orders(seeded, pending));
    const confirm = inFlight("raw", rawConfirm(db, tenant, nextId));
    report("confirm of 3 lines", await compare([...confirming(stacks, nextId), confirm], options));
  } finally {
    await database.close();
    await drop();
  }
}

/** Everybody wants the same: each confirm waits for the row that all of them change. */
async function compareHot({ stacks, seeder, seeded }: House): Promise<void> {
  const hot = { count: pendingOrders, lines: 1, state: "pending", secondsAgo: 0 };
  const ids = await seeder.orders(seeded, { ...hot, only: seeded.hotProductId });
  report("confirm, all of one product", await compare(confirming(stacks, taking(ids)), options));
  const { sold, reserved } = await seeder.reconcile();
  if (sold !== reserved) throw new Error(`${sold} units are sold and ${reserved} are reserved`);
  line("  units taken from stock = units that orders hold", String(sold));
}

const lists = ["/orders?limit=20", "/orders?limit=20&state=pending", "/orders?limit=20&shopId="];

interface Listed {
  stack: Stack;
  seeded: Seeded;
}

/** The same lists of a tenant with few orders, in tables of its own, and of the one with all. */
async function compareLists(few: Listed, many: Listed): Promise<void> {
  const connections = 4;
  // What is to be told apart is small, and a second is enough for a calm one among many.
  const short = { seconds: 1, rounds: 3 * options.rounds, connections };
  for (const path of lists) {
    const targets = [few, many].map(({ stack, seeded: { shopIds } }) => {
      const full = path.endsWith("=") ? `${path}${shopIds[0]}` : path;
      return { ...(toEach([stack], full)[0] as Target), name: JSON.stringify(stack) };
    });
    const rates = await compare(targets, short);
    const [fewMs, manyMs] = targets.map(
      ({ name }) => (connections * 1_000) / (rates.get(name) as number),
    ) as [number, number];
    line(`GET ${path}, ${fewOrders} orders`, `${fewMs.toFixed(3)} ms`);
    line(`GET ${path}, ${manyOrders} orders`, `${manyMs.toFixed(3)} ms`);
    line("  change", `${(100 * (manyMs / fewMs - 1)).toFixed(1)} %`, "< 20 %");
  }
}

/** Downloads all orders. */
async function exportAll(server: ServerProcess, headers: Record<string, string>, lines: number) {
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const idleMiB = residentMiB(server.pid);
  const samples: number[] = [];
  line("resident memory of the server, idle", `${Math.round(idleMiB)} MiB`);
  const watch = setInterval(() => {
    samples.push(residentMiB(server.pid));
  }, 50);
  const startMs = performance.now();
  let [rows, bytes] = [-1, 0];
  try {
    const plain = { ...headers, "accept-encoding": "identity" };
    const answer = await fetch(`${server.url}/api/v1/orders/export.csv`, { headers: plain });
    if (answer.status !== 200 || !answer.body) throw new Error(`export answered ${answer.status}`);
    for await (const chunk of answer.body) {
      bytes += chunk.length;
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) rows += 1;
    }
  } finally {
    clearInterval(watch);
  }
  const seconds = (performance.now() - startMs) / 1_000;
  if (rows !== lines) throw new Error(`The export has ${rows} rows instead of ${lines}`);
  line(`export of ${rows} lines, ${Math.round(bytes / 1_048_576)} MiB`, `${seconds.toFixed(1)} s`);
  const half = Math.ceil(samples.length / 2);
  const [early, late] = [Math.max(...samples.slice(0, half)), Math.max(...samples.slice(half))];
  line("  resident memory at its peak", `${Math.round(Math.max(early, late))} MiB`, "≤ 200 MiB");
  line("  growth from the first half to the second", `${Math.round(late - early)} MiB`, "none");
}

/** Ends what was begun, the last first, however the bench ends. */
await using closing = new AsyncDisposableStack();
const dataDir = await temporaryDataDir();
closing.defer(async () => {
  await removeCluster(dataDir);
  await rm(dataDir, { recursive: true, force: true });
});
const served = { dataDir, env, args: ["--services", "orders"] };
let server = await startServer(served);
closing.defer(async () => void (await server.stop()));
const many = await makeTenant(server, "Many orders", "shared");
const few = await makeTenant(server, "Few orders", "dedicated");
// A second holder of the same cluster, whose superuser may do what the server's owner may not.
const cluster = await startEmbedded({ dataDir });
closing.defer(() => cluster.stop());
const adminUrl = new URL(cluster.adminUrl);
adminUrl.pathname = new URL(cluster.ownerUrl).pathname;
const seeder = await startSeeder(adminUrl.href, many.id);
closing.defer(() => seeder.close());

const mixed = { lines: 2, secondsAgo: secondsADay };
const seeded = await seeder.catalogue();
await seeder.orders(seeded, { ...mixed, count: manyOrders });
await seeder.analyze();
const fewSchema = `orders_t_${few.id.replaceAll("-", "")}`;
const fewSeeder = await startSeeder(adminUrl.href, few.id, fewSchema);
const fewSeeded = await fewSeeder.catalogue();
await fewSeeder.orders(fewSeeded, { ...mixed, count: fewOrders });
await fewSeeder.analyze();
await fewSeeder.close();

if (includes("lists")) {
  await compareLists({ ...few, seeded: fewSeeded }, { ...many, seeded });
}

if (includes("stacks")) {
  const classic = await startClassic(adminUrl.href, many.id);
  closing.defer(async () => void classic.stop());
  const stacks = [many.stack, classic.stack];
  const house: House = { stacks, seeder, seeded, tenant: many.id };
  await compareAll(house);
  await compareHot(house);
  line("resident memory of the server, after load", `${Math.round(residentMiB(server.pid))} MiB`);
  classic.stop();
}

if (includes("export")) {
  // A server that has done nothing else.
  await server.stop();
  await seeder.analyze();
  server = await startServer(served);
  await exportAll(server, many.stack.headers, await seeder.lines());
}
