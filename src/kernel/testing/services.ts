import { accessSync, constants } from "node:fs";
import { connect, type NetConnectOpts } from "node:net";
import { checkServerVersion, withClient } from "../db/roles.ts";

/** What some tests need and a machine may lack. */
export type TestService = "redis" | "rabbitmq" | "postgres15" | "docker" | "etcd" | "chromium";

/** What a test context has to offer; node:test's own does. */
interface Skippable {
  skip(reason: string): void;
}

interface Requirement {
  title: string;
  /** Environment variable that says where it is. */
  variable: string;
  /** Where it is looked for without the variable. */
  usual: readonly string[];
  /** Resolves when it answers at `place`, rejects with why not. */
  probe(place: string): Promise<void>;
}

const probeTimeoutMs = 2_000;

/** Sends `greeting` and resolves when the answer begins as it should. */
function greet(
  options: NetConnectOpts,
  greeting: string | Buffer,
  expected: RegExp,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(probeTimeoutMs, () => fail(new Error("no answer in time")));
    socket.once("error", fail);
    socket.once("connect", () => socket.write(greeting));
    socket.once("close", () => reject(new Error("the connection was closed")));
    socket.once("data", (data) => {
      if (!expected.test(data.toString("latin1"))) return fail(new Error("something else answers"));
      socket.destroy();
      resolve();
    });
  });
}

function greetUrl(place: string, usualPort: number, greeting: string | Buffer, expected: RegExp) {
  const { hostname, port } = new URL(place);
  return greet({ host: hostname, port: Number(port) || usualPort }, greeting, expected);
}

const requirements: Record<TestService, Requirement> = {
  redis: {
    title: "Redis",
    variable: "PLIMSOLL_TEST_REDIS_URL",
    usual: ["redis://127.0.0.1:6379"],
    probe: (url) => greetUrl(url, 6379, "PING\r\n", /^(\+PONG|-NOAUTH)/),
  },
  rabbitmq: {
    title: "RabbitMQ",
    variable: "PLIMSOLL_TEST_AMQP_URL",
    usual: ["amqp://guest:guest@127.0.0.1:5672"],
    // The protocol's header; a broker answers with a frame of type 1, Connection.Start.
    probe: (url) => greetUrl(url, 5672, Buffer.from("AMQP\0\0\x09\x01", "latin1"), /^\x01/),
  },
  postgres15: {
    title: "PostgreSQL 15 (a superuser's URL)",
    variable: "PLIMSOLL_TEST_PG15_URL",
    usual: ["postgres://postgres:postgres@127.0.0.1:5432/postgres"],
    probe: (url) =>
      withClient(url, async (client) => {
        await checkServerVersion(client);
        const { rows } = await client.query(
          `select current_setting('server_version_num')::int / 10000 as major, rolsuper as super
             from pg_roles where rolname = current_user`,
        );
        if (rows[0].major !== 15) throw new Error(`it is PostgreSQL ${rows[0].major}`);
        if (!rows[0].super) throw new Error("its role is no superuser");
      }),
  },
  docker: {
    title: "Docker",
    variable: "PLIMSOLL_TEST_DOCKER_HOST",
    usual: ["unix:///var/run/docker.sock"],
    probe: async (host) => {
      const socketPath = /^unix:\/\/(.+)$/.exec(host)?.[1];
      const ask = (path: string, what: string) => {
        const greeting = `GET ${path} HTTP/1.0\r\nHost: docker\r\n\r\n`;
        const answer = socketPath
          ? greet({ path: socketPath }, greeting, /^HTTP\/1\.\d 200/)
          : greetUrl(host, 2375, greeting, /^HTTP\/1\.\d 200/);
        return answer.catch((error: Error) => {
          throw new Error(`${what}: ${error.message}`);
        });
      };
      await ask("/_ping", "no engine");
      await ask(`/images/${testImage()}/json`, `no image ${testImage()}, which .ci/run makes`);
    },
  },
  etcd: {
    title: "etcd",
    variable: "PLIMSOLL_TEST_ETCD_URL",
    usual: ["http://127.0.0.1:2379"],
    probe: (url) =>
      greetUrl(url, 2379, "GET /health HTTP/1.0\r\nHost: etcd\r\n\r\n", /^HTTP\/1\.\d 200/),
  },
  chromium: {
    title: "Chromium",
    variable: "PLIMSOLL_TEST_CHROMIUM",
    usual: ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
    probe: async (file) => accessSync(file, constants.X_OK),
  },
};

/** The small image with a shell that tests lease from the Docker Engine. */
export function testImage(): string {
  return process.env.PLIMSOLL_TEST_DOCKER_IMAGE ?? "plimsoll-test:busybox";
}

/** A place as a report may show it: without the password in it. */
const shown = (place: string) => place.replace(/(\/\/[^:/@]*):[^@]*@/, "$1:…@");

async function find(service: TestService): Promise<{ place: string } | { reason: string }> {
  const { title, variable, usual, probe } = requirements[service];
  const given = process.env[variable];
  const why: string[] = [];
  for (const place of given ? [given] : usual) {
    try {
      await probe(place);
      return { place };
    } catch (error) {
      why.push(`${shown(place)} (${(error as Error).message})`);
    }
  }
  return { reason: `needs ${title}: nothing fit answers at ${why.join(", ")}; set ${variable}` };
}

const found = new Map<TestService, ReturnType<typeof find>>();

/**
 * Where a real component is that a test needs: a URL, a socket's path or a program's. When it is
 * not there the test is skipped with the reason and null comes back, so the test has to return;
 * with PLIMSOLL_REQUIRE_ALL=1 it throws instead.
 */
export async function requireService(t: Skippable, service: TestService): Promise<string | null> {
  let finding = found.get(service);
  if (!finding) {
    finding = find(service);
    found.set(service, finding);
  }
  const result = await finding;
  if ("place" in result) return result.place;
  if (process.env.PLIMSOLL_REQUIRE_ALL === "1") throw new Error(`This test ${result.reason}`);
  t.skip(result.reason);
  return null;
}
