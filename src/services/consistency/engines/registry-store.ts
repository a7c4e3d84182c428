import { LRUCache } from "lru-cache";
import type { Operation, Version } from "../rules/history.ts";
import { isLowered } from "../rules/keys.ts";
import { recordedOperation } from "../rules/recording.ts";
import type { SessionToken } from "../rules/session-token.ts";
import { createRecording, type Recording, type RecordingLimits } from "./registry-recording.ts";
import type { Engine, EngineAnswer, EngineAsk, EngineToken, StoreSpec } from "./types.ts";

const sessionsMost = 10_000;
const valuesMost = 10_000;

/** Who asks: a session, as its token says, or a new one. */
export type Who = Pick<SessionToken, "session" | "step"> | null;

export interface Asking {
  readonly answer: EngineAnswer;
  readonly operation: Operation;
  /** What the session has seen by now; null where the engine tells none. */
  readonly token: Omit<SessionToken, "generation"> | null;
  readonly tookMs: number;
}

/** A store that is open in this process. */
export interface OpenStore {
  readonly id: string;
  readonly generation: number;
  readonly spec: StoreSpec;
  readonly engine: Engine;
  readonly recording: Recording;
  /** Workloads and experiments, of which there is one at a time. */
  runId: string | null;
  usedMs: number;
  ask(ask: EngineAsk, who: Who): Promise<Asking>;
}

export interface OpenStoreOptions {
  readonly id: string;
  readonly generation: number;
  readonly spec: StoreSpec;
  readonly engine: Engine;
  readonly limits?: RecordingLimits;
  readonly newSession: () => string;
  readonly nowMs: () => number;
}

/** Puts recording around an engine, and sees to it that no level is lowered. */
export function createOpenStore(options: OpenStoreOptions): OpenStore {
  const { id, generation, spec, engine, nowMs } = options;
  const recording = createRecording(options.limits);
  const sessions = createSessions(options.newSession);
  const values = new LRUCache<string, { value: unknown }>({ max: valuesMost });
  const placeOf = (key: string, { term, seq }: Version) => `${term}-${seq} ${key}`;

  function expectedValue({ op, key, expected }: EngineAsk): unknown {
    if (op !== "cas") return undefined;
    return expected === null ? null : values.get(placeOf(key, expected))?.value;
  }

  function learn(ask: EngineAsk, answer: EngineAnswer): void {
    if (answer.status !== "ok" || !answer.version) return;
    const value = ask.op === "read" ? answer.value : ask.value;
    values.set(placeOf(ask.key, answer.version), { value });
  }

  const store: OpenStore = {
    id,
    generation,
    spec,
    engine,
    recording,
    runId: null,
    usedMs: nowMs(),
    async ask(ask, who) {
      store.usedMs = nowMs();
      const turn = sessions.begin(who);
      const callMs = engine.nowMs();
      const known = expectedValue(ask);
      const said = await engine.ask(ask);
      const answer = isLowered(ask.level, said) ? notAchieved(ask, said) : said;
      const endMs = engine.nowMs();
      const asked = { ask, session: turn.session, callMs, endMs, mode: spec.mode };
      const operation = recordedOperation({ ...asked, expectedValue: known }, answer);
      if (wasThereBefore(engine, recording, operation)) recording.spoil(ask.key);
      recording.add(operation);
      learn(ask, answer);
      const step = turn.end(answer.token);
      const token = answer.token && { session: turn.session, step, engine: answer.token };
      return { answer, operation, token, tookMs: endMs - callMs };
    },
  };
  return store;
}

/** What another level was achieved for is no answer: a read is refused, a write's end unknown. */
const notAchieved = ({ op, level }: EngineAsk, answer: EngineAnswer): EngineAnswer => ({
  ...answer,
  status: op === "read" ? "refused" : "unknown",
  reason: `Asked for ${level}, the store could give ${answer.achieved ?? "nothing"} only.`,
  value: null,
  achieved: null,
});

/** Whether a real store has shown what it held before we had opened it. */
const wasThereBefore = (engine: Engine, recording: Recording, operation: Operation): boolean =>
  engine.name !== "embedded" &&
  operation.op === "read" &&
  operation.value !== null &&
  !recording.has(operation.key);

/**
 * Sessions as the history knows them: one whose token is used twice, or while its last request is
 * under way, goes on as another, since what it saw is no longer one line.
 */
function createSessions(newSession: () => string) {
  const steps = new LRUCache<string, number>({ max: sessionsMost });
  const busy = new Set<string>();
  return {
    begin(who: Who): { session: string; end(token: EngineToken | null): number } {
      const isNext = who !== null && steps.get(who.session) === who.step && !busy.has(who.session);
      const session = isNext ? who.session : newSession();
      const step = isNext ? who.step : 0;
      busy.add(session);
      return {
        session,
        end(token) {
          busy.delete(session);
          const next = token === null ? step : step + 1;
          steps.set(session, next);
          return next;
        },
      };
    },
  };
}
