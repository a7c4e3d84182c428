import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { money } from "../src/cli/money.ts";
import { currencyExponents } from "../src/services/orders/rules/money.ts";
import { startServer, temporaryDataDir } from "./support/server.ts";

const program = fileURLToPath(new URL("../bin/plimsoll", import.meta.url));

interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/** The command line as a person has it, signed in to nothing yet. */
async function startCommandLine(t: TestContext) {
  const home = await mkdtemp(join(tmpdir(), "plimsoll-home-"));
  const dataDir = await temporaryDataDir();
  const server = await startServer({ dataDir });
  t.after(async () => {
    await server.stop();
    await rm(home, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  });
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    PLIMSOLL_API: server.url,
    PLIMSOLL_DATA_DIR: dataDir,
  };
  const launch = (...args: string[]) => spawn(program, args, { env, cwd: home });
  return { home, launch, run: (...args: string[]) => finish(launch(...args)) };
}

async function finish(child: ChildProcess): Promise<Finished> {
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text) => {
      texts[name] += text;
    });
  }
  child.stdin?.end();
  const [code] = await once(child, "close");
  return { code, ...texts };
}

type CommandLine = Awaited<ReturnType<typeof startCommandLine>>;

async function answer(commandLine: CommandLine, ...args: string[]) {
  const { code, stdout, stderr } = await commandLine.run(...args, "--json");
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

async function signsInAndOut(commandLine: CommandLine): Promise<void> {
  const { run } = commandLine;
  assert.equal((await run("whoami")).code, 1);
  assert.equal((await run("login", "--demo")).code, 0);
  const me = await answer(commandLine, "whoami");
  assert.equal(me.user.email, "demo@plimsoll.local");
}

async function keepsShops(commandLine: CommandLine): Promise<void> {
  const shop = await answer(commandLine, "orders", "shops", "create", "--name", "O'Brien <3");
  const change = ["orders", "shops", "update", shop.id, "--address", "1 Quay"];
  assert.equal((await answer(commandLine, ...change)).version, 2);
  const late = await commandLine.run(...change, "--if-version", "1");
  assert.equal(late.code, 1);
  assert.match(late.stderr, /412 ERR_REQUEST_VERSION_CONFLICT/);
  const past = await commandLine.run("orders", "shops", "history", shop.id);
  assert.match(past.stdout, /shop\.update +address: "" → "1 Quay"/);
  const found = await answer(commandLine, "orders", "shops", "list", "--q", "o'brien", "--all");
  assert.deepEqual(
    found.items.map(({ name }: { name: string }) => name),
    ["O'Brien <3"],
  );
  assert.equal((await commandLine.run("orders", "shops", "delete", shop.id)).code, 0);
  assert.equal((await commandLine.run("orders", "shops", "get", shop.id)).code, 1);
  assert.equal((await answer(commandLine, "audit", "verify")).ok, true);
}

/** Guards against a desk that can't be run from the command line: from a file of products to one of
 * orders. */
async function takesOrders(commandLine: CommandLine): Promise<void> {
  const { run, home } = commandLine;
  const files = { products: join(home, "products.csv"), orders: join(home, "orders.csv") };
  const header = "sku,title,ingredients,allergens,priceMinor,vatRate,stock";
  await writeFile(
    files.products,
    `${header}\nCLI-1,Nut bar,"NUTS, sugar",nuts,250,standard,9\nCLI-2,Tea,Tea,,2.5,standard,\n`,
  );
  assert.match(
    (await run("orders", "import", files.products)).stdout,
    / 3 +priceMinor +2\.5 +must/,
  );
  const report = await run("orders", "import", files.products, "--partial", "--json");
  assert.deepEqual([report.code, JSON.parse(report.stdout).created], [1, 1]);

  const customer = ["--name", "Cli Customer", "--allergen-restrictions", "nuts"];
  await answer(commandLine, "orders", "customers", "create", ...customer);
  const wanted = ["--shop", "market square", "--customer", "cli customer", "--item", "cli-1=2"];
  const { number } = await answer(commandLine, "orders", "create", ...wanted);
  const refused = await run("orders", "submit", number);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /ERR_ORDERS_ALLERGEN_CONFLICT[^]+Nut bar holds nuts/);
  await answer(commandLine, "orders", "submit", number, "--acknowledge-allergens");
  for (const step of ["confirm", "start-preparation", "mark-ready", "complete"]) {
    assert.equal((await run("orders", step, number)).code, 0, step);
  }
  assert.match((await run("orders", "cancel", number)).stderr, /ERR_ORDERS_ILLEGAL_TRANSITION/);
  assert.match((await run("orders", "get", number)).stdout, /state +completed/);
  assert.match((await run("orders", "history", number)).stdout, /order\.complete/);
  const booked = await run("orders", "transactions", "list", "--order", number);
  assert.match(booked.stdout, /5\.00 GBP +0\.83 GBP +standard/);
  assert.match((await run("orders", "summary")).stdout, /completed +\d+/);

  const saved = await run("orders", "export", "--q", number, "--output", files.orders);
  assert.equal(saved.code, 0, saved.stderr);
  const [, line, ...rest] = (await readFile(files.orders, "utf8")).split("\r\n");
  assert.match(line ?? "", new RegExp(`^${number},completed,.*,CLI-1,Nut bar,2,250,standard,`));
  assert.deepEqual(rest, [""]);
  for (const argv of [
    ["label", "CLI-1"],
    ["invoice", number],
  ]) {
    const file = join(home, `${argv[0]}.pdf`);
    const printed = await run("orders", ...argv, "--output", file);
    assert.equal(printed.code, 0, printed.stderr);
    assert.match(await readFile(file, "latin1"), /^%PDF-/);
  }
}

/** Guards against several commands that use one refresh token, which ends the session. */
async function refreshesTogether(commandLine: CommandLine): Promise<void> {
  const file = join(commandLine.home, ".plimsoll", "credentials.json");
  const before = await readFile(file, "utf8");
  await writeFile(file, before.replace(/"expiresAtMs": \d+/, '"expiresAtMs": 0'));
  const ends = await Promise.all([1, 2, 3].map(() => commandLine.run("whoami")));
  assert.deepEqual(
    ends.map(({ code }) => code),
    [0, 0, 0],
    ends.map(({ stderr }) => stderr).join(""),
  );
  const after = await readFile(file, "utf8");
  const token = (text: string) => /"refreshToken": "([^"]+)"/.exec(text)?.[1];
  assert.notEqual(token(after), token(before));
  assert.equal((await commandLine.run("whoami")).code, 0);
}

/** Guards against a stream that comes late, or torn, or under another command's credentials. */
async function followsEvents(commandLine: CommandLine): Promise<void> {
  const tail = commandLine.launch(
    "events",
    "tail",
    "--type",
    "shop.*",
    "--count",
    "1",
    "--after",
    "0",
    "--json",
  );
  const end = finish(tail);
  await answer(commandLine, "orders", "shops", "create", "--name", "Followed");
  const { code, stdout, stderr } = await end;
  assert.equal(code, 0, stderr);
  assert.match(JSON.parse(stdout).type, /^shop\./);
}

// Guards against a command line that disagrees with the server it talks to.
test("signed in on the command line, a person works as through the API", async (t) => {
  const commandLine = await startCommandLine(t);
  await signsInAndOut(commandLine);
  await keepsShops(commandLine);
  await takesOrders(commandLine);
  await followsEvents(commandLine);
  await refreshesTogether(commandLine);
  const { run } = commandLine;
  assert.equal((await run("logout")).code, 0);
  assert.match((await run("whoami")).stderr, /plimsoll login/);
});

// Guards against an amount that the command line shows with other digits than documents do.
test("amounts have the digits that the order desk knows", () => {
  for (const [currency, digits] of currencyExponents) {
    const [, fraction = ""] = money(1_234_567, currency).split(" ", 1)[0]?.split(".") ?? [];
    assert.equal(fraction.length, digits, currency);
  }
});

// Guards against a program that can't be put on the path, or that makes people wait.
test("through a symbolic link it starts in under 100 ms", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "plimsoll-link-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await symlink(program, join(folder, "first"));
  await symlink("first", join(folder, "plimsoll"));
  const env = { PATH: process.env.PATH, HOME: folder };
  const quickestMs = async (command: string, args: string[], expected: RegExp) => {
    let ms = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < 10; turn += 1) {
      const startMs = performance.now();
      const { code, stdout } = await finish(spawn(command, args, { env }));
      ms = Math.min(ms, performance.now() - startMs);
      assert.equal(code, 0);
      assert.match(stdout, expected);
    }
    return ms;
  };
  const oursMs = await quickestMs(join(folder, "plimsoll"), ["--version"], /^plimsoll \d/);
  // On a machine that is busy with other tests bare Node tells how much everything takes longer.
  const nodeMs = await quickestMs(process.execPath, ["-p", "24"], /^24/);
  assert.ok(oursMs < Math.max(100, 4 * nodeMs), `${oursMs} ms, and ${nodeMs} ms for bare Node`);
});

// Guards against an installation that nobody can enter, and a new master key that locks data away.
test("without a server it migrates, makes an admin and moves to a new master key", async (t) => {
  const dataDir = await temporaryDataDir();
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const [oldKey, newKey] = [randomBytes(32), randomBytes(32)].map((key) => key.toString("base64"));
  const run = async (
    keys: Record<string, string | undefined>,
    input: string,
    ...args: string[]
  ) => {
    const env = { PATH: process.env.PATH, HOME: dataDir, PLIMSOLL_DATA_DIR: dataDir, ...keys };
    const child = spawn(program, [...args, "--json"], { env, cwd: dataDir });
    child.stdin.write(input);
    return finish(child);
  };
  const before = { PLIMSOLL_MASTER_KEY: oldKey };
  assert.ok(JSON.parse((await run(before, "", "migrate")).stdout).applied.length > 5);
  const { stdout } = await run(before, "", "migrate", "--status");
  assert.deepEqual(JSON.parse(stdout).pending, []);
  const create = ["admin", "create", "--email", "ada@example.org", "--password-stdin"];
  const made = await run(before, "correct horse battery\n", ...create);
  assert.equal(made.code, 0, made.stderr);
  const after = { PLIMSOLL_MASTER_KEY: newKey };
  const both = { ...after, PLIMSOLL_MASTER_KEY_PREVIOUS: oldKey };
  const rotated = await run(both, "", "secrets", "rotate");
  assert.equal(rotated.code, 0, rotated.stderr);
  assert.ok(JSON.parse(rotated.stdout).accounts > 0);
  assert.equal((await run(after, "", "secrets", "rotate")).code, 0);
  assert.equal((await run(before, "", "secrets", "rotate")).code, 1);
});
