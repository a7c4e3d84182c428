import { audit } from "../audit/audit.ts";
import { type Clock, isoNow, isoOf } from "../clock.ts";
import type { Db, Tx } from "../db/types.ts";
import { startLoop } from "../jobs/loop.ts";
import type { Random } from "../random.ts";
import type { Faults } from "../resilience/faults.ts";
import type { Outgoing } from "../resilience/outgoing.ts";
import type { OutgoingResponse } from "../resilience/outgoing-response.ts";
import { refusedForMs } from "../resilience/policy-types.ts";
import type { Secrets } from "../secrets/secrets.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { systemActor } from "../tenancy/types.ts";
import { emit } from "./emit.ts";
import { envelopeOf } from "./publisher.ts";
import { platformTenant } from "./store.ts";
import * as queue from "./webhook-queue.ts";
import * as rules from "./webhook-rules.ts";
import { type Endpoint, selectEndpoint } from "./webhook-store.ts";
import { secretNames } from "./webhooks.ts";

export interface SenderOptions {
  /** The platform's database. */
  db: Db;
  outgoing: Pick<Outgoing, "fetch">;
  secrets: Pick<Secrets, "get">;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  faults?: Faults;
  /** Endpoints served at a time. Default 32. */
  endpointsAtOnce?: number;
  /** How often to look for endpoints whose time has come. Default 500. */
  pollMs?: number;
}

export interface Sender {
  /** Looks for something to send now. */
  wake(): void;
  /** Takes no more, gives up what is under way (it does not count as an attempt), and resolves. */
  stop(): Promise<void>;
}

const leaseMs = 60_000;
const answerTimeoutMs = 15_000;
const deliveriesAtOnce = 8;
const endpointsAtOncePerTenant = 8;
const excerptChars = 1_024;
const actor = systemActor("webhooks");

interface Work {
  endpoint: Endpoint;
  heads: queue.Head[];
  secrets: string[];
}

/** The start of an answer's body, without what a terminal or a page could be confused with. */
async function excerptOf(response: OutgoingResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response.stream()) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes >= excerptChars) break;
    }
  } finally {
    response.discard();
  }
  const text = Buffer.concat(chunks).toString("utf8").slice(0, excerptChars);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to go
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "");
}

/** Nothing was sent: the host's breaker is open, or as much is under way to it as may be. */
interface Held {
  waitMs: number;
}

async function attempt(
  { outgoing, clock, faults }: SenderOptions,
  { endpoint, secrets }: Work,
  { event }: queue.Head,
  signal: AbortSignal,
): Promise<rules.AttemptOutcome | Held> {
  const body = JSON.stringify(envelopeOf(event));
  const timestampSeconds = Math.floor(clock.nowMs() / 1_000);
  const signed = rules.signedHeaders({ id: event.id, timestampSeconds, body }, secrets);
  const startedMs = clock.monotonicMs();
  const latency = () => clock.monotonicMs() - startedMs;
  try {
    await faults?.at("webhooks.send", signal);
    const response = await outgoing.fetch(endpoint.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": "Plimsoll-Webhooks/1",
        ...signed,
      },
      body: faults ? await faults.corrupt("webhooks.send", body) : body,
      timeoutMs: answerTimeoutMs,
      maxRedirects: 0,
      tenantId: event.tenantId,
      signal,
    });
    const latencyMs = latency();
    // A body that breaks off does not undo the answer that came before it.
    const excerpt = await excerptOf(response).catch(() => null);
    const retryAfterMs = rules.retryAfter(response.headers["retry-after"], clock.nowMs());
    return { status: response.status, error: null, latencyMs, excerpt, retryAfterMs };
  } catch (error) {
    const waitMs = refusedForMs(error);
    if (waitMs !== null) return { waitMs };
    const { code, message } = error as { code?: string; message: string };
    const text = (code ? `${code}: ${message}` : message).slice(0, 500);
    return { status: null, error: text, latencyMs: latency(), excerpt: null, retryAfterMs: null };
  }
}

async function load(options: SenderOptions, tx: Tx, endpointId: string): Promise<Work | null> {
  const endpoint = await selectEndpoint(tx, endpointId);
  if (!endpoint?.active) return null;
  const nowIso = isoNow(options.clock);
  const limit = rules.batchSize(endpoint.failuresInRow, deliveriesAtOnce);
  const heads = await queue.selectHeads(tx, endpointId, nowIso, limit);
  const names = secretNames(endpointId);
  const current = await options.secrets.get(tx, names.current);
  if (current === null) {
    // Each statement sees what is committed by then: it may have been deleted in between.
    if (!(await selectEndpoint(tx, endpointId))) return null;
    throw new Error("The endpoint's signing secret is gone");
  }
  const overlaps = Date.parse(endpoint.oldSecretUntil ?? "") > options.clock.nowMs();
  const old = overlaps ? await options.secrets.get(tx, names.old) : null;
  return { endpoint, heads, secrets: old === null ? [current] : [current, old] };
}

/** What a round met. */
interface Round {
  /** Those that were sent, or tried to be, each with its outcome. */
  heads: readonly queue.Head[];
  outcomes: readonly rules.AttemptOutcome[];
  /** How long what was held back has to wait. */
  waitMs: number;
}

/**
 * Writes down what a round met, and gives the lease back. Whoever changes an endpoint and its
 * deliveries locks the endpoint first, then deliveries, then what is due.
 */
async function settle(
  { clock, metrics, log }: SenderOptions,
  tx: Tx,
  { leaseId, endpointId }: { leaseId: string; endpointId: string },
  { heads, outcomes, waitMs }: Round,
): Promise<void> {
  const endpoint = await selectEndpoint(tx, endpointId, true);
  if (!endpoint) return;
  const nowMs = clock.nowMs();
  const results = metrics.counter("webhook_attempts_total", "Webhook attempts", ["result"]);
  const verdicts = heads.map(({ attempts }, at) =>
    rules.judge(outcomes[at] as rules.AttemptOutcome, attempts + 1),
  );
  await queue.noteAttempts(
    tx,
    heads.map(({ deliveryId }, at) => {
      const verdict = verdicts[at] as rules.Verdict;
      results.inc({ result: verdict.state === "pending" ? "retry" : verdict.state });
      const retryInMs = verdict.state === "pending" ? verdict.retryInMs : 0;
      const outcome = outcomes[at] as rules.AttemptOutcome;
      const nextAttemptIso = isoOf(nowMs + retryInMs);
      return { deliveryId, atIso: isoOf(nowMs), outcome, state: verdict.state, nextAttemptIso };
    }),
  );
  const worked = verdicts.some(({ state }) => state === "delivered");
  const failuresInRow = worked ? 0 : endpoint.failuresInRow + heads.length;
  const failingSince = worked ? null : (endpoint.failingSince ?? isoOf(nowMs));
  const failingSinceMs = failingSince === null ? null : Date.parse(failingSince);
  const isNews = heads.length > 0;
  const disabledReason = isNews ? rules.disables(outcomes, failingSinceMs, nowMs) : null;
  if (isNews) {
    await queue.noteEndpoint(tx, endpoint.id, { failingSince, failuresInRow, disabledReason });
  }
  if (disabledReason) {
    log.warn(
      { tenant: tx.tenant.id, endpoint: endpoint.id, disabledReason },
      "webhook switched off",
    );
    const resource = { type: "webhook", id: endpoint.id };
    const after = { active: false, disabledReason };
    audit(tx, { action: "webhook.disable", resource, before: { active: true }, after });
    emit(tx, { type: "webhook.disabled", resource, data: { reason: disabledReason } });
  }
  const notBeforeIso = isoOf(nowMs + Math.max(rules.holdMs(failuresInRow), waitMs));
  const active = endpoint.active && disabledReason === null;
  await queue.releaseDue(tx, endpoint.id, { id: leaseId, active, notBeforeIso });
}

/** Serves one leased endpoint: sends what is next, notes how it went, gives the lease back. */
async function serve(
  options: SenderOptions,
  leaseId: string,
  { tenantId, endpointId }: queue.Due,
  signal: AbortSignal,
): Promise<void> {
  const { db } = options;
  const tenant = platformTenant(tenantId);
  const on = { actor, requestId: `webhook:${endpointId}` };
  const work = await db.inTenant(tenant, (tx) => load(options, tx, endpointId), on);
  if (!work) {
    const idle = { id: leaseId, active: false, notBeforeIso: "-infinity" };
    await db.inTenant(tenant, (tx) => queue.releaseDue(tx, endpointId, idle), on);
    return;
  }
  const sent = work.heads.map((head) => attempt(options, work, head, signal));
  const outcomes = await Promise.all(sent);
  await options.faults?.at("webhooks.settle");
  // What a stop cut short was no attempt.
  const round = roundOf(signal.aborted ? [] : work.heads, outcomes);
  const lease = { leaseId, endpointId };
  await db.inTenant(tenant, (tx) => settle(options, tx, lease, round), on);
}

function roundOf(
  heads: readonly queue.Head[],
  outcomes: readonly (rules.AttemptOutcome | Held)[],
): Round {
  const round = { heads: [] as queue.Head[], outcomes: [] as rules.AttemptOutcome[], waitMs: 0 };
  for (const [at, head] of heads.entries()) {
    const outcome = outcomes[at] as rules.AttemptOutcome | Held;
    if ("waitMs" in outcome) round.waitMs = Math.max(round.waitMs, outcome.waitMs);
    else {
      round.heads.push(head);
      round.outcomes.push(outcome);
    }
  }
  return round;
}

/** Leases up to `limit` endpoints and starts serving them; one promise for each. */
export async function sendDue(
  options: SenderOptions,
  limit: number,
  signal: AbortSignal,
): Promise<Promise<void>[]> {
  const { db, clock, random, log } = options;
  const nowMs = clock.nowMs();
  const lease = {
    id: random.id(),
    nowIso: isoOf(nowMs),
    untilIso: isoOf(nowMs + leaseMs),
    limit,
    perTenant: endpointsAtOncePerTenant,
  };
  const leased = await db.inPlatform((tx) => queue.leaseDue(tx, lease));
  return leased.map((due) =>
    // The lease runs out by itself, and another round tries again.
    serve(options, lease.id, due, signal).catch((error) =>
      log.warn(
        { err: error, tenant: due.tenantId, endpoint: due.endpointId },
        "webhook round failed",
      ),
    ),
  );
}

/**
 * Sends webhooks: at least once, in order per resource and endpoint, in as many processes as one
 * likes. Endpoints are leased one at a time, so a receiver that hangs holds up nobody else's.
 */
export function startSender(options: SenderOptions): Sender {
  const { clock, log, endpointsAtOnce = 32, pollMs = 500 } = options;
  const giveUp = new AbortController();
  const underWay = new Set<Promise<void>>();
  const loop = startLoop({
    name: "webhook sender",
    everyMs: pollMs,
    clock,
    log,
    async run() {
      const free = endpointsAtOnce - underWay.size;
      if (free <= 0) return false;
      for (const serving of await sendDue(options, free, giveUp.signal)) {
        underWay.add(serving);
        void serving.then(() => {
          underWay.delete(serving);
          loop.wake();
        });
      }
      return false;
    },
  });
  return {
    wake: () => loop.wake(),
    async stop() {
      await loop.stop();
      giveUp.abort(new Error("The sender is stopping"));
      await Promise.all(underWay);
    },
  };
}
