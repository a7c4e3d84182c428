import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "#kernel/testing/events.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import { noProcessRuntime } from "../src/services/leases/fixtures/process-runtime.ts";
import { startServer, temporaryDataDir } from "./support/server.ts";

const program = fileURLToPath(new URL("../bin/plimsoll", import.meta.url));

interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

async function finish(child: ChildProcess, input = ""): Promise<Finished> {
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text) => {
      texts[name] += text;
    });
  }
  child.stdin?.end(input);
  const [code] = await once(child, "close");
  return { code, ...texts };
}

/** The command line as a person has it, signed in as the demo's admin. */
async function startCommandLine(t: TestContext, told: Record<string, string>) {
  const home = await mkdtemp(join(tmpdir(), "plimsoll-home-"));
  const dataDir = await temporaryDataDir();
  const server = await startServer({ dataDir, env: told });
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    PLIMSOLL_API: server.url,
    PLIMSOLL_DATA_DIR: dataDir,
  };
  const launch = (...args: string[]) => spawn(program, args, { env, cwd: home });
  const run = (...args: string[]) => finish(launch(...args));
  t.after(async () => {
    // Containers outlive their server, so they end first.
    const { stdout } = await run("leases", "list", "--live", "yes", "--all", "--json");
    const { items } = JSON.parse(stdout) as { items: { id: string }[] };
    for (const { id } of items) await run("leases", "delete", id);
    await eventually(
      async () =>
        JSON.parse((await run("leases", "list", "--live", "yes", "--json")).stdout).items.length ===
        0,
      "all leases have ended",
    );
    await server.stop();
    await rm(home, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  });
  assert.equal((await run("login", "--demo")).code, 0);
  return { home, launch, run };
}

/** From nothing to a lease that was used, kept and restored, and what it cost. */
async function liveALease(t: TestContext, image: string, told: Record<string, string>) {
  const { home, launch, run } = await startCommandLine(t, told);
  const good = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const template = ["--name", "cli-box", "--image", image, "--writable", "yes"];
  await good("leases", "templates", "create", ...template);
  const count = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; sleep 0.1; done; sleep 600";
  const size = ["--cpu-millis", "200", "--memory-mb", "64", "--env", "TOKEN=hunter2"];
  const words = ["--", "sh", "-c", count];
  const wanted = ["--template", "cli-box", "--name", "cli", ...size, "--wait", "30", ...words];
  assert.match(await good("leases", "create", ...wanted), /state +running/);

  const following = launch("leases", "logs", "cli", "-f", "--tail", "1");
  const followed = finish(following);
  const said = await finish(
    launch("leases", "exec", "cli", "--stdin", "--", "sh", "-c", "cat; echo $TOKEN >&2; exit 9"),
    "Grüße\n",
  );
  assert.deepEqual(said, { code: 9, stdout: "Grüße\n", stderr: "hunter2\n" });
  assert.equal((await run("leases", "exec", "cli", "--timeout", "1", "sleep", "60")).code, 124);

  const file = join(home, "data.bin");
  const bytes = Buffer.alloc(2_000_000, "0\r\n\xff\0z", "latin1");
  await writeFile(file, bytes);
  await good("leases", "cp", file, "cli:/workspace/");
  await good("leases", "exec", "cli", "--", "mv", "/workspace/data.bin", "/workspace/moved.bin");
  await good("leases", "cp", "cli:/workspace/moved.bin", join(home, "back.bin"));
  assert.ok((await readFile(join(home, "back.bin"))).equals(bytes));
  const astray = await run("leases", "cp", "cli:../etc/passwd", "-");
  assert.deepEqual([astray.code, astray.stdout], [1, ""]);
  assert.match(astray.stderr, /ERR_LEASES_RUNTIME_PATH_REFUSED/);

  assert.match(await good("leases", "stats", "cli"), /memory +[\d.]+ MiB of 64\.0 MiB/);
  await good("leases", "pause", "cli", "--wait", "20");
  assert.match((await run("leases", "exec", "cli", "id")).stderr, /ERR_LEASES_WRONG_STATE/);
  await good("leases", "resume", "cli", "--wait", "20");
  await good("leases", "renew", "cli", "--ttl", "10m");
  await good("leases", "keepalive", "cli");
  assert.match(await good("leases", "expiry", "cli"), /expired/);
  await good("snapshots", "create", "cli", "--name", "kept", "--wait", "30");
  await good("snapshots", "restore", "kept", "--name", "again", "--ttl", "5m", "--wait", "30");
  const there = ["exec", "again", "--", "wc", "-c", "/workspace/moved.bin"];
  assert.match(await good("leases", ...there), /^2000000 /);

  await good("leases", "delete", "cli");
  const { code, stdout, stderr } = await followed;
  assert.equal(code, 0, stderr);
  const numbers = [...stdout.matchAll(/^line (\d+)$/gm)].map(([, n]) => Number(n));
  assert.deepEqual(
    numbers,
    numbers.map((_, n) => (numbers[0] as number) + n),
    "no gap and no line twice",
  );
  assert.match(await good("leases", "history", "cli"), /lease\.exec/);
  assert.match(await good("leases", "usage", "--group-by", "image"), /for \d+ leases in all/);
  assert.match(await good("leases", "usage", "--csv"), /^leaseId,/);
  assert.match(await good("leases", "quota"), /snapshots +1/);
  assert.match(await good("leases", "runtime"), /available +yes/);
  assert.match(await good("leases", "presets"), /tiny/);
  assert.match((await run("admin", "drift")).stderr, /ERR_ACCESS_FORBIDDEN|0 differ/);
  await good("leases", "delete", "again");
  await eventually(async () => (await run("snapshots", "delete", "kept")).code === 0, "it is free");
}

const reason = await noProcessRuntime();

// Guards against a command line that disagrees with the server about plain processes.
test("on the command line a person leases a plain process", { skip: reason }, (t) =>
  liveALease(t, "alpine", { LEASES_RUNTIME: "process" }),
);

// Guards against the same of a real engine's containers.
test("on the command line a person leases a container of a Docker Engine", async (t) => {
  const host = await requireService(t, "docker");
  if (host === null) return;
  const image = testImage();
  await liveALease(t, image, {
    LEASES_RUNTIME: "docker",
    DOCKER_HOST: host,
    LEASES_ALLOWED_IMAGES: image,
  });
});
