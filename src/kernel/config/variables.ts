import { isIP } from "node:net";
import Type from "typebox";
import type { Static, TSchema } from "typebox";
import Format from "typebox/format";

const hostEntry = /^(\[[0-9a-f:.]+\]|[^\s:/@[\]]+)(:\d{1,5})?$/i;

function isUrl(text: string, protocols: readonly string[]): boolean {
  return URL.canParse(text) && protocols.includes(new URL(text).protocol);
}

/** An origin as browsers send it: scheme, host and port, nothing after. */
function isOrigin(text: string): boolean {
  return isUrl(text, ["http:", "https:"]) && new URL(text).origin === text;
}

function isBase64Key(text: string): boolean {
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) && Buffer.from(text, "base64").length === 32;
}

function isProxyEntry(text: string): boolean {
  if (["loopback", "linklocal", "uniquelocal"].includes(text)) return true;
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
  );
}

function isTrustProxy(text: string): boolean {
  if (/^(true|false|10|[0-9])$/.test(text)) return true;
  return text.split(",").every((entry) => isProxyEntry(entry.trim()));
}

/** What a text must be beyond a text; the names are those of `format` below. */
const formats = {
  "postgres-url": (text: string) => isUrl(text, ["postgres:", "postgresql:"]),
  "redis-url": (text: string) => isUrl(text, ["redis:", "rediss:"]),
  "amqp-url": (text: string) => isUrl(text, ["amqp:", "amqps:"]),
  "http-url": (text: string) => isUrl(text, ["http:", "https:"]),
  "http-origin": isOrigin,
  "base64-key": isBase64Key,
  "email-address": (text: string) => /^[^\s@]{1,64}@[^\s@]{1,190}$/.test(text),
  "host-entry": (text: string) => hostEntry.test(text),
  "trust-proxy": isTrustProxy,
  "mapping-entry": (text: string) => /^[^=,]+=[a-z0-9][a-z0-9-]{1,62}$/.test(text),
};
for (const [name, check] of Object.entries(formats)) Format.Set(name, check);

interface Described {
  /** What the variable is for, in one sentence. */
  description: string;
  /** What a good value looks like; shown in a fault instead of the value. */
  expected: string;
  default?: unknown;
  /** What to show as default where it depends on something. */
  defaultText?: string;
  secret?: true;
}

const text = (described: Described & { format?: keyof typeof formats; pattern?: string }) =>
  Type.String({ minLength: 1, maxLength: 4096, ...described });

const list = (format: keyof typeof formats, described: Described) =>
  Type.Array(Type.String({ format }), { maxItems: 256, ...described });

const flag = (described: Omit<Described, "expected">) =>
  Type.Boolean({ expected: "1, true, yes, on or 0, false, no, off", ...described });

const whole = (minimum: number, maximum: number, described: Omit<Described, "expected">) => {
  const expected = `a whole number from ${minimum} to ${maximum}`;
  return Type.Integer({ minimum, maximum, expected, ...described });
};

const choice = <const T extends string>(
  values: readonly T[],
  described: Omit<Described, "expected">,
) => {
  const expected = `one of ${values.join(", ")}`;
  return Type.Unsafe<T>({ type: "string", enum: values, expected, ...described });
};

const processVariables = {
  NODE_ENV: choice(["development", "production", "test"], {
    description: "How strict to be: production refuses weak secrets and makes no demo data.",
    default: "development",
  }),
  HOST: text({
    description: "The address to listen on.",
    expected: "an address or host name",
    pattern: "^[A-Za-z0-9.:_-]+$",
    default: "127.0.0.1",
  }),
  PORT: whole(0, 65_535, { description: "The port to listen on; 0 takes any.", default: 7070 }),
  PLIMSOLL_PUBLIC_URL: text({
    description:
      "The address that people and other machines use; issuer of the access tokens, so the same " +
      "for every process over one database.",
    expected: "an http or https origin such as https://plimsoll.example.com",
    format: "http-origin",
    defaultText: "http://HOST:PORT, https with TLS",
  }),
  PLIMSOLL_DATA_DIR: text({
    description: "Folder of the embedded database and of secrets generated in development.",
    expected: "a path",
    default: ".plimsoll",
  }),
  PLIMSOLL_DEMO: Type.Optional(
    flag({
      description: "Fills an empty database with a demo tenant.",
      defaultText: "1 in development, else 0",
    }),
  ),
  LOG_LEVEL: choice(["trace", "debug", "info", "warn", "error", "fatal", "silent"], {
    description: "The least severe level that is logged.",
    default: "info",
  }),
};

const secretVariables = {
  PLIMSOLL_MASTER_KEY: Type.Optional(
    text({
      description: "Seals every secret in the database.",
      expected: "32 random bytes in base64 (plimsoll secrets generate)",
      format: "base64-key",
      secret: true,
      defaultText: "generated once in development, required in production",
    }),
  ),
  PLIMSOLL_MASTER_KEY_PREVIOUS: Type.Optional(
    list("base64-key", {
      description: "Earlier master keys, which still open what they sealed.",
      expected: "a comma-separated list of at most 8 earlier master keys",
      secret: true,
    }),
  ),
  PLIMSOLL_ADMIN_EMAIL: Type.Optional(
    text({
      description: "E-mail address of the first platform admin, made at first boot.",
      expected: "an e-mail address",
      format: "email-address",
    }),
  ),
  PLIMSOLL_ADMIN_PASSWORD: Type.Optional(
    text({
      description: "Password of the first platform admin.",
      expected: "8 to 1000 characters, in production at least 12 and not guessable",
      secret: true,
    }),
  ),
  PLIMSOLL_METRICS_TOKEN: Type.Optional(
    text({
      description: "Bearer token that GET /metrics asks for.",
      expected: "at least 16 characters",
      secret: true,
    }),
  ),
};

const connectionVariables = {
  DATABASE_URL: Type.Optional(
    text({
      description: "PostgreSQL as the owner, who migrates; embedded PostgreSQL when absent.",
      expected: "a postgres:// address",
      format: "postgres-url",
      secret: true,
    }),
  ),
  DATABASE_APP_URL: Type.Optional(
    text({
      description: "PostgreSQL as the application's role; made from DATABASE_URL when absent.",
      expected: "a postgres:// address, given together with DATABASE_URL",
      format: "postgres-url",
      secret: true,
    }),
  ),
  REDIS_URL: Type.Optional(
    text({
      description: "Redis for rate limits that hold across replicas.",
      expected: "a redis:// or rediss:// address",
      format: "redis-url",
      secret: true,
    }),
  ),
  AMQP_URL: Type.Optional(
    text({
      description: "RabbitMQ that events are published to.",
      expected: "an amqp:// or amqps:// address",
      format: "amqp-url",
      secret: true,
    }),
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    text({
      description: "Where traces are sent, over OTLP/HTTP; no tracing when absent.",
      expected: "an http or https address",
      format: "http-url",
    }),
  ),
  TLS_CERT_FILE: Type.Optional(
    text({
      description: "Certificate chain in PEM.",
      expected: "a path, given together with TLS_KEY_FILE",
    }),
  ),
  TLS_KEY_FILE: Type.Optional(
    text({
      description: "Private key in PEM.",
      expected: "a path, given together with TLS_CERT_FILE",
    }),
  ),
  PLIMSOLL_METRICS_PORT: Type.Optional(
    whole(0, 65_535, {
      description:
        "Serves /metrics, /health and /ready on a port of their own, for a worker too, which has " +
        "no other; 0 takes any.",
    }),
  ),
  PLIMSOLL_CORS_ORIGINS: Type.Optional(
    list("http-origin", {
      description: "Origins whose pages may call the API from a browser.",
      expected: "a comma-separated list of origins such as https://app.example.com",
    }),
  ),
  PLIMSOLL_TRUST_PROXY: text({
    description: "Which proxies to believe about the caller's address.",
    expected: "a number of hops, or addresses, ranges, loopback, linklocal, uniquelocal",
    format: "trust-proxy",
    default: "false",
  }),
  PLIMSOLL_ALLOW_PRIVATE_HOSTS: Type.Optional(
    list("host-entry", {
      description: "Private hosts that tenants' webhooks, feeds and models may reach.",
      expected: "a comma-separated list of host or host:port",
    }),
  ),
};

const oidcVariables = {
  OIDC_ISSUER: Type.Optional(
    text({
      description: "OpenID Connect issuer for single sign-on; none when absent.",
      expected: "an https address (http only with OIDC_ALLOW_HTTP=1)",
      format: "http-url",
    }),
  ),
  OIDC_CLIENT_ID: Type.Optional(
    text({
      description: "This server's client id at the issuer.",
      expected: "a text, given together with OIDC_ISSUER",
    }),
  ),
  OIDC_CLIENT_SECRET: Type.Optional(
    text({
      description: "The client's secret; absent for a public client.",
      expected: "a text, not guessable in production",
      secret: true,
    }),
  ),
  OIDC_TENANT_CLAIM: Type.Optional(
    text({
      description: "Claim that says which tenant a user belongs to.",
      expected: "a claim's name",
    }),
  ),
  OIDC_TENANT_MAPPING: Type.Optional(
    list("mapping-entry", {
      description: "Tenant slug by value of the tenant claim, or by e-mail domain without a claim.",
      expected: "a comma-separated list of value=slug",
    }),
  ),
  OIDC_ALLOW_HTTP: flag({
    description: "Lets the issuer be plain HTTP, for tests and closed networks.",
    default: false,
  }),
};

const limitVariables = {
  PLIMSOLL_RATE_ANONYMOUS_PER_MINUTE: whole(1, 1_000_000, {
    description: "Requests a minute per address without credentials, and to sign-in routes.",
    default: 100,
  }),
  PLIMSOLL_RATE_ANONYMOUS_BURST: whole(1, 1_000_000, {
    description: "How many of those may come at once.",
    default: 20,
  }),
  PLIMSOLL_RATE_TENANT_PER_MINUTE: whole(1, 100_000_000, {
    description: "Requests a minute per tenant that has no limit of its own.",
    default: 6_000,
  }),
  PLIMSOLL_BODY_LIMIT_BYTES: whole(1_024, 104_857_600, {
    description: "Largest request body of a route that doesn't say more.",
    default: 1_048_576,
  }),
  PLIMSOLL_REQUEST_TIMEOUT_MS: whole(100, 600_000, {
    description: "How long a request may take to arrive.",
    default: 30_000,
  }),
  PLIMSOLL_SHUTDOWN_DELAY_MS: Type.Optional(
    whole(0, 120_000, {
      description: "How long to go on serving after SIGTERM, while load balancers notice.",
      defaultText: "5000 in production, else 0",
    }),
  ),
  PLIMSOLL_SHUTDOWN_DEADLINE_MS: whole(1_000, 600_000, {
    description: "When to exit after SIGTERM, whatever is left; longer than the delay.",
    default: 30_000,
  }),
  PLIMSOLL_CACHE_ENTRIES: whole(1, 10_000_000, {
    description: "Most entries of the in-process cache.",
    default: 50_000,
  }),
  PLIMSOLL_CACHE_BYTES: whole(1_024, 17_179_869_184, {
    description: "Most memory of the in-process cache, by estimate.",
    default: 67_108_864,
  }),
};

const databaseVariables = {
  PLIMSOLL_DB_POOL_MAX: whole(1, 500, {
    description: "Most connections of this process to PostgreSQL.",
    default: 25,
  }),
  PLIMSOLL_DB_IDLE_MS: whole(1_000, 86_400_000, {
    description: "When an unused connection is closed.",
    default: 300_000,
  }),
  PLIMSOLL_DB_CONNECT_TIMEOUT_MS: whole(100, 120_000, {
    description: "How long to wait for a connection.",
    default: 5_000,
  }),
  PLIMSOLL_DB_STATEMENT_TIMEOUT_MS: whole(100, 3_600_000, {
    description: "When PostgreSQL gives a statement up.",
    default: 30_000,
  }),
  PLIMSOLL_DB_LOCK_TIMEOUT_MS: whole(100, 3_600_000, {
    description: "When PostgreSQL gives up waiting for a lock.",
    default: 10_000,
  }),
  PLIMSOLL_DB_IDLE_IN_TRANSACTION_TIMEOUT_MS: whole(100, 3_600_000, {
    description: "When PostgreSQL ends a transaction that does nothing.",
    default: 30_000,
  }),
  PLIMSOLL_DB_SLOW_MS: whole(1, 3_600_000, {
    description: "From when on a statement is logged as slow.",
    default: 500,
  }),
};

/** Every variable that the server reads, but FLAG_<NAME> and those of services. */
export const variables = Type.Object({
  ...processVariables,
  ...secretVariables,
  ...connectionVariables,
  ...oidcVariables,
  ...limitVariables,
  ...databaseVariables,
});

export type Variables = Static<typeof variables>;
export type VariableName = keyof Variables;
export type VariableSchema = TSchema & Described & { type?: string };

export const variableSchemas = variables.properties as unknown as Readonly<
  Record<string, VariableSchema>
>;

export interface VariableReference {
  name: string;
  meaning: string;
  expected: string;
  /** As one would write it; null when it is absent by default. */
  default: string | null;
  secret: boolean;
}

/** What the documentation says about each variable. */
export function configReference(): VariableReference[] {
  const known = Object.entries(variableSchemas).map(([name, schema]) => ({
    name,
    meaning: schema.description,
    expected: schema.expected,
    default:
      schema.defaultText ?? (schema.default === undefined ? null : JSON.stringify(schema.default)),
    secret: schema.secret === true,
  }));
  const flags = {
    name: "FLAG_<NAME>",
    meaning: "Switches a feature on or off; FLAG_FAULTS=1 allows fault injection in production.",
    expected: "1, true, yes, on or 0, false, no, off",
    default: "0",
    secret: false,
  };
  return [...known, flags];
}
