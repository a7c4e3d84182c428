import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { testFolder } from "../testing/database.ts";
import { catalogueFaults } from "./catalogue.ts";
import { type Embedded, type EmbeddedOptions, removeCluster, startEmbedded } from "./embedded.ts";
import { commandLine } from "./embedded-holders.ts";
import { databaseUser } from "./embedded-system.ts";
import { migrate } from "./migrate.ts";
import { ensureRoles, withClient } from "./roles.ts";

interface Cleanup {
  processes: ChildProcess[];
  embedded: Embedded[];
}

const cleanups = new Map<TestContext, Cleanup>();

/** A folder that is removed after the test, when all that runs in it has been stopped. */
async function makeFolder(t: TestContext): Promise<string> {
  const dataDir = await mkdtemp(join(testFolder(), "plimsoll-embedded-"));
  const own: Cleanup = { processes: [], embedded: [] };
  cleanups.set(t, own);
  t.after(async () => {
    for (const child of own.processes) child.kill("SIGKILL");
    for (const embedded of own.embedded) await embedded.stop();
    const lock = join(dataDir, "postgres", "data", "postmaster.pid");
    if (existsSync(lock) && isRunning(Number(readFileSync(lock, "utf8").split("\n")[0]))) {
      const left = await startEmbedded({ dataDir });
      await left.stop();
    }
    await removeCluster(dataDir);
  });
  return dataDir;
}

/** Starts it with a stop after the test, whatever the test has done. */
async function start(t: TestContext, options: EmbeddedOptions): Promise<Embedded> {
  // With mmap a killed server's shared memory lies in its folder and is removed with that.
  const settings = { fsync: "off", dynamic_shared_memory_type: "mmap" };
  const embedded = await startEmbedded({ settings, ...options });
  cleanups.get(t)?.embedded.push(embedded);
  return embedded;
}

const one = (url: string, text: string) =>
  withClient(url, async (client) => (await client.query(text)).rows[0]);

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    if (await condition()) return;
    await delay(10);
  }
  assert.fail(`not in time: ${what}`);
}

const isRunning = (pid: number) => commandLine(pid) !== null;

/** Another server process on the same data; prints the postmaster's id once it is running. */
async function startProcess(t: TestContext, dataDir: string): Promise<[ChildProcess, number]> {
  const program = `
    import { startEmbedded } from ${JSON.stringify(new URL("embedded.ts", import.meta.url).href)};
    const embedded = await startEmbedded({ dataDir: ${JSON.stringify(dataDir)},
      settings: { fsync: "off" } });
    console.log(embedded.pid());
    process.on("SIGINT", () => {});
    process.on("SIGTERM", async () => { await embedded.stop(); process.exit(0); });
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: { ...process.env, PLIMSOLL_MASTER_KEY: "do-not-inherit" },
  });
  cleanups.get(t)?.processes.push(child);
  const [line] = await once(createInterface(child.stdout as NodeJS.ReadableStream), "line");
  return [child, Number(line)];
}

// Guards against data lost between two starts, and against settings that tests and servers rely on.
test("a cluster is made once and found again, with an owner who is no superuser", async (t) => {
  const dataDir = await makeFolder(t);
  const first = await startEmbedded({ dataDir });
  assert.equal(first.adopted, false);
  assert.deepEqual(
    await one(
      first.ownerUrl,
      `select current_user as role, current_database() as database, rolsuper as super,
              current_setting('TimeZone') as zone, current_setting('server_encoding') as encoding,
              current_setting('fsync') as fsync, current_setting('data_checksums') as checksums,
              upper('é äö') as text
         from pg_roles where rolname = current_user`,
    ),
    {
      role: "plimsoll",
      database: "plimsoll",
      super: false,
      zone: "UTC",
      encoding: "UTF8",
      fsync: "on",
      checksums: "on",
      text: "É ÄÖ",
    },
  );
  await one(first.ownerUrl, "create table kept as select 42 as answer");
  await first.stop();
  assert.equal(isRunning(first.pid()), false);

  const again = await start(t, { dataDir });
  assert.deepEqual(await one(again.ownerUrl, "select answer from kept"), { answer: 42 });
});

// Guards against an embedded database on which the product itself would not start.
test("roles, migrations and the catalogue check work on a fresh cluster", async (t) => {
  const { ownerUrl } = await start(t, { dataDir: await makeFolder(t) });
  const appUrl = await ensureRoles({ ownerUrl, masterKey: Buffer.alloc(32) });
  await migrate({ ownerUrl, services: [] });
  const appRole = new URL(appUrl).username;
  assert.deepEqual(
    await withClient(ownerUrl, (client) => catalogueFaults(client, { appRole })),
    [],
  );
});

// Guards against anybody on the machine reading the database, and against secrets leaking into it.
test("it asks for a password, keeps it private and inherits no environment", async (t) => {
  const dataDir = await makeFolder(t);
  const [, pid] = await startProcess(t, dataDir);
  const embedded = await start(t, { dataDir });
  assert.equal(embedded.pid(), pid);
  const { mode } = await stat(join(dataDir, "postgres", "credentials.json"));
  assert.equal(mode & 0o777, 0o600);
  for (const change of [{ password: "wrong" }, { username: "postgres" }, { password: "" }]) {
    const url: URL = Object.assign(new URL(embedded.ownerUrl), change);
    await assert.rejects(new pg.Client(url.href).connect());
  }
  if (process.platform === "linux") {
    assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, "utf8"), /do-not-inherit/);
  }
});

// Guards against a database that nobody can reach any more after its server was killed.
test("after kill -9 of the starter the next server adopts it and answers for it", async (t) => {
  const dataDir = await makeFolder(t);
  const [starter, pid] = await startProcess(t, dataDir);
  starter.kill("SIGKILL");
  await once(starter, "exit");
  assert(isRunning(pid), "it outlives its starter");
  const next = await startEmbedded({ dataDir });
  assert.equal(next.adopted, true);
  assert.equal(next.pid(), pid);
  await next.stop();
  assert.equal(isRunning(pid), false, "the adopter was the last, so it has shut it down");
});

// Guards against one server's stop cutting off another that uses the same data.
test("the last of several servers shuts it down, in whatever order they stop", async (t) => {
  const dataDir = await makeFolder(t);
  const [starter, pid] = await startProcess(t, dataDir);
  const second = await startEmbedded({ dataDir });
  assert.equal(second.pid(), pid);
  starter.kill("SIGTERM");
  await once(starter, "exit");
  assert(isRunning(pid));
  assert.deepEqual(await one(second.ownerUrl, "select 1 as up"), { up: 1 });
  await second.stop();
  assert.equal(isRunning(pid), false);
});

// Guards against Ctrl-C in a terminal ending the database while we still answer requests.
test("signals to our process group do not reach it", async (t) => {
  const dataDir = await makeFolder(t);
  const [starter, pid] = await startProcess(t, dataDir);
  process.kill(-(starter.pid as number), "SIGINT");
  const second = await start(t, { dataDir });
  assert.equal(second.pid(), pid);
  assert.deepEqual(await one(second.ownerUrl, "select 1 as up"), { up: 1 });
});

// Guards against two clusters, or two servers on one, when replicas start on an empty folder.
test("servers that start at once on an empty folder share one cluster", async (t) => {
  const dataDir = await makeFolder(t);
  const all = await Promise.all([1, 2, 3, 4].map(() => start(t, { dataDir })));
  assert.equal(new Set(all.map(({ ownerUrl }) => ownerUrl)).size, 1);
  assert.equal(new Set(all.map(({ pid }) => pid())).size, 1);
  assert.deepEqual(readdirSync(dataDir), ["postgres"], "what the losers made is gone");
});

// Guards against a lost write, or a dead server, when PostgreSQL itself is killed.
test("a killed postmaster comes back on the same port with all that was committed", async (t) => {
  const dataDir = await makeFolder(t);
  const embedded = await start(t, { dataDir });
  await one(embedded.ownerUrl, "create table kept as select 42 as answer");
  const pid = embedded.pid();
  process.kill(pid, "SIGKILL");
  await until("brought back", () => embedded.pid() !== pid);
  assert.deepEqual(await one(embedded.ownerUrl, "select answer from kept"), { answer: 42 });
});

// Guards against starting a broken database over and over for ever.
test("one that keeps dying is given up after five times", async (t) => {
  const embedded = await start(t, { dataDir: await makeFolder(t) });
  let deaths = 0;
  const killing = new AbortController();
  const killer = (async () => {
    for (let last = 0; !killing.signal.aborted; await delay(10)) {
      const pid = embedded.pid();
      if (pid === last || !isRunning(pid)) continue;
      last = pid;
      deaths += 1;
      process.kill(pid, "SIGKILL");
    }
  })();
  assert.equal(await embedded.exited, "PostgreSQL keeps dying");
  killing.abort();
  await killer;
  assert.equal(deaths, 6);
});

// Guards against a server that goes on as if it had a database.
test("when it can't be brought back, `exited` says why", async (t) => {
  const dataDir = await makeFolder(t);
  const embedded = await start(t, { dataDir });
  await rm(join(dataDir, "postgres", "data", "global", "pg_control"));
  process.kill(embedded.pid(), "SIGKILL");
  assert.match(await embedded.exited, /PostgreSQL did not start: .*pg_control/s);
});

// Guards against a start refused for ever because another program now has the dead postmaster's id.
test("a stale postmaster.pid that names an unrelated process is no obstacle", async (t) => {
  const dataDir = await makeFolder(t);
  const first = await startEmbedded({ dataDir });
  const file = join(dataDir, "postgres", "data", "postmaster.pid");
  const lines = readFileSync(file, "utf8").split("\n");
  await first.stop();
  const user = databaseUser();
  const stranger = spawn("sleep", ["60"], { stdio: "ignore", ...user });
  t.after(() => stranger.kill());
  await once(stranger, "spawn");
  writeFileSync(file, [stranger.pid, ...lines.slice(1)].join("\n"), { mode: 0o600 });
  if (user) chownSync(file, user.uid, user.gid);
  const second = await start(t, { dataDir });
  assert.equal(second.adopted, false);
  assert.deepEqual(await one(second.ownerUrl, "select 1 as up"), { up: 1 });
});

// Guards against a stop that waits for clients for ever.
test("stop ends clients that are still connected", async (t) => {
  const embedded = await startEmbedded({ dataDir: await makeFolder(t) });
  const client = new pg.Client(embedded.ownerUrl);
  client.on("error", () => {});
  await client.connect();
  const query = assert.rejects(client.query("select pg_sleep(60)"), /terminat/i);
  const sleeping = "select count(*)::int as n from pg_stat_activity where wait_event = 'PgSleep'";
  await until("it sleeps", async () => (await one(embedded.adminUrl, sleeping)).n === 1);
  await embedded.stop();
  await query;
  assert.equal(isRunning(embedded.pid()), false);
});

// Guards against alarming errors at every stop: a pool's end doesn't wait for its connections'.
test("stop lets clients go that are saying goodbye", async (t) => {
  const embedded = await startEmbedded({ dataDir: await makeFolder(t) });
  const errors: Error[] = [];
  const clients = Array.from({ length: 50 }, () => new pg.Client(embedded.ownerUrl));
  for (const client of clients) client.on("error", (error) => errors.push(error));
  await Promise.all(clients.map((client) => client.connect()));
  const farewells = clients.map((client) => client.end());
  await embedded.stop();
  await Promise.all(farewells);
  assert.deepEqual(errors, []);
  assert.equal(isRunning(embedded.pid()), false);
});

// Guards against a folder that a crash during the very first start has made useless.
test("what a killed first start left behind is removed", async (t) => {
  const dataDir = await makeFolder(t);
  const dead = spawn("true");
  await once(dead, "exit");
  const half = join(dataDir, `postgres.${dead.pid}.0123abcd`);
  await mkdir(join(half, "data"), { recursive: true });
  await writeFile(join(half, "initdb-password"), "half");
  await start(t, { dataDir });
  assert.deepEqual(readdirSync(dataDir), ["postgres"]);
});

// Guards against PostgreSQL's own words, which don't say what to do, when a release brings a new
// version.
test("data of another major version is refused with what to do", async (t) => {
  const dataDir = await makeFolder(t);
  await (await startEmbedded({ dataDir, settings: { fsync: "off" } })).stop();
  await writeFile(join(dataDir, "postgres", "data", "PG_VERSION"), "17\n");
  await assert.rejects(
    startEmbedded({ dataDir }),
    /was made by PostgreSQL 17, and this release brings PostgreSQL 18\. Take a backup/,
  );
});

// Guards against a log that fills the disk, and against tenants' values in it.
test("the log is replaced at each start and holds no statement", async (t) => {
  const dataDir = await makeFolder(t);
  const log = join(dataDir, "postgres", "postgres.log");
  const first = await startEmbedded({ dataDir, settings: { fsync: "off" } });
  await assert.rejects(one(first.ownerUrl, "select 'secret value' from nowhere"));
  await assert.rejects(one(first.ownerUrl, "do $$ begin raise 'secret value'; end $$"));
  await first.stop();
  const text = readFileSync(log, "utf8");
  assert.match(text, /database system is shut down/);
  assert.doesNotMatch(text, /secret value/);
  await truncate(log, 100_000);
  await start(t, { dataDir });
  assert((await stat(log)).size < 10_000);
  assert(existsSync(`${log}.1`));
  assert.deepEqual(
    readdirSync(join(dataDir, "postgres")).filter((name) => name.includes(".log")),
    ["postgres.log", "postgres.log.1"],
  );
});
