import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { manualClock } from "./clock.ts";
import { ConfigError, loadConfig } from "./config.ts";
import { generateProductionEnv, loadOrCreateDevelopmentSecrets } from "./config/generate.ts";
import { editDistance } from "./config/read.ts";
import { configReference, variableSchemas } from "./config/variables.ts";
import { seededRandom, systemRandom } from "./random.ts";

const clock = manualClock();
const random = systemRandom(clock);
const key = () => random.bytes(32).toString("base64");
const development = { PLIMSOLL_MASTER_KEY: key() };
const production = { NODE_ENV: "production", PLIMSOLL_MASTER_KEY: key() };

function faultsOf(env: Record<string, string | undefined>): Record<string, string> {
  try {
    loadConfig(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    for (const [name, value] of Object.entries(env)) {
      if (name === "NODE_ENV" || !value || value.length < 4) continue;
      assert.ok(!error.message.includes(value), `the message shows the value of ${name}`);
    }
    return Object.fromEntries(error.faults.map((fault) => [fault.name, fault.problem]));
  }
  return {};
}

function parseEnv(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

// Guards against a default that silently differs from what is documented.
test("a development machine with nothing but a key gets the documented defaults", () => {
  const config = loadConfig(development);
  assert.deepEqual(
    {
      env: config.env,
      host: config.host,
      port: config.port,
      publicUrl: config.publicUrl,
      dataDir: config.dataDir,
      role: config.role,
      demo: config.demo,
      poolMax: config.db.poolMax,
      idleMs: config.db.idleMs,
      bodyBytes: config.limits.bodyBytes,
      anonymousPerMinute: config.limits.anonymousPerMinute,
      anonymousBurst: config.limits.anonymousBurst,
      tenantPerMinute: config.limits.tenantPerMinute,
      shutdownDelayMs: config.limits.shutdownDelayMs,
      trustProxy: config.trustProxy,
      allowPrivateHosts: config.allowPrivateHosts,
    },
    {
      env: "development",
      host: "127.0.0.1",
      port: 7070,
      publicUrl: "http://127.0.0.1:7070",
      dataDir: ".plimsoll",
      role: "all",
      demo: true,
      poolMax: 25,
      idleMs: 300_000,
      bodyBytes: 1_048_576,
      anonymousPerMinute: 100,
      anonymousBurst: 20,
      tenantPerMinute: 6_000,
      shutdownDelayMs: 0,
      trustProxy: false,
      allowPrivateHosts: [],
    },
  );
  assert.equal(config.masterKey.length, 32);
  assert.equal(config.databaseUrl, undefined);
});

// Guards against an operator who mends one fault per restart, and against secrets in a boot log.
test("all faults are named at once, without any value", () => {
  const faults = faultsOf({
    PLIMSOLL_MASTER_KEY: "not-a-key-but-secret",
    PORT: "seventy",
    DATABASE_URL: "mysql://root:hunter22@db/x",
    PLIMSOLL_DEMO: "perhaps",
    TLS_CERT_FILE: "/etc/tls.crt",
    OIDC_CLIENT_ID: "client-one",
    PLIMSOLL_RATE_TENANT_PER_MINUTE: "-5000",
    FLAG_NEW_EDITOR: "maybe",
    PLIMSOLL_CORS_ORIGINS: "https://ok.example,https://bad.example/path",
  });
  assert.deepEqual(Object.keys(faults), [
    "DATABASE_URL",
    "FLAG_NEW_EDITOR",
    "OIDC_ISSUER",
    "PLIMSOLL_CORS_ORIGINS",
    "PLIMSOLL_DEMO",
    "PLIMSOLL_MASTER_KEY",
    "PLIMSOLL_RATE_TENANT_PER_MINUTE",
    "PORT",
    "TLS_KEY_FILE",
  ]);
  assert.match(faults["PORT"] ?? "", /whole number from 0 to 65535/);
});

// Guards against a typo that leaves a limit or a database setting silently at its default.
test("misspelt names are refused with the closest real one", () => {
  const cases: [string, string | null][] = [
    ["PLIMSOLL_DATADIR", "PLIMSOLL_DATA_DIR"],
    ["PLIMSOL_MASTER_KEY", "PLIMSOLL_MASTER_KEY"],
    ["plimsoll_demo", "PLIMSOLL_DEMO"],
    ["PLIMSOLL_CORS_ORIGIN", "PLIMSOLL_CORS_ORIGINS"],
    ["DATABASE_URI", "DATABASE_URL"],
    ["OIDC_ISSUER_URL", "OIDC_ISSUER"],
    ["FLAGS_FAULTS", "FLAG_<NAME>"],
    ["PLIMSOLL_SOMETHING_ELSE_ENTIRELY", null],
  ];
  for (const [name, meant] of cases) {
    const faults = faultsOf({ ...development, [name]: "1" });
    assert.deepEqual(Object.keys(faults), [name]);
    const problem = faults[name] ?? "";
    if (meant === null) assert.doesNotMatch(problem, /did you mean/);
    else assert.ok(problem.endsWith(`did you mean ${meant}?`), `${name} ${problem}`);
  }
});

// Guards against a server that won't start because of variables that others have set.
test("variables of the machine, of Kubernetes and of services are left alone", () => {
  const env = {
    ...development,
    PATH: "/usr/bin",
    HOSTNAME: "web-1",
    NODE_OPTIONS: "--max-old-space-size=512",
    SSL_CERT_FILE: "/etc/ssl/cert.pem",
    PLIMSOLL_SERVICE_HOST: "10.0.0.7",
    PLIMSOLL_SERVICE_PORT_HTTP: "7070",
    PLIMSOLL_PORT: "tcp://10.0.0.7:7070",
    PLIMSOLL_PORT_7070_TCP_ADDR: "10.0.0.7",
    PLIMSOLL_API: "http://127.0.0.1:7070",
    LEASES_RUNTIME: "process",
    DOCKER_HOST: "unix:///var/run/docker.sock",
    REDIS_URL: "",
  };
  const config = loadConfig(env, { serviceVariables: ["LEASES_", "DOCKER_HOST"] });
  assert.deepEqual(config.service, {
    LEASES_RUNTIME: "process",
    DOCKER_HOST: "unix:///var/run/docker.sock",
  });
  assert.equal(config.redisUrl, undefined);
});

// Guards against a production server that stands on a secret anybody can guess.
test("production refuses missing, shipped and weak secrets; development takes them", () => {
  const weakKeys = {
    zeros: Buffer.alloc(32),
    ones: Buffer.alloc(32, 0xff),
    sequence: Buffer.from(Array.from({ length: 32 }, (_, at) => at)),
    backwards: Buffer.from(Array.from({ length: 32 }, (_, at) => 255 - at)),
    repeated: Buffer.from("0123456789abcdef".repeat(2), "hex").subarray(0, 16),
    twice: Buffer.concat([random.bytes(16)]),
    text: Buffer.from("a-long-passphrase-made-by-hand-1"),
    few: Buffer.from(Array.from({ length: 32 }, (_, at) => [3, 141, 59, 26, 200][(at * at) % 5]!)),
  };
  for (const [name, bytes] of Object.entries(weakKeys)) {
    const whole = bytes.length === 32 ? bytes : Buffer.concat([bytes, bytes]).subarray(0, 32);
    const env = { PLIMSOLL_MASTER_KEY: whole.toString("base64") };
    assert.deepEqual(faultsOf(env), {}, `development takes ${name}`);
    const faults = faultsOf({ ...env, NODE_ENV: "production" });
    assert.deepEqual(Object.keys(faults), ["PLIMSOLL_MASTER_KEY"], name);
  }
  assert.deepEqual(Object.keys(faultsOf({ NODE_ENV: "production" })), ["PLIMSOLL_MASTER_KEY"]);
  const weak: Record<string, string> = {
    PLIMSOLL_METRICS_TOKEN: "changeme-changeme-changeme",
    OIDC_CLIENT_SECRET: "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    DATABASE_URL: "postgres://plimsoll:postgres@db/plimsoll",
    REDIS_URL: "redis://:short@redis:6379",
    AMQP_URL: "amqp://guest:guest@rabbitmq:5672",
    PLIMSOLL_ADMIN_PASSWORD: "Password123456",
    PLIMSOLL_MASTER_KEY_PREVIOUS: Buffer.alloc(32).toString("base64"),
  };
  const others = {
    OIDC_ISSUER: "https://id.test",
    OIDC_CLIENT_ID: "plimsoll-web",
    PLIMSOLL_ADMIN_EMAIL: "ada@ships.test",
  };
  const faults = faultsOf({ ...production, ...others, ...weak });
  assert.deepEqual(Object.keys(faults), Object.keys(weak).sort());
  assert.deepEqual(faultsOf({ ...development, ...others, ...weak }), {});
});

// Guards against a false alarm that keeps a well-configured server from starting.
test("10,000 random keys and tokens are never called weak", () => {
  const seeded = seededRandom(clock, 7);
  for (let round = 0; round < 10_000; round += 1) {
    loadConfig({
      NODE_ENV: "production",
      PLIMSOLL_MASTER_KEY: seeded.bytes(32).toString("base64"),
      PLIMSOLL_METRICS_TOKEN: seeded.bytes(24).toString("base64url"),
    });
  }
});

// Guards against documentation whose first step does not work.
test("what `secrets generate` prints starts a production server, and differs each time", () => {
  const text = generateProductionEnv(random);
  const config = loadConfig(parseEnv(text));
  assert.equal(config.env, "production");
  assert.equal(config.demo, false);
  assert.equal(config.limits.shutdownDelayMs, 5_000);
  assert.ok(config.admin && config.metricsToken);
  assert.equal(config.publicUrl, "http://127.0.0.1:7070");
  const uncommented = text.replace(/^# (DATABASE_URL|REDIS_URL|AMQP_URL|TLS_)/gm, "$1");
  const full = loadConfig(parseEnv(uncommented));
  assert.ok(full.databaseUrl && full.redisUrl && full.amqpUrl && full.tls);
  assert.notEqual(text, generateProductionEnv(random));
});

// Guards against development secrets that change at a restart (nothing opens any more) or are
// readable.
test("development secrets are made once, for their owner only", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "plimsoll-config-"));
  const dataDir = join(folder, "data");
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const first = loadOrCreateDevelopmentSecrets(dataDir, random);
  const second = loadOrCreateDevelopmentSecrets(dataDir, random);
  assert.deepEqual(second, first);
  const path = join(dataDir, "secrets.json");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  assert.equal(loadConfig({ ...first, NODE_ENV: "production" }).env, "production");
  writeFileSync(path, '{"PLIMSOLL_MASTER_KEY":');
  assert.throws(() => loadOrCreateDevelopmentSecrets(dataDir, random), /is damaged/);
  assert.equal(readFileSync(path, "utf8"), '{"PLIMSOLL_MASTER_KEY":', "never overwritten");
});

// Guards against settings that contradict each other and fail only later, under load.
test("settings that don't go together are faults", () => {
  const cases: [Record<string, string>, string][] = [
    [{ PLIMSOLL_SHUTDOWN_DEADLINE_MS: "1000", PLIMSOLL_SHUTDOWN_DELAY_MS: "1000" }, "_DEADLINE_MS"],
    [{ PLIMSOLL_METRICS_PORT: "7070" }, "PLIMSOLL_METRICS_PORT"],
    [{ OIDC_ISSUER: "http://id.test", OIDC_CLIENT_ID: "c" }, "OIDC_ISSUER"],
    [{ DATABASE_APP_URL: "postgres://a@db/x" }, "DATABASE_URL"],
    [
      { DATABASE_APP_URL: "postgres://a@db/x", DATABASE_URL: "postgres://a@db/x" },
      "DATABASE_APP_URL",
    ],
    [{ PLIMSOLL_TRUST_PROXY: "10.0.0.0/40" }, "PLIMSOLL_TRUST_PROXY"],
    [{ PLIMSOLL_ALLOW_PRIVATE_HOSTS: "http://127.0.0.1" }, "PLIMSOLL_ALLOW_PRIVATE_HOSTS"],
    [{ PLIMSOLL_ADMIN_EMAIL: "ada@ships.test" }, "PLIMSOLL_ADMIN_PASSWORD"],
  ];
  for (const [env, name] of cases) {
    const names = Object.keys(faultsOf({ ...development, ...env }));
    assert.ok(names.length === 1 && names[0]?.endsWith(name), `${JSON.stringify(env)}: ${names}`);
  }
  assert.ok("PLIMSOLL_TRUST_PROXY" in faultsOf({ ...production, PLIMSOLL_TRUST_PROXY: "true" }));
});

// Guards against lists and special forms that are read otherwise than documented.
test("lists, flags, proxies and mappings are read", () => {
  const config = loadConfig({
    ...development,
    PLIMSOLL_ALLOW_PRIVATE_HOSTS: "127.0.0.1:9000, [::1]:80 ,gitea.internal",
    PLIMSOLL_CORS_ORIGINS: "https://a.example,http://localhost:5173",
    PLIMSOLL_TRUST_PROXY: "loopback, 10.0.0.0/8",
    PLIMSOLL_MASTER_KEY_PREVIOUS: `${key()},${key()}`,
    FLAG_FAULTS: "On",
    FLAG_OLD_LIST: "no",
    HOST: "::",
    PORT: "8080",
    OIDC_ISSUER: "http://id.test",
    OIDC_CLIENT_ID: "web",
    OIDC_ALLOW_HTTP: "1",
    OIDC_TENANT_MAPPING: "ships.test=ships,boats.test=boats",
  });
  assert.deepEqual(config.allowPrivateHosts, ["127.0.0.1:9000", "[::1]:80", "gitea.internal"]);
  assert.deepEqual(config.corsOrigins, ["https://a.example", "http://localhost:5173"]);
  assert.deepEqual(config.trustProxy, ["loopback", "10.0.0.0/8"]);
  assert.equal(config.masterKeyPrevious.length, 2);
  assert.deepEqual(config.flags, { faults: true, old_list: false });
  assert.equal(config.publicUrl, "http://127.0.0.1:8080");
  assert.deepEqual(config.oidc?.tenantMapping, { "ships.test": "ships", "boats.test": "boats" });
  assert.equal(loadConfig({ ...development, PLIMSOLL_TRUST_PROXY: "2" }).trustProxy, 2);
});

// Guards against replicas on different ports, or a server that moved, refusing each other's tokens.
test("who issues tokens is the public address that was given, and never the port", () => {
  const issuerOf = (env: Record<string, string>) =>
    loadConfig({ ...development, ...env }).tokenIssuer;
  assert.equal(issuerOf({ PORT: "7071" }), issuerOf({ PORT: "7072", HOST: "0.0.0.0" }));
  const given = { PLIMSOLL_PUBLIC_URL: "https://plimsoll.example.com" };
  assert.equal(issuerOf(given), "https://plimsoll.example.com");
});

// Guards against a variable that the documentation can't explain.
test("every variable has a meaning, an expectation and is in the reference", () => {
  const reference = configReference();
  assert.equal(reference.length, Object.keys(variableSchemas).length + 1);
  for (const { name, meaning, expected } of reference) {
    assert.match(meaning, /^[A-Z].*\.$/, name);
    assert.ok(expected.length > 3, name);
  }
  const secrets = reference.filter((entry) => entry.secret).map((entry) => entry.name);
  for (const name of Object.keys(variableSchemas)) {
    const looksSecret = /_(KEY|PASSWORD|TOKEN|SECRET)$|^(DATABASE|REDIS|AMQP).*_URL$/.test(name);
    if (looksSecret) assert.ok(secrets.includes(name), name);
  }
});

test("edit distance counts inserts, deletes and replacements", () => {
  assert.equal(editDistance("kitten", "sitting"), 3);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("same", "same"), 0);
});
