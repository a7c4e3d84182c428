import { Agent as HttpAgent } from "node:http";
import type { IncomingMessage } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Socket } from "node:net";
import { inspect } from "node:util";
import type Dockerode from "dockerode";
import { runtimeErrors } from "./errors.ts";

/** Where an engine is. */
export interface EngineAddress {
  /** `unix:///var/run/docker.sock`, `tcp://host:2375` or `https://host:2376`. */
  readonly host: string;
  /** Client certificate and authority in PEM, where the engine asks for them. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

export interface ModemRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[]>>;
  readonly body?: unknown;
  /** A tar archive in place of a JSON body. */
  readonly archive?: Buffer;
  /** Statuses that are an answer and no error; 200, 201 and 204 by default. */
  readonly accept?: readonly number[];
}

const answerBytesMax = 64 * 2 ** 20;
const agreeMsMax = 15_000;
/** 20.10 and 29 both speak something between these two. */
const apiVersions = { least: "1.41", most: "1.44" } as const;

/** docker-modem, with the member that its types leave out. */
export type Modem = Dockerode["modem"] & { version?: string };

/**
 * What docker-modem is told. It takes what is missing here from DOCKER_… variables, so all is said.
 */
function modemOptions({ host, tls }: EngineAddress): Record<string, unknown> {
  const silent = { host: undefined, port: undefined, username: undefined, timeout: undefined };
  const secure = { ca: tls?.ca, cert: tls?.cert, key: tls?.key };
  const socketPath = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (socketPath !== undefined) {
    return { ...silent, ...secure, protocol: "http", socketPath, agent: keptAlive(HttpAgent) };
  }
  const url = URL.canParse(host) ? new URL(host) : null;
  if (url === null || !/^(tcp|https?):$/.test(url.protocol)) {
    throw new Error("DOCKER_HOST must begin with unix:///, tcp://, http:// or https://");
  }
  const isSecure = url.protocol === "https:" || tls !== undefined;
  return {
    ...silent,
    ...secure,
    protocol: isSecure ? "https" : "http",
    host: url.hostname,
    port: Number(url.port) || (isSecure ? 2376 : 2375),
    pathPrefix: "/",
    agent: isSecure ? keptAlive(HttpsAgent) : keptAlive(HttpAgent),
  };
}

/**
 * Connections are kept for the next request. docker-modem describes its options for a log that is
 * off, to any depth, at every request: an agent without a word of its own would be described with
 * all its connections, which takes seconds where there are a hundred.
 */
function keptAlive<T extends object>(
  Agent: new (options: { keepAlive: boolean; maxFreeSockets: number }) => T,
): T {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 32 });
  return Object.assign(agent, { [inspect.custom]: () => "agent" });
}

interface Dialled {
  readonly hijack?: boolean;
  readonly hasStdin?: boolean;
}

/** Sends a request by docker-modem; every answer is a stream, so that none is cut off unnoticed. */
export function dial(
  modem: Modem,
  request: ModemRequest,
  { hijack = false, hasStdin = false }: Dialled,
  signal: AbortSignal,
): Promise<IncomingMessage & Socket> {
  const { method, path, query = {}, body = {}, archive, accept = [200, 201, 204] } = request;
  const options = {
    method,
    path: `${path}?`,
    options: { _query: query, _body: body },
    file: archive,
    abortSignal: signal,
    isStream: true,
    hijack,
    openStdin: hasStdin,
    allowEmpty: hijack,
    statusCodes: Object.fromEntries(accept.map((status) => [status, true])),
  };
  return new Promise((resolve, reject) => {
    modem.dial(options, (error: unknown, answer: unknown) => {
      if (error) return reject(error);
      const stream = answer as IncomingMessage & Socket;
      // An answer that comes after its deadline has nobody who would read it.
      if (signal.aborted) stream.destroy();
      resolve(stream);
    });
  });
}

/** The whole of an answer; fails where it was cut off. */
export async function collect(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** An answer's body as what it says it is: JSON, nothing, or bytes. */
export function parsed(answer: IncomingMessage, body: Buffer, asText = false): unknown {
  if (asText) return body.toString("utf8");
  if (body.length === 0) return null;
  const isJson = (answer.headers["content-type"] ?? "").includes("json");
  return isJson ? JSON.parse(body.toString("utf8")) : body;
}

const isBelow = (a: string, b: string): boolean => {
  const [majorA = 0, minorA = 0] = a.split(".").map(Number);
  const [majorB = 0, minorB = 0] = b.split(".").map(Number);
  return majorA < majorB || (majorA === majorB && minorA < minorB);
};

/** The newest version of the API that both sides speak; "refused" for an engine that is too old. */
export function agreedApiVersion(newest: string): string {
  const { least, most } = apiVersions;
  if (/^\d+\.\d+$/.test(newest) && !isBelow(newest, least)) {
    return isBelow(newest, most) ? newest : most;
  }
  const detail = `The engine speaks version "${newest}" of its API; ${least} or newer is needed.`;
  throw runtimeErrors.refused({ detail });
}

/** docker-modem, loaded and agreed with the engine about the API's version at the first call. */
export function lazyModem(address: EngineAddress) {
  const told = modemOptions(address);
  let agreed: Promise<Modem> | null = null;
  const agree = async (): Promise<Modem> => {
    const { default: Docker } = await import("dockerode");
    const modem: Modem = new Docker(told).modem;
    // Not `/version`, for which the engine runs two programs each time.
    const request = { method: "GET", path: "/_ping" } as const;
    const answer = await dial(modem, request, {}, AbortSignal.timeout(agreeMsMax));
    answer.resume();
    modem.version = `v${agreedApiVersion(String(answer.headers["api-version"] ?? ""))}`;
    return modem;
  };
  return {
    get(): Promise<Modem> {
      agreed ??= agree().catch((error: unknown) => {
        agreed = null;
        throw error;
      });
      return agreed;
    },
    /** An engine that was replaced may speak other versions. */
    forget(error: unknown) {
      if (/client version .* too (old|new)/i.test(String(error))) agreed = null;
    },
    close: () => (told.agent as HttpAgent).destroy(),
  };
}
