import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export const providerClient = { id: "plimsoll", secret: "a secret of the test client" };

/** What the provider says of an account; by the name that is typed at its sign-in page. */
export type People = Record<string, Record<string, unknown>>;

/** A real OpenID provider on loopback; its own development pages ask for a name and for consent. */
export async function startProvider(
  t: TestContext,
  { redirectUri, people }: { redirectUri: string; people: People },
): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => new Promise((resolve) => server.close(resolve)).then(() => {}));
  t.after(() => server.closeAllConnections());
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const name = "oidc-provider";
  const warn = console.warn;
  console.warn = () => {};
  const { default: Provider } = await import(name);
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: providerClient.id,
        client_secret: providerClient.secret,
        redirect_uris: [redirectUri],
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
    pkce: { required: () => true },
    scopes: ["openid", "email", "profile"],
    claims: { openid: ["sub"], email: ["email", "email_verified", "groups"], profile: ["name"] },
    findAccount: (_: unknown, sub: string) => ({
      accountId: sub,
      claims: () => ({ sub, ...people[sub] }),
    }),
  });
  console.warn = warn;
  server.on("request", provider.callback());
  return issuer;
}

/** Follows the provider's redirects and forms as a browser would; answers the callback's query. */
export async function walkThrough(
  start: string,
  redirectUri: string,
  who: string,
): Promise<string> {
  const jar = new Map<string, string>();
  let url = start;
  let body: URLSearchParams | null = null;
  for (let step = 0; step < 20; step += 1) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer: Response = await fetch(url, {
      redirect: "manual",
      headers: { cookie },
      ...(body && { method: "POST", body }),
    });
    body = null;
    for (const set of answer.headers.getSetCookie()) {
      const [pair = ""] = set.split(";");
      jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    const location = answer.headers.get("location");
    const text = await answer.text();
    if (location) {
      url = new URL(location, url).href;
      if (url.startsWith(redirectUri)) return new URL(url).search;
      continue;
    }
    const prompt = /name="prompt" value="(\w+)"/.exec(text)?.[1];
    assert.ok(prompt, text.slice(0, 2_000));
    body = new URLSearchParams({
      prompt,
      ...(prompt === "login" && { login: who, password: "x" }),
    });
    url = new URL(/action="([^"]+)"/.exec(text)?.[1] ?? "", url).href;
  }
  throw new Error("the provider never came back");
}
