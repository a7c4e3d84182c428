import { type Clock, systemClock } from "#kernel/clock.ts";
import { type Random, systemRandom } from "#kernel/random.ts";
import type { CredentialStore } from "./credentials.ts";
import type { Page } from "./output.ts";
import { createSession, type Session } from "./session.ts";
import { type Call, createTransport, patiently, readAnswer, refusal } from "./transport.ts";

type Headers = Readonly<Record<string, string>>;

export interface Client {
  /** Where the API is. */
  readonly api: string;
  readonly session: Session;
  readonly clock: Clock;
  /** Who asks, as headers; `refused` are those that the server no longer takes. */
  credentials(refused?: Headers): Promise<Headers>;
  /** The answer, parsed; null for an empty one. Throws ApiError when the server refuses. */
  call<T = Record<string, unknown>>(call: Call): Promise<T>;
  /** The answer with its body unread, for streams and files. Throws ApiError likewise. */
  open(call: Call): Promise<Response>;
  /** One page of a list; with `all`, every page (100,000 items at most) as one. */
  list(call: Call, options?: { all?: boolean }): Promise<Page>;
}

export interface ClientOptions {
  api: string;
  /** Used instead of whoever is signed in. */
  apiKey?: string | undefined;
  store: CredentialStore;
  clock?: Clock;
  random?: Random;
  fetch?: typeof fetch;
}

const itemsAtMost = 100_000;
const pageItems = 100;

/** Talks to one API, with an API key or as whoever is signed in there. */
export function createClient(options: ClientOptions): Client {
  const { apiKey, store, clock = systemClock } = options;
  const random = options.random ?? systemRandom(clock);
  const transport = createTransport(options.api, options.fetch ?? fetch);
  const session = createSession(transport, store, clock);

  async function sendSignedIn(call: Call): Promise<Response> {
    let credentials = await session.current();
    const send = () =>
      transport.send(
        call,
        credentials ? { authorization: `Bearer ${credentials.accessToken}` } : {},
      );
    const response = await patiently(clock, call, send);
    if (response.status !== 401 || !credentials) return response;
    if (call.body instanceof ReadableStream) return response;
    credentials = await session.renew(credentials.accessToken);
    if (!credentials) return response;
    await response.body?.cancel();
    return patiently(clock, call, send);
  }

  async function open(given: Call): Promise<Response> {
    const call = given.isCreation
      ? { ...given, headers: { "idempotency-key": random.id(), ...given.headers } }
      : given;
    const isSignedIn = !call.isAnonymous && !apiKey;
    const key: Record<string, string> = apiKey && !call.isAnonymous ? { "x-api-key": apiKey } : {};
    const response = isSignedIn
      ? await sendSignedIn(call)
      : await patiently(clock, call, () => transport.send(call, key));
    if (!response.ok) throw await refusal(response);
    return response;
  }

  async function credentialsOf(refused?: Headers): Promise<Headers> {
    if (apiKey) return { "x-api-key": apiKey };
    const token = refused?.authorization?.slice("Bearer ".length);
    const known = token === undefined ? await session.current() : await session.renew(token);
    return known ? { authorization: `Bearer ${known.accessToken}` } : {};
  }

  const call = async <T>(wanted: Call) => readAnswer<T>(await open(wanted));

  return {
    api: transport.origin,
    session,
    clock,
    credentials: credentialsOf,
    call,
    open,
    async list(wanted, { all = false } = {}) {
      const page = (query: Call["query"]) =>
        call<Page>({ ...wanted, query: { ...wanted.query, ...query } });
      const first = await page(all ? { limit: pageItems } : {});
      const items = [...first.items];
      let { nextCursor } = first;
      while (all && nextCursor !== null && items.length < itemsAtMost) {
        const next = await page({ limit: pageItems, cursor: nextCursor });
        items.push(...next.items);
        nextCursor = next.nextCursor;
      }
      return { ...first, items, nextCursor };
    },
  };
}
