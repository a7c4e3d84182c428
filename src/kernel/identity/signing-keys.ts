import {
  calculateJwkThumbprint,
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from "jose";
import { auditPlatform } from "../audit/platform.ts";
import { type Clock, isoNow, isoOf } from "../clock.ts";
import type { Db, Transaction, Tx } from "../db/types.ts";
import type { Sealer } from "../secrets/seal.ts";
import { identityErrors } from "./errors.ts";
import { accessTokenTtlMs, clockToleranceMs } from "./lifetimes.ts";
import { signingKeyContext } from "./seal-contexts.ts";
import * as store from "./signing-key-store.ts";
import type { SigningAlgorithm, SigningKeyRow } from "./signing-key-store.ts";

/** How long anybody may keep the key set; a new key is published for longer before it signs. */
export const jwksMaxAgeSeconds = 300;
const publishLeadMs = (jwksMaxAgeSeconds + 60) * 1000;
/** A server whose clock is behind may sign with a retired key for so long. */
const skewMs = 60_000;
const refreshEveryMs = 5_000;
/** An unknown key id is looked up in the database this often at most, whoever asks. */
const unknownKidEveryMs = 1_000;
const historyAtMost = 50;

export interface SigningKey {
  kid: string;
  algorithm: SigningAlgorithm;
  key: CryptoKey;
}

/** A public key as others read it (RFC 7517). */
export interface PublicJwk {
  kty: string;
  crv: string;
  x: string;
  y?: string;
  kid: string;
  alg: SigningAlgorithm;
  use: "sig";
}

/** The keys that sign and verify access tokens, as this process knows them. */
export interface KeyRing {
  /** The key that signs at this moment. */
  signer(): Promise<SigningKey>;
  /** The key that a token names; null when there is none, or it is dead. */
  verifier(kid: string): Promise<SigningKey | null>;
  /** For `/.well-known/jwks.json`: keys that sign, will sign, or whose tokens are alive. */
  jwks(): { keys: PublicJwk[] };
  /** Reads the keys anew, as happens by itself every 5 s. */
  refresh(): Promise<void>;
  stop(): Promise<void>;
}

export interface KeyRingDeps {
  db: Db;
  clock: Clock;
  sealer: Sealer;
  log: { warn(fields: object, message: string): void };
  /** Of keys made from now on. */
  algorithm?: SigningAlgorithm;
}

interface Held extends SigningKey {
  row: SigningKeyRow;
  activatesAtMs: number;
  deadAtMs: number;
  privateKey?: Promise<CryptoKey>;
}

/** The keys in memory, and how they get there: one look at the database at a time. */
function holdKeys({ db, clock }: Pick<KeyRingDeps, "db" | "clock">) {
  let held: Held[] = [];
  let underWay: Promise<void> | null = null;

  async function load(): Promise<void> {
    const now = isoNow(clock);
    const rows = await db.inPlatform((tx) => store.listLiveSigningKeys(tx, now));
    held = await Promise.all(
      rows.map(async (row) => held.find((one) => isSame(one.row, row)) ?? hold(row)),
    );
  }

  return {
    refresh(): Promise<void> {
      underWay ??= load().finally(() => {
        underWay = null;
      });
      return underWay;
    },
    underWay: () => underWay,
    /** Keys that are not dead, newest first. */
    live: () => held.filter((one) => one.deadAtMs > clock.nowMs()),
  };
}

/**
 * Loads the signing keys, making the first one when there is none: of several servers that start
 * at once on an empty database, exactly one does. Then keeps them fresh until stopped. Rejects when
 * the master key does not open the key that signs.
 */
export async function startKeyRing(deps: KeyRingDeps): Promise<KeyRing> {
  const { clock, sealer, log } = deps;
  const keys = holdKeys(deps);
  const find = (kid: string) => keys.live().find((one) => one.kid === kid) ?? null;
  let lastLookupMs = Number.NEGATIVE_INFINITY;

  async function signer(): Promise<SigningKey> {
    const nowMs = clock.nowMs();
    const isInUse = (one: Held) => one.activatesAtMs <= nowMs && one.row.sealedPrivate !== null;
    const current = keys.live().find(isInUse);
    if (!current) throw new Error("There is no signing key that is in use");
    current.privateKey ??= openPrivate(current.row, sealer);
    const { kid, algorithm } = current;
    return { kid, algorithm, key: await current.privateKey };
  }

  await ensureFirstKey(deps);
  await keys.refresh();
  await signer();
  const stopping = new AbortController();
  const loop = refreshUntil(stopping.signal, { clock, log, refresh: keys.refresh });

  return {
    signer,
    async verifier(kid) {
      const known = find(kid);
      if (known) return known;
      const nowMs = clock.monotonicMs();
      const underWay = keys.underWay();
      if (!underWay && nowMs - lastLookupMs < unknownKidEveryMs) return null;
      if (!underWay) lastLookupMs = nowMs;
      await (underWay ?? keys.refresh());
      return find(kid);
    },
    jwks: () => ({
      keys: keys.live().map(({ row }) => publish(row)),
    }),
    refresh: keys.refresh,
    async stop() {
      stopping.abort();
      await Promise.allSettled([loop, keys.underWay()]);
    },
  };
}

function publish({ publicJwk, kid, algorithm }: SigningKeyRow): PublicJwk {
  const { kty = "", crv = "", x = "", y } = publicJwk;
  return { kty, crv, x, ...(y !== undefined && { y }), kid, alg: algorithm, use: "sig" };
}

async function refreshUntil(
  stopped: AbortSignal,
  { clock, log, refresh }: Pick<KeyRingDeps, "clock" | "log"> & Pick<KeyRing, "refresh">,
): Promise<void> {
  while (!stopped.aborted) {
    try {
      await clock.sleep(refreshEveryMs, stopped);
      await refresh();
    } catch (error) {
      if (!stopped.aborted) log.warn({ err: error }, "signing keys were not refreshed");
    }
  }
}

function isSame(left: SigningKeyRow, right: SigningKeyRow): boolean {
  return left.kid === right.kid && left.deadAt === right.deadAt;
}

async function hold(row: SigningKeyRow): Promise<Held> {
  return {
    kid: row.kid,
    algorithm: row.algorithm,
    key: (await importJWK(row.publicJwk, row.algorithm)) as CryptoKey,
    row,
    activatesAtMs: Date.parse(row.activatesAt),
    deadAtMs: row.deadAt === null ? Number.POSITIVE_INFINITY : Date.parse(row.deadAt),
  };
}

async function openPrivate(row: SigningKeyRow, sealer: Sealer): Promise<CryptoKey> {
  const jwk = JSON.parse(
    sealer.open(row.sealedPrivate as Buffer, signingKeyContext(row.kid)).toString(),
  ) as JWK;
  return (await importJWK(jwk, row.algorithm)) as CryptoKey;
}

async function newKey(
  tx: Transaction,
  deps: Pick<KeyRingDeps, "sealer" | "algorithm">,
  times: { createdAtMs: number; activatesAtMs: number; createdBy: string | null },
): Promise<string> {
  const algorithm = deps.algorithm ?? "EdDSA";
  const pair = await generateKeyPair(algorithm, { extractable: true });
  const publicJwk = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  const secret = Buffer.from(JSON.stringify(await exportJWK(pair.privateKey)));
  await store.insertSigningKey(tx, {
    kid,
    algorithm,
    publicJwk,
    sealedPrivate: deps.sealer.seal(secret, signingKeyContext(kid)),
    createdAt: isoOf(times.createdAtMs),
    activatesAt: isoOf(times.activatesAtMs),
    createdBy: times.createdBy,
  });
  return kid;
}

async function ensureFirstKey(deps: KeyRingDeps): Promise<void> {
  await deps.db.inPlatform(async (tx) => {
    await store.lockSigningKeys(tx);
    if ((await store.listSigningKeys(tx, 1)).length > 0) return;
    const nowMs = deps.clock.nowMs();
    await newKey(tx, deps, { createdAtMs: nowMs, activatesAtMs: nowMs, createdBy: null });
  });
}

export type SigningKeyState = "pending" | "signing" | "verifying" | "dead";

export interface SigningKeyStatus {
  kid: string;
  algorithm: SigningAlgorithm;
  state: SigningKeyState;
  createdAt: string;
  activatesAt: string;
  retiresAt: string | null;
  deadAt: string | null;
  ageSeconds: number;
}

function statusOf(row: SigningKeyRow, nowMs: number): SigningKeyStatus {
  const { kid, algorithm, createdAt, activatesAt, retiresAt, deadAt } = row;
  const isPast = (at: string | null) => at !== null && Date.parse(at) <= nowMs;
  const state = isPast(deadAt)
    ? "dead"
    : isPast(retiresAt)
      ? "verifying"
      : isPast(activatesAt)
        ? "signing"
        : "pending";
  const ageSeconds = Math.max(0, Math.floor((nowMs - Date.parse(createdAt)) / 1000));
  return { kid, algorithm, state, createdAt, activatesAt, retiresAt, deadAt, ageSeconds };
}

/** Every key there was, newest first, at most 50. */
export async function signingKeyStatus(
  tx: Transaction,
  { clock }: { clock: Clock },
): Promise<SigningKeyStatus[]> {
  const rows = await store.listSigningKeys(tx, historyAtMost);
  return rows.map((row) => statusOf(row, clock.nowMs()));
}

/**
 * Makes a new signing key. It is published at once, signs after every cache of the key set has had
 * time to expire, and the one before verifies until its last token is dead. `confirm` is the id of
 * the key that signs now: ERR_IDENTITY_ROTATION_CONFLICT when it is another, or when a new key is
 * waiting already, so that a repeated request rotates once.
 */
export async function rotateSigningKey(
  tx: Tx,
  deps: {
    clock: Clock;
    sealer: Sealer;
    keys: Pick<KeyRing, "refresh">;
    algorithm?: SigningAlgorithm;
  },
  { confirm }: { confirm: string },
): Promise<SigningKeyStatus> {
  const nowMs = deps.clock.nowMs();
  await store.lockSigningKeys(tx);
  const [newest] = await store.listSigningKeys(tx, 1);
  if (!newest || newest.kid !== confirm || Date.parse(newest.activatesAt) > nowMs) {
    throw identityErrors.rotation_conflict({
      detail: newest && `The newest key is ${newest.kid}, in use from ${newest.activatesAt}`,
    });
  }
  const activatesAtMs = nowMs + publishLeadMs;
  const deadAtMs = activatesAtMs + accessTokenTtlMs + clockToleranceMs + skewMs;
  await store.retireSigningKey(tx, {
    kid: newest.kid,
    retiresAt: isoOf(activatesAtMs),
    deadAt: isoOf(deadAtMs),
  });
  await store.erasePrivateParts(tx, isoOf(nowMs));
  const times = { createdAtMs: nowMs, activatesAtMs, createdBy: tx.actor.userId };
  const kid = await newKey(tx, deps, times);
  const [row] = await store.listSigningKeys(tx, 1);
  const after = statusOf(row as SigningKeyRow, nowMs);
  auditPlatform(tx, {
    action: "signing_key.rotate",
    resource: { type: "signing_key", id: kid },
    before: statusOf(newest, nowMs),
    after,
  });
  // A failure is no harm: the ring tries again by itself, long before the key signs.
  tx.afterCommit(() => void deps.keys.refresh().catch(() => null));
  return after;
}
