import type { Clock } from "#kernel/clock.ts";
import type { Credentials, CredentialStore } from "./credentials.ts";
import { readAnswer, type Transport } from "./transport.ts";

/** What registering, signing in and refreshing answer. */
export interface SignedIn {
  user: { id: string; email: string; name: string };
  tenant: { id: string; slug: string; name: string };
  accessToken: string;
  expiresInSeconds: number;
  refreshToken: string;
}

export interface Session {
  /** Who is signed in, with an access token that has not ended; null when nobody is. */
  current(): Promise<Credentials | null>;
  /** A new access token in place of one that was refused; null when the session is over. */
  renew(refusedToken: string): Promise<Credentials | null>;
  /** Keeps what a sign-in answered. */
  begin(answer: SignedIn): Promise<Credentials>;
  /** Forgets who was signed in, and tells who. */
  end(): Promise<Credentials | null>;
}

const renewAheadMs = 5_000;

/**
 * Who is signed in to the transport's API. Renewing goes under a lock that all command lines of a
 * user share: a refresh token works once, and using it twice would sign everyone out.
 */
export function createSession(transport: Transport, store: CredentialStore, clock: Clock): Session {
  const { origin } = transport;

  async function keep(answer: SignedIn): Promise<Credentials> {
    const { user, tenant, accessToken, refreshToken, expiresInSeconds } = answer;
    const credentials = {
      accessToken,
      refreshToken,
      expiresAtMs: clock.nowMs() + expiresInSeconds * 1000,
      email: user.email,
      tenant: { id: tenant.id, slug: tenant.slug, name: tenant.name },
    };
    await store.set(origin, credentials);
    return credentials;
  }

  const renew = (refusedToken: string) =>
    store.locked(async () => {
      const current = await store.get(origin);
      // Another command was quicker: its token is as good as a new one.
      if (!current || current.accessToken !== refusedToken) return current;
      const response = await transport.send({
        method: "POST",
        path: "/auth/refresh",
        body: { refreshToken: current.refreshToken },
      });
      if (response.status !== 401) return keep(await readAnswer<SignedIn>(response));
      await response.body?.cancel();
      await store.remove(origin);
      return null;
    });

  return {
    renew,
    async current() {
      const credentials = await store.get(origin);
      if (!credentials || credentials.expiresAtMs - renewAheadMs > clock.nowMs())
        return credentials;
      return renew(credentials.accessToken);
    },
    begin: (answer) => store.locked(() => keep(answer)),
    end: () =>
      store.locked(async () => {
        const credentials = await store.get(origin);
        if (credentials) await store.remove(origin);
        return credentials;
      }),
  };
}
