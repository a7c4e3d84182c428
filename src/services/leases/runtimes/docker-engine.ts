import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Problem } from "#kernel/errors.ts";
import type { Random } from "#kernel/random.ts";
import type { Policies } from "#kernel/resilience/policies.ts";
import type { Policy } from "#kernel/resilience/policy-types.ts";
import type { Logger } from "#kernel/telemetry/logger.ts";
import { isSilent, problemOf } from "./docker-errors.ts";
import { collect, dial, lazyModem, parsed } from "./docker-modem.ts";
import type { EngineAddress, Modem, ModemRequest } from "./docker-modem.ts";

/** Where the engine is and who asks. */
export interface DockerOptions extends EngineAddress {
  /** Which containers are ours: lower-case letters, digits and `-`. */
  readonly installId: string;
  /** Where containers with egress to the internet resolve names. */
  readonly nameServers?: readonly string[];
  /** Tenants' networks are cut out of it; 10.192.0.0/10 by default. */
  readonly subnetPool?: string;
  /** How long the engine may take for what is no work for it; 15 s by default. */
  readonly answerMsMax?: number;
  readonly random: Pick<Random, "id">;
  readonly policies: Pick<Policies, "for">;
  readonly log: Pick<Logger, "info" | "warn">;
}

export interface EngineRequest extends ModemRequest {
  /** Many lines of JSON come back, which are the caller's to take apart. */
  readonly asText?: boolean;
  /** To the whole answer, or to the first byte of a stream; `answerMsMax` by default. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** "answers" by default; see `lanes`. */
  readonly lane?: keyof typeof lanes;
}

export interface EngineAnswer<T> {
  readonly status: number;
  readonly body: T;
}

/** The engine's API. Each call ends within its deadline and throws `runtimeErrors` only. */
export interface Engine {
  readonly options: DockerOptions;
  readonly answerMsMax: number;
  /** `doing` completes "could not …" for whoever reads the error. */
  ask<T>(doing: string, request: EngineRequest): Promise<EngineAnswer<T>>;
  /** An answer without an end: whoever opens it reads it or destroys it. */
  open(doing: string, request: EngineRequest): Promise<Readable>;
  /** The bare connection to a program's in- and output. */
  hijack(doing: string, request: EngineRequest, hasStdin: boolean): Promise<Socket>;
  /** Aborted when the runtime is closed. */
  readonly closing: AbortSignal;
  close(): void;
}

const defaultAnswerMsMax = 15_000;

class DeadlinePassed extends Error {
  constructor(deadlineMs: number) {
    super(`no answer within ${deadlineMs} ms`);
    this.name = "DeadlinePassed";
  }
}

/** Gives up at the deadline or the signal, also where what it waits for never settles. */
async function within<T>(
  deadlineMs: number,
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const given = signals.filter((signal) => signal !== undefined);
  const onAbort = () =>
    controller.abort(given.find(({ aborted }) => aborted)?.reason ?? new Error("aborted"));
  const timer = setTimeout(() => controller.abort(new DeadlinePassed(deadlineMs)), deadlineMs);
  for (const signal of given) {
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
  }
  try {
    return await Promise.race([
      work(controller.signal),
      new Promise<never>((_, reject) => {
        const fail = () => reject(controller.signal.reason as Error);
        if (controller.signal.aborted) fail();
        controller.signal.addEventListener("abort", fail, { once: true });
      }),
    ]);
  } finally {
    clearTimeout(timer);
    for (const signal of given) signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Nobody is there: not one container that is stuck, on which the engine keeps its callers waiting.
 */
const isAbsent = (error: unknown): boolean =>
  isSilent(error) && !((error as Problem).options.cause instanceof DeadlinePassed);

/**
 * Calls of one kind don't wait for those of another. An engine that makes a hundred containers at
 * once answers nothing meanwhile and makes none of them in time, so it is given a few, and a call's
 * deadline begins when it is its turn. An engine that is down is left in peace for two seconds.
 */
const lanes = {
  answers: {
    name: "docker",
    bulkhead: { concurrent: 128, queued: 10_000 },
    breaker: { consecutiveFailures: 5, halfOpenAfterMs: 2_000 },
  },
  /** What keeps the host's processors busy; apart, so that starting doesn't wait for all making. */
  making: { name: "docker making", bulkhead: { concurrent: 3, queued: 10_000 }, breaker: false },
  work: { name: "docker work", bulkhead: { concurrent: 5, queued: 10_000 }, breaker: false },
  /**
   * What takes long and little: graces, registries, disks; and looks whether an engine is there.
   */
  waits: { name: "docker waits", bulkhead: { concurrent: 500, queued: 10_000 }, breaker: false },
} as const;

type Lanes = Record<keyof typeof lanes, Policy>;

/** A tenant may have an engine of its own, whose faults are its own as well. */
function lanesOf({ policies, host }: DockerOptions): Lanes {
  const entries = Object.entries(lanes).map(([lane, { name, ...rest }]) => {
    const options = { group: name, timeoutMs: null, isFailure: isAbsent, ...rest };
    return [lane, policies.for(`${name} ${host}`, options)];
  });
  return Object.fromEntries(entries) as Lanes;
}

/** Speaks to a Docker Engine; nothing is loaded or connected before the first call. */
export function connectEngine(options: DockerOptions): Engine {
  const { answerMsMax = defaultAnswerMsMax } = options;
  const modem = lazyModem(options);
  const policies = lanesOf(options);
  const closing = new AbortController();
  const streams = new Set<Readable>();

  const guarded = async <T>(
    doing: string,
    { deadlineMs = answerMsMax, signal, lane = "answers" }: EngineRequest,
    work: (modem: Modem, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const attempt = async (inner?: AbortSignal) => {
      try {
        return await within(deadlineMs, [closing.signal, inner], async (limited) =>
          work(await modem.get(), limited),
        );
      } catch (error) {
        modem.forget(error);
        throw inner?.aborted ? error : problemOf(doing, error);
      }
    };
    try {
      return await policies[lane].execute(attempt, signal);
    } catch (error) {
      throw signal?.aborted ? error : problemOf(doing, error);
    }
  };

  const kept = <T extends Readable>(stream: T): T => {
    streams.add(stream);
    stream.once("close", () => streams.delete(stream));
    return stream;
  };

  return {
    options,
    answerMsMax,
    closing: closing.signal,
    ask: <T>(doing: string, request: EngineRequest) =>
      guarded(doing, request, async (connected, signal) => {
        const answer = await dial(connected, request, {}, signal);
        const body = parsed(answer, await collect(answer), request.asText) as T;
        return { status: answer.statusCode ?? 0, body };
      }),
    open: (doing, request) =>
      guarded(doing, request, async (connected, signal) =>
        kept(await dial(connected, request, {}, signal)),
      ),
    hijack: (doing, request, hasStdin) =>
      guarded(doing, request, async (connected, signal) =>
        kept(await dial(connected, request, { hijack: true, hasStdin }, signal)),
      ),
    close() {
      closing.abort(new Error("the runtime was closed"));
      for (const stream of streams) stream.destroy();
      modem.close();
    },
  };
}
