import type { FastifyOtelInstrumentation } from "@fastify/otel";
import type { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** What stands around the receiver: a policy, which decides whether it is asked at all. */
export interface ExportGuard {
  execute<T>(call: () => Promise<T>): Promise<T>;
}

/** Traces of requests and of what they lead to. All of it does nothing where no endpoint is set. */
export interface Tracing {
  /** The trace that the running code belongs to, for the log. */
  current(): { traceId: string; spanId: string } | null;
  /** Runs `work` as a span of its own, below the running one. A rejection marks it as failed. */
  span<T>(name: string, attributes: SpanAttributes, work: () => Promise<T>): Promise<T>;
  /** A span for what is over already, such as a flight to the database that ends now. */
  record(name: string, durationMs: number, attributes: SpanAttributes): void;
  /** From now on spans are sent through this; what it refuses is lost. */
  protect(guard: ExportGuard): void;
  /** Sends what is left, within a few seconds. */
  stop(): Promise<void>;
}

export interface TracingOptions {
  /** Base address of an OTLP/HTTP receiver; nothing is loaded without it. */
  endpoint?: string | undefined;
  serviceVersion: string;
}

const exportTimeoutMs = 5_000;
const quiet = /^\/(health|ready|metrics)$/;

const noTracing: Tracing = {
  current: () => null,
  span: (_name, _attributes, work) => work(),
  record: () => {},
  protect: () => {},
  stop: async () => {},
};

function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith("/v1/traces")) {
    url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  }
  return url.href;
}

/** How an export went: code 0 means taken, 1 not. */
type Done = (result: { code: number; error?: Error }) => void;

/**
 * Sends through the guard, once there is one. And leaves out what the plugin puts into a failed
 * span's status: an error's message may quote what somebody entered.
 */
function guarded(exporter: OTLPTraceExporter, guard: ExportGuard): OTLPTraceExporter {
  const send = exporter.export.bind(exporter);
  exporter.export = (spans, done) => {
    for (const span of spans) delete span.status.message;
    const attempt = () =>
      new Promise<void>((resolve, reject) => {
        const settle: Done = ({ code, error }) => {
          if (code === 0) resolve();
          else reject(error ?? new Error("The receiver did not take the spans"));
        };
        send(spans, settle);
      });
    const tell: Done = done;
    guard.execute(attempt).then(
      () => tell({ code: 0 }),
      (error: Error) => tell({ code: 1, error }),
    );
  };
  return exporter;
}

/** A span for each request, by its route. */
function watchRequests(Instrumentation: typeof FastifyOtelInstrumentation) {
  return new Instrumentation({
    registerOnInitialization: true,
    // A span per hook says little and costs much; messages of exceptions may quote what people
    // entered.
    instrumentHooks: false,
    recordExceptions: false,
    ignorePaths: ({ url }) => quiet.test(url),
    requestHook(span, request) {
      const route = request.routeOptions.url;
      span.updateName(route === undefined ? request.method : `${request.method} ${route}`);
      // The plugin puts the query there too, and a query may hold anything.
      span.setAttribute("url.path", request.url.replace(/\?.*$/, ""));
      span.setAttribute("plimsoll.request_id", request.id);
    },
  });
}

/**
 * Starts OpenTelemetry, which has to happen before the first Fastify instance is made. The packages
 * are imported here and nowhere else, because they cost a good deal of memory and start-up time.
 */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  const { endpoint, serviceVersion } = options;
  if (endpoint === undefined) return noTracing;
  const [{ NodeSDK }, { OTLPTraceExporter }, fastifyOtel, api] = await Promise.all([
    import("@opentelemetry/sdk-node"),
    import("@opentelemetry/exporter-trace-otlp-proto"),
    import("@fastify/otel"),
    import("@opentelemetry/api"),
  ]);
  const requests = watchRequests(fastifyOtel.FastifyOtelInstrumentation);
  const url = tracesUrl(endpoint);
  // Tracing starts before there are policies: what is sent before goes unguarded.
  let guard: ExportGuard = { execute: (call) => call() };
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: exportTimeoutMs });
  const sdk = new NodeSDK({
    serviceName: "plimsoll",
    traceExporter: guarded(exporter, { execute: (call) => guard.execute(call) }),
    instrumentations: [requests],
    // Metrics and logs go their own ways.
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  const tracer = api.trace.getTracer("plimsoll", serviceVersion);
  const failed = { code: api.SpanStatusCode.ERROR };

  return {
    current() {
      const context = api.trace.getActiveSpan()?.spanContext();
      return context ? { traceId: context.traceId, spanId: context.spanId } : null;
    },
    span: (name, attributes, work) =>
      tracer.startActiveSpan(name, { attributes }, async (span) => {
        try {
          return await work();
        } catch (error) {
          span.setStatus(failed);
          throw error;
        } finally {
          span.end();
        }
      }),
    record(name, durationMs, attributes) {
      if (!api.trace.getActiveSpan()) return;
      const endTime = performance.timeOrigin + performance.now();
      tracer.startSpan(name, { attributes, startTime: endTime - durationMs }).end(endTime);
    },
    protect(given) {
      guard = given;
    },
    async stop() {
      requests.disable();
      // Spans that a receiver does not take are lost, and that is all that is lost.
      await sdk.shutdown().catch(() => {});
      for (const part of [api.trace, api.context, api.propagation, api.metrics]) part.disable();
    },
  };
}
