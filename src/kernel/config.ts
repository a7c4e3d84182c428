import { readFlags, readVariables, splitList, unknownNames } from "./config/read.ts";
import type { ConfigFault, EnvironmentVariables } from "./config/read.ts";
import { keyWeakness, textWeakness } from "./config/strength.ts";
import type { Variables } from "./config/variables.ts";

export type Environment = "development" | "production" | "test";
export type ProcessRole = "api" | "worker" | "all";
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export interface OidcConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: string;
  /** The claim that names the tenant's slug. */
  readonly tenantClaim?: string;
  /** Claim value to tenant slug, or e-mail domain to tenant slug when there is no claim. */
  readonly tenantMapping: Readonly<Record<string, string>>;
  /** Lets the issuer be plain HTTP; never for the open network. */
  readonly allowHttp: boolean;
}

export interface LimitsConfig {
  readonly bodyBytes: number;
  readonly requestTimeoutMs: number;
  readonly anonymousPerMinute: number;
  readonly anonymousBurst: number;
  readonly tenantPerMinute: number;
  readonly shutdownDelayMs: number;
  readonly shutdownDeadlineMs: number;
  readonly cacheEntries: number;
  readonly cacheBytes: number;
}

export interface DbConfig {
  readonly poolMax: number;
  readonly idleMs: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly idleInTransactionTimeoutMs: number;
  readonly slowMs: number;
}

/** Everything the process was told at start, checked; nothing else reads the environment. */
export interface Config {
  readonly env: Environment;
  readonly host: string;
  readonly port: number;
  readonly publicUrl: string;
  /** What access tokens name as their issuer: the same in every process over one database. */
  readonly tokenIssuer: string;
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  readonly role: ProcessRole;
  /** The services to run; absent for all of them. */
  readonly services?: readonly string[];
  /** The owner's connection; absent for embedded PostgreSQL. */
  readonly databaseUrl?: string;
  readonly databaseAppUrl?: string;
  readonly masterKey: Buffer;
  /** Retired master keys that may still open what they sealed. */
  readonly masterKeyPrevious: readonly Buffer[];
  readonly redisUrl?: string;
  readonly amqpUrl?: string;
  readonly otlpEndpoint?: string;
  readonly oidc?: OidcConfig;
  readonly corsOrigins: readonly string[];
  /**
   * Addresses or CIDR ranges of proxies to believe; false for none, a number for that many hops.
   */
  readonly trustProxy: boolean | number | readonly string[];
  /** `host` or `host:port` that outgoing requests may reach although private. */
  readonly allowPrivateHosts: readonly string[];
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly metricsToken?: string;
  readonly metricsPort?: number;
  readonly demo: boolean;
  readonly admin?: { readonly email: string; readonly password: string };
  readonly limits: LimitsConfig;
  readonly db: DbConfig;
  /** `FLAG_<NAME>` by name in lower case. */
  readonly flags: Readonly<Record<string, boolean>>;
  /** Variables of services, such as LEASES_RUNTIME, unparsed: each service checks its own. */
  readonly service: Readonly<Record<string, string>>;
}

export interface LoadOptions {
  role?: ProcessRole;
  services?: readonly string[];
  /** Beginnings (`LEASES_`) or whole names of the variables that services read. */
  serviceVariables?: readonly string[];
}

/** Every fault of the configuration at once; its message holds names and never a value. */
export class ConfigError extends Error {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map((fault) => `  ${fault.name} ${fault.problem}`);
    super(`The configuration has ${faults.length} fault(s):\n${lines.join("\n")}`);
    this.name = "ConfigError";
    this.faults = faults;
  }
}

/**
 * Checks the environment against the schema and answers the configuration, or throws `ConfigError`.
 */
export function loadConfig(env: EnvironmentVariables, options: LoadOptions = {}): Config {
  const { values, faults } = readVariables(env);
  const flags = readFlags(env);
  const serviceVariables = options.serviceVariables ?? [];
  const isServiceVariable = (name: string) =>
    serviceVariables.some((known) =>
      known.endsWith("_") ? name.startsWith(known) : name === known,
    );
  const masterKey = readKeys(values, faults);
  faults.push(...flags.faults, ...unknownNames(env, isServiceVariable));
  faults.push(...togetherFaults(values), ...rangeFaults(values), ...oidcFaults(values));
  if (values.NODE_ENV === "production") faults.push(...weaknesses(values));
  if (faults.length > 0) throw new ConfigError(onePerName(faults));
  const service: Record<string, string> = {};
  for (const [name, text] of Object.entries(env)) {
    if (text?.trim() && isServiceVariable(name)) service[name] = text.trim();
  }
  return assemble(values, { ...options, flags: flags.flags, service, masterKey });
}

function onePerName(faults: readonly ConfigFault[]): ConfigFault[] {
  const byName = new Map<string, ConfigFault>();
  for (const fault of faults) if (!byName.has(fault.name)) byName.set(fault.name, fault);
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function readKeys(values: Variables, faults: ConfigFault[]): Buffer {
  const text = values.PLIMSOLL_MASTER_KEY;
  if (text === undefined && !faults.some((fault) => fault.name === "PLIMSOLL_MASTER_KEY")) {
    faults.push({
      name: "PLIMSOLL_MASTER_KEY",
      problem: "is missing; expects 32 random bytes in base64 (plimsoll secrets generate)",
    });
  }
  return Buffer.from(text ?? "", "base64");
}

function togetherFaults(values: Variables): ConfigFault[] {
  const pairs: [keyof Variables, keyof Variables][] = [
    ["TLS_CERT_FILE", "TLS_KEY_FILE"],
    ["TLS_KEY_FILE", "TLS_CERT_FILE"],
    ["PLIMSOLL_ADMIN_EMAIL", "PLIMSOLL_ADMIN_PASSWORD"],
    ["PLIMSOLL_ADMIN_PASSWORD", "PLIMSOLL_ADMIN_EMAIL"],
    ["DATABASE_APP_URL", "DATABASE_URL"],
    ["OIDC_ISSUER", "OIDC_CLIENT_ID"],
    ["OIDC_CLIENT_ID", "OIDC_ISSUER"],
    ["OIDC_CLIENT_SECRET", "OIDC_ISSUER"],
    ["OIDC_TENANT_CLAIM", "OIDC_ISSUER"],
    ["OIDC_TENANT_MAPPING", "OIDC_ISSUER"],
  ];
  return pairs
    .filter(([given, needed]) => values[given] !== undefined && values[needed] === undefined)
    .map(([given, needed]) => ({ name: needed, problem: `is missing; ${given} needs it` }));
}

function rangeFaults(values: Variables): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const fault = (name: keyof Variables, problem: string) => faults.push({ name, problem });
  const delayMs = shutdownDelayMs(values);
  if (values.PLIMSOLL_SHUTDOWN_DEADLINE_MS <= delayMs) {
    fault("PLIMSOLL_SHUTDOWN_DEADLINE_MS", "must be longer than PLIMSOLL_SHUTDOWN_DELAY_MS");
  }
  if (values.PLIMSOLL_METRICS_PORT && values.PLIMSOLL_METRICS_PORT === values.PORT) {
    fault("PLIMSOLL_METRICS_PORT", "must differ from PORT");
  }
  if ((values.PLIMSOLL_MASTER_KEY_PREVIOUS?.length ?? 0) > 8) {
    fault("PLIMSOLL_MASTER_KEY_PREVIOUS", "expects at most 8 keys");
  }
  const passwordLength = values.PLIMSOLL_ADMIN_PASSWORD?.length ?? 8;
  if (passwordLength < 8 || passwordLength > 1_000) {
    fault("PLIMSOLL_ADMIN_PASSWORD", "expects 8 to 1000 characters");
  }
  if (values.NODE_ENV === "production" && values.PLIMSOLL_TRUST_PROXY === "true") {
    fault("PLIMSOLL_TRUST_PROXY", "would believe anybody in production; expects hops or addresses");
  }
  const [owner, app] = [values.DATABASE_URL, values.DATABASE_APP_URL].map(
    (url) => url && new URL(url).username,
  );
  if (owner && owner === app) {
    fault("DATABASE_APP_URL", "must name another role than DATABASE_URL, one that owns nothing");
  }
  return faults;
}

function oidcFaults(values: Variables): ConfigFault[] {
  const issuer = values.OIDC_ISSUER;
  if (!issuer || values.OIDC_ALLOW_HTTP || new URL(issuer).protocol === "https:") return [];
  return [{ name: "OIDC_ISSUER", problem: "expects https (http only with OIDC_ALLOW_HTTP=1)" }];
}

/** Secrets that anybody could guess; only production minds. */
function weaknesses(values: Variables): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const check = (name: keyof Variables, weakness: string | null) => {
    if (weakness) faults.push({ name, problem: `${weakness}; production needs a strong secret` });
  };
  const keys = [values.PLIMSOLL_MASTER_KEY, ...(values.PLIMSOLL_MASTER_KEY_PREVIOUS ?? [])];
  for (const [at, key] of keys.entries()) {
    const name = at === 0 ? "PLIMSOLL_MASTER_KEY" : "PLIMSOLL_MASTER_KEY_PREVIOUS";
    if (key !== undefined) check(name, keyWeakness(Buffer.from(key, "base64")));
  }
  const texts = [
    ["PLIMSOLL_ADMIN_PASSWORD", 12, 30],
    ["PLIMSOLL_METRICS_TOKEN", 16, 40],
    ["OIDC_CLIENT_SECRET", 16, 40],
  ] as const;
  for (const [name, minLength, minBits] of texts) {
    const secret = values[name];
    if (secret !== undefined) check(name, textWeakness(secret, minLength, minBits));
  }
  for (const name of ["DATABASE_URL", "DATABASE_APP_URL", "REDIS_URL", "AMQP_URL"] as const) {
    const password = values[name] && urlPassword(values[name]);
    if (password) check(name, passwordWeakness(textWeakness(password, 12, 30)));
  }
  return faults;
}

function passwordWeakness(weakness: string | null): string | null {
  return weakness && `has a password that ${weakness}`;
}

function urlPassword(url: string): string {
  const { password } = new URL(url);
  try {
    return decodeURIComponent(password);
  } catch {
    return password;
  }
}

function shutdownDelayMs(values: Variables): number {
  return values.PLIMSOLL_SHUTDOWN_DELAY_MS ?? (values.NODE_ENV === "production" ? 5_000 : 0);
}

function publicUrl(values: Variables): string {
  if (values.PLIMSOLL_PUBLIC_URL) return values.PLIMSOLL_PUBLIC_URL;
  const named = ["0.0.0.0", "::"].includes(values.HOST) ? "127.0.0.1" : values.HOST;
  const scheme = values.TLS_CERT_FILE ? "https" : "http";
  return `${scheme}://${named.includes(":") ? `[${named}]` : named}:${values.PORT}`;
}

function trustProxy(text: string): boolean | number | string[] {
  if (text === "true" || text === "false") return text === "true";
  const hops = Number(text);
  if (Number.isInteger(hops)) return hops === 0 ? false : hops;
  return splitList(text);
}

function oidc(values: Variables): OidcConfig | undefined {
  if (!values.OIDC_ISSUER || !values.OIDC_CLIENT_ID) return undefined;
  const mapping = (values.OIDC_TENANT_MAPPING ?? []).map((entry) => {
    const at = entry.lastIndexOf("=");
    return [entry.slice(0, at), entry.slice(at + 1)] as const;
  });
  return {
    issuer: values.OIDC_ISSUER,
    clientId: values.OIDC_CLIENT_ID,
    clientSecret: values.OIDC_CLIENT_SECRET,
    tenantClaim: values.OIDC_TENANT_CLAIM,
    tenantMapping: Object.fromEntries(mapping),
    allowHttp: values.OIDC_ALLOW_HTTP,
  };
}

function limits(values: Variables): LimitsConfig {
  return {
    bodyBytes: values.PLIMSOLL_BODY_LIMIT_BYTES,
    requestTimeoutMs: values.PLIMSOLL_REQUEST_TIMEOUT_MS,
    anonymousPerMinute: values.PLIMSOLL_RATE_ANONYMOUS_PER_MINUTE,
    anonymousBurst: values.PLIMSOLL_RATE_ANONYMOUS_BURST,
    tenantPerMinute: values.PLIMSOLL_RATE_TENANT_PER_MINUTE,
    shutdownDelayMs: shutdownDelayMs(values),
    shutdownDeadlineMs: values.PLIMSOLL_SHUTDOWN_DEADLINE_MS,
    cacheEntries: values.PLIMSOLL_CACHE_ENTRIES,
    cacheBytes: values.PLIMSOLL_CACHE_BYTES,
  };
}

function db(values: Variables): DbConfig {
  return {
    poolMax: values.PLIMSOLL_DB_POOL_MAX,
    idleMs: values.PLIMSOLL_DB_IDLE_MS,
    connectTimeoutMs: values.PLIMSOLL_DB_CONNECT_TIMEOUT_MS,
    statementTimeoutMs: values.PLIMSOLL_DB_STATEMENT_TIMEOUT_MS,
    lockTimeoutMs: values.PLIMSOLL_DB_LOCK_TIMEOUT_MS,
    idleInTransactionTimeoutMs: values.PLIMSOLL_DB_IDLE_IN_TRANSACTION_TIMEOUT_MS,
    slowMs: values.PLIMSOLL_DB_SLOW_MS,
  };
}

interface Assembled extends LoadOptions {
  flags: Record<string, boolean>;
  service: Record<string, string>;
  masterKey: Buffer;
}

function assemble(
  values: Variables,
  { role, services, flags, service, masterKey }: Assembled,
): Config {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } = values;
  const { PLIMSOLL_ADMIN_EMAIL: email, PLIMSOLL_ADMIN_PASSWORD: password } = values;
  return {
    env: values.NODE_ENV,
    host: values.HOST,
    port: values.PORT,
    publicUrl: publicUrl(values),
    tokenIssuer: values.PLIMSOLL_PUBLIC_URL ?? "plimsoll",
    dataDir: values.PLIMSOLL_DATA_DIR,
    logLevel: values.LOG_LEVEL,
    role: role ?? "all",
    services,
    databaseUrl: values.DATABASE_URL,
    databaseAppUrl: values.DATABASE_APP_URL,
    masterKey,
    masterKeyPrevious: (values.PLIMSOLL_MASTER_KEY_PREVIOUS ?? []).map((key) =>
      Buffer.from(key, "base64"),
    ),
    redisUrl: values.REDIS_URL,
    amqpUrl: values.AMQP_URL,
    otlpEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
    oidc: oidc(values),
    corsOrigins: values.PLIMSOLL_CORS_ORIGINS ?? [],
    trustProxy: trustProxy(values.PLIMSOLL_TRUST_PROXY),
    allowPrivateHosts: values.PLIMSOLL_ALLOW_PRIVATE_HOSTS ?? [],
    tls: certFile && keyFile ? { certFile, keyFile } : undefined,
    metricsToken: values.PLIMSOLL_METRICS_TOKEN,
    metricsPort: values.PLIMSOLL_METRICS_PORT,
    demo: values.PLIMSOLL_DEMO ?? values.NODE_ENV === "development",
    admin: email && password ? { email, password } : undefined,
    limits: limits(values),
    db: db(values),
    flags,
    service,
  };
}
