import { type Embedded, removeCluster, startEmbedded } from "#kernel/db/embedded.ts";
import { withClient } from "#kernel/db/roles.ts";
import { dockerEyes, type Eyes, processEyes } from "./leases-eyes.ts";
import { freePort, type ServerProcess, startServer, temporaryDataDir } from "./server.ts";

/** Where the containers come from. */
export interface Engine {
  runtime: "docker" | "process";
  /** Address of the Docker Engine. */
  host: string | null;
  image: string;
}

export interface HouseOptions {
  engine: Engine;
  /** An empty folder for the database, which is removed; by default a temporary one. */
  dataDir?: string;
  env?: Record<string, string>;
  /** Of PostgreSQL. */
  settings?: Record<string, string>;
}

/** Answers of a server, without an exception for those that are no success. */
export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a drill reads what servers say, whatever it is.
  body: any;
  headers: Headers;
}

/** Real servers over one real database, which lease real containers. */
export interface LeasesHouse {
  readonly ownerUrl: string;
  readonly tenantId: string;
  readonly installId: string;
  readonly engine: Engine;
  readonly eyes: Eyes;
  readonly servers: readonly Slot[];
  /** As the platform's admin, who is the first tenant's too. */
  ask(at: { url: string }, method: string, path: string, told?: Told): Promise<Answer>;
}

export interface Told {
  body?: object;
  headers?: Record<string, string>;
}

/** A place for a server: the next one that starts there has the same port. */
export interface Slot {
  readonly url: string;
  /** Null while there is none. */
  server: ServerProcess | null;
  start(): Promise<ServerProcess>;
}

const admin = { email: "ada@ships.test", password: "correct horse battery staple" };
const tokenMsMax = 240_000;

/** Opens a house with so many servers; `left` closes it and removes all that is left of it. */
export async function openLeasesHouse(
  left: AsyncDisposableStack,
  count: number,
  options: HouseOptions,
): Promise<LeasesHouse> {
  const { engine } = options;
  const dataDir = options.dataDir ?? (await temporaryDataDir());
  closeOnSignal(left);
  left.defer(() => removeCluster(dataDir));
  const cluster = await startEmbedded({ dataDir, settings: options.settings });
  left.defer(() => cluster.stop());
  const env = { ...environmentOf(options), ...options.env };
  const servers: Slot[] = [];
  for (let index = 0; index < count; index += 1) {
    const slot = await makeSlot({ dataDir, env });
    servers.push(slot);
    await slot.start();
  }
  const known = await identify(cluster);
  const eyes =
    engine.host === null ? processEyes(dataDir) : dockerEyes(engine.host, known.installId);
  left.defer(() => eyes.clear());
  left.defer(async () => {
    await Promise.all(servers.map(async ({ server }) => server?.stop()));
  });
  return { ...known, ownerUrl: cluster.ownerUrl, engine, eyes, servers, ask: createAsk() };
}

/** Who is told to stop leaves nothing behind either. */
function closeOnSignal(left: AsyncDisposableStack): void {
  const close = () => void left.disposeAsync().finally(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, close);
    left.defer(async () => void process.off(signal, close));
  }
}

function environmentOf({ engine }: HouseOptions): Record<string, string> {
  return {
    PLIMSOLL_DEMO: "0",
    PLIMSOLL_ADMIN_EMAIL: admin.email,
    PLIMSOLL_ADMIN_PASSWORD: admin.password,
    PLIMSOLL_RATE_TENANT_PER_MINUTE: "10000000",
    LEASES_RUNTIME: engine.runtime,
    LEASES_ALLOWED_IMAGES: engine.image,
    LEASES_QUOTA_STARTS_PER_MINUTE: "100000",
    LOG_LEVEL: "warn",
    ...(engine.host !== null && { DOCKER_HOST: engine.host }),
  };
}

async function makeSlot(told: { dataDir: string; env: Record<string, string> }): Promise<Slot> {
  const port = await freePort();
  const slot: Slot = {
    url: `http://127.0.0.1:${port}`,
    server: null,
    async start() {
      const server = await startServer({ ...told, port });
      slot.server = server;
      return server;
    },
  };
  return slot;
}

async function identify({ adminUrl, ownerUrl }: Embedded) {
  const url = new URL(adminUrl);
  url.pathname = new URL(ownerUrl).pathname;
  return withClient(url.href, async (client) => {
    const installation = await client.query("select id from leases.lease_installation");
    const tenant = await client.query("select id from platform.tenant order by created_at limit 1");
    return { installId: installation.rows[0].id as string, tenantId: tenant.rows[0].id as string };
  });
}

/** One request with JSON; throws when no answer comes. */
async function request(url: string, method: string, { body, headers }: Told): Promise<Answer> {
  const answer = await fetch(url, {
    method,
    headers: { ...(body && { "content-type": "application/json" }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const isJson = (answer.headers.get("content-type") ?? "").includes("json");
  return {
    status: answer.status,
    body: isJson ? JSON.parse(text) : text,
    headers: answer.headers,
  };
}

/** Signs in anew before a token is too old. */
function createAsk(): LeasesHouse["ask"] {
  let token: Promise<string> | null = null;
  let sinceMs = 0;
  const signIn = async (url: string): Promise<string> => {
    const { status, body } = await request(`${url}/api/v1/auth/login`, "POST", { body: admin });
    if (status !== 200) throw new Error(`POST /auth/login answered ${status}`);
    return body.accessToken;
  };
  const fresh = (url: string): Promise<string> => {
    if (token !== null && performance.now() - sinceMs < tokenMsMax) return token;
    sinceMs = performance.now();
    const asked = signIn(url);
    token = asked;
    asked.catch(() => {
      // Whoever asked hears of it; the next one tries again.
      if (token === asked) token = null;
    });
    return asked;
  };
  return async ({ url }, method, path, { body, headers } = {}) => {
    const authorization = `Bearer ${await fresh(url)}`;
    return request(`${url}/api/v1${path}`, method, {
      body,
      headers: { authorization, ...headers },
    });
  };
}
