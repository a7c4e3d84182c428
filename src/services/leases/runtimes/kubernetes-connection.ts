import { existsSync } from "node:fs";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { delimiter } from "node:path";
import type { Readable } from "node:stream";
import type { KubeConfig } from "@kubernetes/client-node";
import type { Clock } from "#kernel/clock.ts";
import type { Random } from "#kernel/random.ts";
import type { Policies } from "#kernel/resilience/policies.ts";
import type { Policy } from "#kernel/resilience/policy-types.ts";
import type { Logger } from "#kernel/telemetry/logger.ts";
import { runtimeErrors } from "./errors.ts";
import { type Channel, connectChannel } from "./kubernetes-channel.ts";
import { ApiFailure, isSilent, problemOf } from "./kubernetes-errors.ts";
import type { Status } from "./kubernetes-types.ts";

/** Which cluster, and who asks. */
export interface KubernetesOptions {
  /** Files as in KUBECONFIG; null for the cluster that the server itself runs in. */
  readonly kubeconfig: string | null;
  /** Where all is made; it must exist. */
  readonly namespace: string;
  readonly installId: string;
  /** For how long one watch goes on before all is listed anew; 240 by default. */
  readonly watchSeconds?: number;
  /** Real time: it waits for a real cluster. */
  readonly clock: Clock;
  readonly random: Random;
  readonly policies: Pick<Policies, "for">;
  readonly log: Pick<Logger, "info" | "warn">;
}

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[]>>;
  readonly body?: object;
  /** What kind of patch `body` is. */
  readonly contentType?: string;
  /** Statuses besides 2xx that are an answer and no error. */
  readonly accept?: readonly number[];
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface ApiAnswer<T> {
  readonly status: number;
  readonly body: T;
}

export interface Connection {
  readonly options: KubernetesOptions;
  /** `doing` completes "could not …" for whoever reads the error. */
  ask<T>(doing: string, request: ApiRequest): Promise<ApiAnswer<T>>;
  /** An answer without an end: whoever opens it reads it or destroys it. */
  open(doing: string, request: ApiRequest): Promise<Readable>;
  channel(
    doing: string,
    request: Pick<ApiRequest, "path" | "query" | "signal">,
    onFrame: (stream: number, payload: Buffer) => void,
  ): Promise<Channel>;
  /** Aborted when the runtime is closed. */
  readonly closing: AbortSignal;
  close(): void;
}

const defaultDeadlineMs = 15_000;
const answerBytesMax = 64 * 2 ** 20;
const keepAliveMs = 30_000;
const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token";

interface Loaded {
  readonly config: KubeConfig;
  readonly server: URL;
}

async function load({ kubeconfig }: KubernetesOptions): Promise<Loaded> {
  // 62 MB of code: whoever has no cluster never loads it.
  const { KubeConfig: Config } = await import("@kubernetes/client-node");
  const config = new Config();
  if (kubeconfig === null) {
    if (!existsSync(tokenFile)) throw new Error("KUBECONFIG is not set, and this is no cluster");
    config.loadFromCluster();
  } else {
    const [first = "", ...others] = kubeconfig.split(delimiter).filter(Boolean);
    config.loadFromFile(first);
    for (const file of others) {
      const more = new Config();
      more.loadFromFile(file);
      config.mergeConfig(more, true);
    }
  }
  const cluster = config.getCurrentCluster();
  if (!cluster || !URL.canParse(cluster.server)) {
    throw new Error("the Kubernetes configuration names no cluster in its current context");
  }
  return { config, server: new URL(cluster.server) };
}

function targetOf(server: URL, { path, query = {} }: Pick<ApiRequest, "path" | "query">): URL {
  // A server behind a proxy has a path of its own.
  const url = new URL(`${server.pathname.replace(/\/$/, "")}${path}`, server);
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      url.searchParams.append(name, String(each));
    }
  }
  return url;
}

async function dial(
  { config, server }: Loaded,
  request: ApiRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { method, body, contentType = "application/json" } = request;
  const credentials: RequestOptions = {};
  await config.applyToHTTPSOptions(credentials);
  const payload = body === undefined ? null : Buffer.from(JSON.stringify(body));
  const headers = {
    ...(credentials.headers as Record<string, string> | undefined),
    accept: "application/json",
    ...(payload && { "content-type": contentType, "content-length": payload.length }),
  };
  const send = server.protocol === "http:" ? httpRequest : httpsRequest;
  return new Promise((resolve, reject) => {
    const call = send(targetOf(server, request), { ...credentials, method, headers, signal });
    call.on("socket", (socket) => socket.setKeepAlive(true, keepAliveMs));
    call.on("response", resolve).on("error", reject).end(payload);
  });
}

async function collect(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Proxies on the way answer in their own words.
    return { kind: "Status", message: text.slice(0, 500) };
  }
}

const isFine = (status: number, { accept = [] }: ApiRequest): boolean =>
  (status >= 200 && status < 300) || accept.includes(status);

async function failureOf(answer: IncomingMessage): Promise<ApiFailure> {
  return new ApiFailure(answer.statusCode ?? 0, parsed(await collect(answer)) as Status);
}

/** Keeps calls apart from a cluster that is down: whoever asks is refused at once for a while. */
const policyOf = ({ policies }: KubernetesOptions, { server }: Loaded): Policy =>
  policies.for(`kubernetes ${server.host}`, {
    group: "kubernetes",
    timeoutMs: null,
    isFailure: isSilent,
    breaker: { consecutiveFailures: 5, halfOpenAfterMs: 1_000 },
    bulkhead: { concurrent: 64, queued: 2_000 },
  });

/** The configuration, loaded at the first call, and again as long as that fails. */
function lazily(options: KubernetesOptions): () => Promise<Loaded> {
  let loading: Promise<Loaded> | null = null;
  return async () => {
    loading ??= load(options);
    try {
      return await loading;
    } catch (error) {
      loading = null;
      const detail = "There is no usable Kubernetes configuration; KUBECONFIG names its file.";
      throw runtimeErrors.unavailable({ detail, cause: error });
    }
  };
}

type Limits = Pick<ApiRequest, "deadlineMs" | "signal">;

/** Makes each call end within its deadline, and with an error of the runtime's. */
function guardOf(options: KubernetesOptions, closing: AbortSignal) {
  const loaded = lazily(options);
  return async <T>(
    doing: string,
    { deadlineMs = defaultDeadlineMs, signal }: Limits,
    work: (to: Loaded, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const attempt = async (to: Loaded) => {
      const limit = new AbortController();
      const timer = setTimeout(() => limit.abort(new Error("no answer in time")), deadlineMs);
      try {
        const ends = [limit.signal, closing, ...(signal ? [signal] : [])];
        return await work(to, AbortSignal.any(ends));
      } catch (error) {
        throw signal?.aborted ? error : problemOf(doing, error);
      } finally {
        // A stream outlives the deadline, which is for its beginning.
        clearTimeout(timer);
      }
    };
    try {
      const to = await loaded();
      return await policyOf(options, to).execute(() => attempt(to), signal);
    } catch (error) {
      throw signal?.aborted ? (signal.reason as Error) : problemOf(doing, error);
    }
  };
}

/** Opens a channel, unless the signal comes first: then it is closed when it comes. */
async function channelWithin(connecting: Promise<Channel>, signal: AbortSignal): Promise<Channel> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([connecting, aborted]);
  } catch (error) {
    connecting.then(
      (late) => late.destroy(),
      () => {
        // It failed by itself; nobody waits for it any more.
      },
    );
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Speaks to an API server; nothing is loaded or connected before the first call. */
export function connectCluster(options: KubernetesOptions): Connection {
  const closing = new AbortController();
  const guarded = guardOf(options, closing.signal);
  const channels = new Set<Channel>();
  return {
    options,
    closing: closing.signal,
    ask: <T>(doing: string, request: ApiRequest) =>
      guarded(doing, request, async (to, signal) => {
        const answer = await dial(to, request, signal);
        const status = answer.statusCode ?? 0;
        if (!isFine(status, request)) throw await failureOf(answer);
        return { status, body: parsed(await collect(answer)) as T };
      }),
    open: (doing, request) =>
      guarded(doing, request, async (to, signal) => {
        const answer = await dial(to, request, signal);
        if (!isFine(answer.statusCode ?? 0, request)) throw await failureOf(answer);
        return answer;
      }),
    channel: (doing, request, onFrame) =>
      guarded(doing, request, async ({ config }, signal) => {
        // The path of a server behind a proxy is put before it.
        const { pathname, search } = targetOf(new URL("http://server"), request);
        const connecting = connectChannel(config, `${pathname}${search}`, onFrame);
        const channel = await channelWithin(connecting, signal);
        channels.add(channel);
        void channel.closed.then(() => channels.delete(channel));
        return channel;
      }),
    close() {
      closing.abort(new Error("the runtime was closed"));
      for (const channel of channels) channel.destroy();
    },
  };
}
