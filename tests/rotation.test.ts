import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { type RunningApp, startApp } from "#kernel/app.ts";
import type { ManualClock } from "#kernel/clock.ts";
import {
  jwksMaxAgeSeconds,
  type SigningKey,
  type SigningKeyStatus,
} from "#kernel/identity/signing-keys.ts";
import { systemRandom } from "#kernel/random.ts";
import { startTestApp } from "#kernel/testing.ts";
import { createClient } from "#kernel/testing/client.ts";
import { seedPerson } from "#kernel/testing/people.ts";
import { services } from "../src/services.ts";

const secondMs = 1_000;
const stepMs = 20 * secondMs;
const tokenLifeMs = 900 * secondMs;
const rotationsWanted = 3;
/** How old each caller lets its token become: from often to just before the end. */
const refreshAgesMs = [60, 240, 480, 700, 820, 860].map((seconds) => seconds * secondMs);

/** Two servers over one database, which share a clock that the test holds. */
interface Pair {
  clock: ManualClock;
  apps: readonly RunningApp[];
  caller(role: string, refreshAgeMs: number): Promise<Caller>;
}

interface Caller {
  /** The access token in use. */
  token(): string;
  /** Requests that were answered, and what was wrong with any of them. */
  answered(): number;
  faults: string[];
  /** Asks the next server, with a fresh token from either once the old one has come of age. */
  ask(method?: "get" | "post", path?: string, body?: unknown): Promise<unknown>;
}

async function startPair(t: TestContext): Promise<Pair> {
  const apps: RunningApp[] = [];
  // Registered first: the second server ends before the first one takes the database along.
  t.after(async () => {
    const [first, second] = apps;
    if (first && second) await stopWhileTimePasses(second, house.clock);
  });
  const house = await startTestApp(t, { services });
  const { app, clock } = house;
  const { config, log } = app;
  const random = systemRandom(clock);
  const second = await startApp({ config, services, version: "0.0.0", clock, random, log });
  apps.push(app, second);
  await second.mount();
  const tenant = await house.tenant("acme");
  const caller = async (role: string, refreshAgeMs: number) => {
    const { signedIn } = await seedPerson(app, tenant, role);
    return startCaller({ apps, clock }, signedIn, refreshAgeMs);
  };
  return { clock, apps, caller };
}

async function stopWhileTimePasses(app: RunningApp, clock: ManualClock): Promise<void> {
  let stopped = false;
  const stopping = app.stop().finally(() => {
    stopped = true;
  });
  while (!stopped) {
    clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await stopping;
}

function startCaller(
  { apps, clock }: Pick<Pair, "apps" | "clock">,
  signedIn: { accessToken: string; refreshToken: string },
  refreshAgeMs: number,
): Caller {
  let { accessToken, refreshToken } = signedIn;
  let mintedAtMs = clock.nowMs();
  let turn = 0;
  let answered = 0;
  const faults: string[] = [];
  const next = (headers: Record<string, string> = {}) => {
    turn += 1;
    return createClient((apps[turn % apps.length] as RunningApp).http.app, async () => headers);
  };
  const refresh = async () => {
    const answer = await next().post("/auth/refresh", { refreshToken });
    assert.equal(answer.status, 200, answer.text);
    ({ accessToken, refreshToken } = answer.body);
    mintedAtMs = clock.nowMs();
  };
  return {
    token: () => accessToken,
    answered: () => answered,
    faults,
    async ask(method = "get", path = "/shops", body) {
      if (clock.nowMs() - mintedAtMs >= refreshAgeMs) await refresh();
      const client = next({ authorization: `Bearer ${accessToken}` });
      const answer = method === "get" ? await client.get(path) : await client.post(path, body);
      const asExpected = answer.status === (method === "get" ? 200 : 201);
      if (!asExpected)
        faults.push(`${answer.status} ${answer.body?.code} for ${kidOf(accessToken)}`);
      answered += 1;
      return answer.body;
    },
  };
}

const kidOf = (token: string) => decodeProtectedHeader(token).kid as string;

/** Asks without pause until told to stop; `through` waits until everybody has been answered. */
function startLoad(callers: readonly Caller[]) {
  let stopping = false;
  const loops = callers.map(async (caller) => {
    while (!stopping) await caller.ask();
  });
  const failed = Promise.all(loops);
  return {
    /** Twice: the first of two answers may be to a request from before. */
    async through() {
      const before = callers.map(({ answered }) => answered() + 2);
      const isBehind = () => callers.some(({ answered }, at) => answered() < (before[at] ?? 0));
      while (isBehind()) {
        await Promise.race([failed, new Promise((resolve) => setImmediate(resolve))]);
      }
    },
    async stop() {
      stopping = true;
      await failed;
    },
  };
}

async function jwksOf(app: RunningApp): Promise<Set<string>> {
  const answer = await createClient(app.http.app, async () => ({})).get("/.well-known/jwks.json");
  assert.equal(answer.status, 200);
  return new Set(answer.body.keys.map(({ kid }: { kid: string }) => kid));
}

/** What others know of the keys: what each server says now, and the oldest copy they may use. */
function watchKeys({ apps, clock }: Pair) {
  let copy = new Set<string>();
  let copiedAtMs = Number.NEGATIVE_INFINITY;
  let looks = 0;
  return async (tokens: readonly string[]) => {
    looks += 1;
    const published = await Promise.all(apps.map(jwksOf));
    if (clock.nowMs() - copiedAtMs >= jwksMaxAgeSeconds * secondMs) {
      copy = published[looks % published.length] as Set<string>;
      copiedAtMs = clock.nowMs();
    }
    for (const token of tokens) {
      const kid = kidOf(token);
      for (const kids of [...published, copy]) {
        assert.ok(kids.has(kid), `${kid} of a live token is not published`);
      }
    }
    return published;
  };
}

/** A fresh token for the same session as `token`, signed with any key. */
function signAgain(token: string, { key, kid, algorithm }: SigningKey, clock: ManualClock) {
  const iat = Math.floor(clock.nowMs() / secondMs);
  return new SignJWT({ ...decodeJwt(token), iat, exp: iat + tokenLifeMs / secondMs })
    .setProtectedHeader({ alg: algorithm, kid, typ: "at+jwt" })
    .sign(key);
}

interface Retired {
  /** With its private part, as the server had it. */
  signer: SigningKey;
  diesAtMs: number;
}

/** Rotates through the API whenever the newest key has come into use. */
async function startRotating({ apps, caller }: Pair) {
  const admin = await caller("admin", 300 * secondMs);
  const retired: Retired[] = [];
  let newest: SigningKeyStatus | null = null;
  return {
    retired,
    newest: () => newest,
    async rotateWhenDue(nowMs: number) {
      if (retired.length === rotationsWanted) return;
      if (newest && Date.parse(newest.activatesAt) > nowMs) return;
      const signer = await (apps[0] as RunningApp).identity.keys.signer();
      const confirm = { confirm: signer.kid };
      const rotate = "/admin/signing-keys/rotate";
      newest = (await admin.ask("post", rotate, confirm)) as SigningKeyStatus;
      const list = (await admin.ask("get", "/admin/signing-keys")) as { items: SigningKeyStatus[] };
      assert.deepEqual(admin.faults, []);
      const old = list.items.find(({ kid }) => kid === signer.kid);
      assert.ok(old?.deadAt);
      retired.push({ signer, diesAtMs: Date.parse(old.deadAt) });
    },
    /** Whether every key but the newest is dead. */
    isOver: (nowMs: number) =>
      retired.length === rotationsWanted && retired.every(({ diesAtMs }) => diesAtMs <= nowMs),
  };
}

/** Only the newest key counts any more; what is refused is refused for its key and nothing else. */
async function assertDead(pair: Pair, token: string, retired: readonly Retired[], newest: string) {
  const ask = (app: RunningApp, bearer: string) =>
    createClient(app.http.app, async () => ({ authorization: `Bearer ${bearer}` })).get("/shops");
  for (const app of pair.apps) {
    const living = await signAgain(token, await app.identity.keys.signer(), pair.clock);
    assert.equal((await ask(app, living)).status, 200);
    for (const { signer } of retired) {
      const answer = await ask(app, await signAgain(token, signer, pair.clock));
      assert.equal(answer.status, 401);
      assert.equal(answer.body.code, "ERR_IDENTITY_INVALID_TOKEN");
    }
    assert.deepEqual([...(await jwksOf(app))], [newest]);
  }
}

// Guards against a rotation that signs people out, on the server that rotates or on another, and
// against a key that outlives its tokens.
test("rotating the signing key under load refuses no live token, only dead keys'", async (t) => {
  const pair = await startPair(t);
  const { clock } = pair;
  const rotating = await startRotating(pair);
  const callers = await Promise.all(refreshAgesMs.map((ageMs) => pair.caller("user", ageMs)));
  const load = startLoad(callers);
  const look = watchKeys(pair);
  const minted = new Set<string>();
  try {
    while (!rotating.isOver(clock.nowMs())) {
      await rotating.rotateWhenDue(clock.nowMs());
      clock.advance(stepMs);
      await load.through();
      const tokens = callers.map(({ token }) => token());
      for (const token of tokens) minted.add(token);
      await look(tokens);
      const faults = callers.flatMap((caller) => caller.faults);
      assert.deepEqual(faults, []);
    }
  } finally {
    await load.stop();
  }
  const kids = new Set([...minted].map(kidOf));
  assert.equal(kids.size, rotationsWanted + 1, "every key has signed");
  const newest = rotating.newest()?.kid ?? "";
  await assertDead(pair, callers[0]?.token() ?? "", rotating.retired, newest);
  const asked = callers.reduce((sum, { answered }) => sum + answered(), 0);
  t.diagnostic(`${asked} requests with ${minted.size} tokens over ${kids.size} keys, no false 401`);
});
