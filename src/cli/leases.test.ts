import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  json,
  type Received,
  runCli,
  type RunOptions,
  startStub,
  temporaryHome,
} from "./fixture.ts";

const id = (n: number) => `019a0000-0000-7000-8000-00000000000${n}`;

const lease = {
  id: id(0),
  name: "Box\u001b[2J",
  ownerId: id(9),
  template: null,
  image: "alpine:3.20",
  command: ["sh", "-c", "echo hi"],
  state: "running",
  allowed: ["renew", "pause"],
  terminationReason: null,
  message: null,
  cpuMillis: 250,
  memoryMb: 256,
  diskMb: null,
  env: { TOKEN: "••••" },
  ports: [{ container: 8080, url: "http://x/ports/8080/" }],
  expiresAt: "2026-11-20T12:00:00.123Z",
  expiresInSeconds: 299,
  startedAt: "2026-11-20T11:55:00.123Z",
  isolation: {
    strength: "weak",
    runtime: "process",
    network: "none",
    notes: ["Development only."],
  },
  costMinor: 3,
  currency: "GBP",
  version: 4,
};
const leases = [
  lease,
  { ...lease, id: id(1), name: "box" },
  { ...lease, id: id(2), name: "twin" },
  { ...lease, id: id(3), name: "twin" },
];
const ended = [
  { ...lease, id: id(4), name: "box", state: "ended" },
  { ...lease, id: id(5), name: "old", state: "ended" },
];
const templates = [{ id: id(6), name: "python", version: 3 }];
const snapshots = [{ id: id(7), name: "kept", state: "ready" }];

/** A server with the things above. */
function answerAll({ method, url }: Received, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(url, "http://stub");
  const all: Record<string, object[]> = {
    "/api/v1/leases": searchParams.get("live") === "false" ? ended : leases,
    "/api/v1/leases/templates": templates,
    "/api/v1/snapshots": snapshots,
  };
  response.setHeader("etag", '"3"');
  const items = all[pathname];
  if (items && method === "GET") return json(response, 200, { items, nextCursor: null });
  if (method === "DELETE") return void response.writeHead(204).end();
  json(response, method === "POST" ? 202 : 200, lease);
}

async function startDesk(t: TestContext, answer = answerAll) {
  const { url, received } = await startStub(t, answer);
  const home = await temporaryHome(t);
  const runWith = (options: Partial<RunOptions>, ...argv: string[]) => {
    const end = argv.indexOf("--");
    const at = end === -1 ? argv.length : end;
    return runCli([...argv.slice(0, at), "--api", url, ...argv.slice(at)], { home, ...options });
  };
  const run = (...argv: string[]) => runWith({}, ...argv);
  return { url, home, run, runWith, received };
}

const sent = (received: Received[]) => JSON.parse(received.at(-1)?.body ?? "null");

// Guards against a lease of another size, program or secret than was asked for.
test("a lease is asked for with options, words and variables", async (t) => {
  const { runWith, run, received } = await startDesk(t);
  const made = await runWith(
    { env: { SECRET: "from=here" } },
    ..."leases create --image alpine --preset tiny --name Mine --ttl 30m --idle-ttl 90".split(" "),
    ..."--cpu-millis 250 --env A=b=c --env SECRET --port 80 --port 81 --wait 5".split(" "),
    "--data",
    '{"env":{"B":"d"},"ports":[1]}',
    "--",
    "sh",
    "-c",
    "echo --json",
    "",
  );
  assert.equal(made.code, 0, made.stderr);
  assert.deepEqual(sent(received), {
    image: "alpine",
    preset: "tiny",
    name: "Mine",
    ttlSeconds: 1_800,
    idleTtlSeconds: 90,
    cpuMillis: 250,
    env: { B: "d", A: "b=c", SECRET: "from=here" },
    ports: [80, 81],
    command: ["sh", "-c", "echo --json", ""],
  });
  assert.equal(received.at(-1)?.url, "/api/v1/leases?wait=5");
  assert.ok(received.at(-1)?.headers["idempotency-key"]);
  assert.match(made.stdout, /name +Box\\u001b\[2J/);
  assert.match(made.stdout, /command +sh -c "echo hi"/);
  assert.match(made.stdout, /ports +8080 at http:\/\/x\/ports\/8080\//);
  assert.match(made.stdout, /isolation +weak: process, none/);
  assert.match(made.stdout, /cost +0\.03 GBP/);
  assert.ok(!/--json|wait/.test(made.stderr), "what stands behind -- is no option of ours");
  await run("leases", "create", "--template", "python", "--wait");
  assert.equal(received.at(-1)?.url, "/api/v1/leases?wait=60");
  for (const argv of [
    ["--env", "NOT_THERE"],
    ["--env", "=x"],
    ["--ttl", "soon"],
    ["--port", "http"],
    ["--preset", "huge"],
  ]) {
    const { code } = await run("leases", "create", "--image", "alpine", ...argv);
    assert.equal(code, 2, argv.join(" "));
  }
});

// Guards against a script that goes on although what it has waited for has not come.
test("what was waited for and has not come is an error", async (t) => {
  const failed = { ...lease, state: "failed", message: "The image is not there." };
  const { run } = await startDesk(t, (_, response) => json(response, 202, failed));
  const made = await run("leases", "create", "--image", "alpine", "--wait", "--json");
  assert.deepEqual([made.code, JSON.parse(made.stdout).state], [1, "failed"]);
  const plain = await run("leases", "create", "--image", "alpine", "--wait");
  assert.match(plain.stderr, /✖ The lease is failed\n {2}The image is not there\./);
  assert.equal((await run("leases", "create", "--image", "alpine")).code, 0);
  assert.equal((await run("leases", "pause", id(0), "--wait")).code, 1);
});

// Guards against the wrong lease being ended for having a name that was used before.
test("leases, templates and snapshots are called by name or id", async (t) => {
  const { run, received } = await startDesk(t);
  const calls: [argv: string, method: string, path: string][] = [
    ["leases get box", "GET", `leases/${id(1)}`],
    [`leases get ${id(5)}`, "GET", `leases/${id(5)}`],
    ["leases get old", "GET", `leases/${id(5)}`],
    ["leases expiry box", "GET", `leases/${id(1)}/expiry`],
    ["leases history box", "GET", `leases/${id(1)}/history`],
    ["leases renew box --ttl 2h", "POST", `leases/${id(1)}/renew`],
    ["leases keepalive box", "POST", `leases/${id(1)}/keepalive`],
    ["leases pause box", "POST", `leases/${id(1)}/pause`],
    ["leases resume box --wait 9", "POST", `leases/${id(1)}/resume?wait=9`],
    ["leases restart box", "POST", `leases/${id(1)}/restart`],
    ["leases delete box", "DELETE", `leases/${id(1)}`],
    ["leases templates get python", "GET", `leases/templates/${id(6)}`],
    ["leases templates delete python", "DELETE", `leases/templates/${id(6)}`],
    ["leases templates update python --memory-mb 64", "PATCH", `leases/templates/${id(6)}`],
    ["snapshots create box --name x", "POST", `leases/${id(1)}/snapshots`],
    ["snapshots get kept", "GET", `snapshots/${id(7)}`],
    ["snapshots delete kept", "DELETE", `snapshots/${id(7)}`],
    ["snapshots restore kept --ttl 60", "POST", `snapshots/${id(7)}/restore`],
    ["snapshots list --lease box", "GET", `snapshots?leaseId=${id(1)}`],
    ["leases list --state running --live yes", "GET", "leases?state=running&live=true"],
  ];
  for (const [argv, method, path] of calls) {
    const { stderr } = await run(...argv.split(" "));
    const last = received.at(-1);
    assert.deepEqual([last?.method, last?.url], [method, `/api/v1/${path}`], `${argv}: ${stderr}`);
  }
  const [renewed, updated] = ["renew", id(6)].map((end) =>
    received.findLast(({ url, method }) => url.endsWith(end) && !/GET|DELETE/.test(method)),
  );
  assert.deepEqual(JSON.parse(renewed?.body ?? ""), { ttlSeconds: 7_200 });
  assert.deepEqual(
    [JSON.parse(updated?.body ?? ""), updated?.headers["if-match"]],
    [{ memoryMb: 64 }, '"3"'],
  );
  const before = received.filter(({ method }) => method === "DELETE").length;
  const refused: [name: string, stderr: RegExp][] = [
    ["bo", /There is no lease "bo"/],
    ["twin", new RegExp(`several leases are called\\n {2}${id(2)}\\n {2}${id(3)}`)],
  ];
  for (const [name, stderr] of refused) {
    const answer = await run("leases", "delete", name);
    assert.equal(answer.code, 1);
    assert.match(answer.stderr, stderr);
  }
  assert.equal(received.filter(({ method }) => method === "DELETE").length, before);
});

const result = { exitCode: 0, stdout: "", stderr: "", truncated: false, timedOut: false };

// Guards against a script that takes a program that failed for one that did not.
test("exec ends as its program has, and says what it said", async (t) => {
  let answer: object = { ...result, stdout: "out\n\u001b[1mraw", stderr: "err\n", exitCode: 7 };
  const { run, runWith, received } = await startDesk(t, ({ url, ...rest }, response) =>
    url.endsWith("/exec") ? json(response, 200, answer) : answerAll({ url, ...rest }, response),
  );
  const exec = ["leases", "exec", "box"];
  const said = await run(...exec, "--timeout", "2m", "--", "ls", "-l", "--json", "");
  assert.deepEqual([said.code, said.stdout, said.stderr], [7, "out\n\u001b[1mraw", "err\n"]);
  assert.deepEqual(sent(received), { command: ["ls", "-l", "--json", ""], timeoutSeconds: 120 });
  answer = { ...result, stdout: "ok" };
  const good = await runWith({ stdin: "Grüße\n\n" }, ...exec, "--stdin", "cat");
  assert.deepEqual([good.code, good.stdout], [0, "ok"]);
  assert.deepEqual(sent(received), { command: ["cat"], timeoutSeconds: 30, stdin: "Grüße\n\n" });
  answer = { ...result, exitCode: null, timedOut: true, truncated: true };
  const late = await run(...exec, "sleep");
  assert.equal(late.code, 124);
  assert.match(late.stderr, /more than is shown[^]*ended after 30 s/);
  answer = { ...result, exitCode: null };
  const gone = await run(...exec, "sleep");
  assert.deepEqual([gone.code, gone.stderr], [1, "✖ The container went away\n"]);
  answer = { ...result, exitCode: 3, stdout: "x" };
  const forPrograms = await run(...exec, "--json", "sleep");
  assert.deepEqual([forPrograms.code, JSON.parse(forPrograms.stdout)], [3, answer]);
  assert.equal((await run(...exec)).code, 2);
  const much = await runWith({ stdin: "x".repeat(1_048_577) }, ...exec, "--stdin", "cat");
  assert.equal(much.code, 2);
});

const at = (n: number) => `2026-11-20T12:00:00.00000000${n}Z`;
const line = (n: number, text: string, stream = "stdout") =>
  `id: ${at(n)}\ndata: ${JSON.stringify({ at: at(n), stream, text })}\n\n`;
const end = (data: object) => `event: end\ndata: ${JSON.stringify(data)}\n\n`;

// Guards against logs with gaps, and against a program's words that a terminal obeys.
test("logs go on where they broke off, each line to its output", async (t) => {
  const answers = [
    `retry: 2000\n\n${line(1, "one")}${line(2, "two", "stderr")}`,
    `${line(3, "three")}${end({ reason: "exited", exitCode: 1, outOfMemory: true })}`,
  ];
  const { run, runWith, received } = await startDesk(t, (request, response) => {
    if (!request.url.includes("/logs")) return answerAll(request, response);
    response.writeHead(200, { "content-type": "text/event-stream" }).end(answers.shift());
  });
  const followed = await run("leases", "logs", "box", "-f", "--tail", "2");
  assert.deepEqual([followed.code, followed.stdout], [0, "one\nthree\n"]);
  assert.match(followed.stderr, /^two\n.*ended with exit code 1, out of memory/);
  const asked = received.filter(({ url }) => url.includes("/logs"));
  assert.deepEqual(
    asked.map(({ headers }) => [headers["last-event-id"], headers.accept]),
    [
      [undefined, "text/event-stream"],
      [at(2), "text/event-stream"],
    ],
  );
  assert.match(asked[0]?.url ?? "", /follow=true&tail=2$/);
  answers.push(`${line(1, "\u001b[31mred\u001b[2J\u0007")}${end({ reason: "caught_up" })}`);
  const raw = await run("leases", "logs", "box", "--timestamps");
  assert.equal(raw.stdout, `${at(1)} \u001b[31mred\u001b[2J\u0007\n`);
  answers.push(`${line(1, "\u001b[31mred\u001b[2J\u0007")}${end({ reason: "caught_up" })}`);
  const seen = await runWith({ terminalColumns: 80 }, "leases", "logs", "box");
  assert.equal(seen.stdout, "\u001b[31mred\\u001b[2J\\u0007\u001b[0m\n");
  answers.push(`${line(1, "a")}${end({ reason: "caught_up" })}`);
  const forPrograms = await run("leases", "logs", "box", "--json");
  assert.deepEqual(JSON.parse(forPrograms.stdout), { at: at(1), stream: "stdout", text: "a" });
});

// Guards against a file that arrives changed, under another name, or half.
test("cp copies in and out, whole or not at all", async (t) => {
  let broken = false;
  const { home, run, runWith, received } = await startDesk(t, (request, response) => {
    if (!request.url.includes("/files")) return answerAll(request, response);
    const path = new URL(request.url, "http://stub").searchParams.get("path");
    if (request.method === "PUT") return json(response, 200, { path, sizeBytes: 9, sha256: "" });
    response.writeHead(200, { "content-length": broken ? "9" : "5" }).write("bytes");
    if (broken) response.destroy();
    else response.end();
  });
  const file = join(home, "data.csv");
  const text = "a,Crème 🧀\r\n".repeat(20_000);
  await writeFile(file, text);
  const up = await runWith({ terminalColumns: 80 }, "leases", "cp", file, "box:/workspace/");
  assert.equal(up.code, 0, up.stderr);
  assert.match(up.stderr, /Sending █+[^]*Wrote \/workspace\/data\.csv \(9 bytes\)/);
  const put = received.at(-1);
  const query = new URL(put?.url ?? "", "http://stub").searchParams;
  assert.equal(query.get("path"), "/workspace/data.csv");
  assert.equal(query.get("sha256"), createHash("sha256").update(text).digest("hex"));
  assert.equal(put?.headers["content-type"], "application/octet-stream");
  assert.equal(put?.body, text);
  await runWith({ stdin: "piped" }, "leases", "cp", "-", "box:odd: name");
  assert.equal(received.at(-1)?.body, "piped");
  assert.match(received.at(-1)?.url ?? "", new RegExp(`${id(1)}/files\\?path=odd%3A\\+name$`));

  const folder = join(home, "into");
  await mkdir(folder);
  const down = await run("leases", "cp", "box:/workspace/report.pdf", folder);
  assert.equal(down.code, 0, down.stderr);
  assert.equal(await readFile(join(folder, "report.pdf"), "utf8"), "bytes");
  assert.equal((await run("leases", "cp", "box:x", "-")).stdout, "bytes");
  broken = true;
  const half = await run("leases", "cp", "box:/workspace/half", join(folder, "half"));
  assert.equal(half.code, 1);
  assert.deepEqual(await readdir(folder), ["report.pdf"]);
  for (const argv of [["a", "b"], ["box:a", "box:b"], ["-", "box:/workspace/"], ["box:a"]]) {
    assert.equal((await run("leases", "cp", ...argv)).code, 2, argv.join(" "));
  }
  assert.equal((await run("leases", "cp", join(home, "none"), "box:x")).code, 1);
});

// Guards against figures that can't be read, and drift that a script does not notice.
test("usage, quotas, statistics and drift are shown, and are JSON for programs", async (t) => {
  const sums = { leases: 2, seconds: 60, cpuSeconds: 30, gbSeconds: 15, costMinor: 250 };
  const quotas = { leases: { limit: 5, used: 2 }, spendMinor: { limit: null, used: 250 } };
  const found = { kind: "orphan_container", tenantId: id(8), detail: "No lease\u001b[2J." };
  const answers: Record<string, object> = {
    "/leases/usage": {
      items: [{ group: "2026-11-20", ...sums, currency: "GBP" }],
      totals: [{ ...sums, currency: "GBP" }],
      isPartial: true,
    },
    "/leases/quota": { tenant: quotas, user: quotas },
    [`/leases/${id(1)}/stats`]: {
      at: "2026-11-20T12:00:00Z",
      cpuSeconds: 1.5,
      memoryBytes: 41_943_040,
      memoryLimitBytes: 134_217_728,
      pids: null,
      networkInBytes: null,
      networkOutBytes: null,
      diskBytes: 1_048_576,
    },
    "/admin/leases/drift": { containers: 3, leases: 2, items: [found], unreachable: ["docker"] },
    "/admin/leases/drift/repair": {
      repaired: [found],
      failed: [{ item: found, problem: "Docker does not answer." }],
    },
  };
  const { run, received, home } = await startDesk(t, (request, response) => {
    const { pathname } = new URL(request.url, "http://stub");
    const answer = answers[pathname.slice("/api/v1".length)];
    if (answer) return json(response, 200, answer);
    if (pathname.endsWith(".csv")) return void response.end("leaseId\r\n");
    answerAll(request, response);
  });
  const usage = await run("leases", "usage", "--from", "2026-11-01", "--group-by", "day");
  assert.match(usage.stdout, /2026-11-20 +2 +60 +30 +15 +2\.50 GBP\n2\.50 GBP for 2 leases in all/);
  assert.match(usage.stderr, /--csv has all of it/);
  assert.match(received.at(-1)?.url ?? "", /from=2026-11-01T00%3A00%3A00Z&groupBy=day$/);
  assert.equal((await run("leases", "usage", "--csv")).stdout, "leaseId\r\n");
  const file = join(home, "usage.csv");
  await run("leases", "usage", "--csv", "--output", file);
  assert.equal(await readFile(file, "utf8"), "leaseId\r\n");
  const quota = await run("leases", "quota");
  assert.match(quota.stdout, /leases +2 +5 +2 +5\nspendMinor +250 +– +250 +–/);
  const stats = await run("leases", "stats", "box");
  assert.match(stats.stdout, /memory +40\.0 MiB of 128\.0 MiB\nprocesses +–/);
  const drift = await run("admin", "drift");
  assert.equal(drift.code, 1, "an engine did not answer");
  assert.match(drift.stdout, /orphan_container.*No lease\\u001b\[2J\./);
  assert.match(
    drift.stderr,
    /Looked at 3 containers and 2 leases: 1 differ[^]*✖ No answer.*docker/,
  );
  const repair = await run("admin", "drift", "repair", "--kind", "orphan_container", "--json");
  assert.deepEqual([repair.code, sent(received)], [1, { kind: "orphan_container" }]);
  assert.equal(JSON.parse(repair.stdout).repaired.length, 1);
});
