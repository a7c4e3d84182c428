import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { OidcConfig } from "../config.ts";
import {
  asPrincipal,
  auditActions,
  principalOf,
  registerPerson,
  startIdentity,
  type TestIdentity,
  testClient,
} from "../testing/identity.ts";
import { providerClient, startProvider, walkThrough } from "../testing/oidc-provider.ts";
import { login } from "./accounts.ts";
import { updateMember } from "./members.ts";
import { createOidc, localPath, type Oidc } from "./oidc.ts";
import { setUserActive } from "./people.ts";
import { signInWithSso } from "./sso.ts";

const redirectUri = "http://127.0.0.1:7070/api/v1/auth/oidc/callback";

/** What the provider says of an account; by the name that is typed at its sign-in page. */
const people: Record<string, Record<string, unknown>> = {
  ann: { email: "ann@acme.example", email_verified: true, name: "Ann", groups: ["x", "acme"] },
  ben: { email: "ben@acme.example", email_verified: false, name: "Ben", groups: ["acme"] },
  ada: { email: "ada@example.com", email_verified: true, name: "Other Ada", groups: ["acme"] },
  cat: { email: "cat@else.example", email_verified: true, name: "Cat", groups: ["elsewhere"] },
};

const policies = {
  for: (name: string) => ({
    name,
    refuses: () => false,
    execute: <T>(call: (signal: AbortSignal) => Promise<T>) => call(new AbortController().signal),
  }),
};

function connect(id: TestIdentity, issuer: string, config: Partial<OidcConfig> = {}): Oidc {
  return createOidc({
    ...id,
    redirectUri,
    policies,
    config: {
      issuer,
      clientId: providerClient.id,
      clientSecret: providerClient.secret,
      tenantClaim: "groups",
      tenantMapping: { acme: "acme-ltd" },
      allowHttp: true,
      ...config,
    },
  });
}

async function claimsOf(oidc: Oidc, who: string, returnTo = "/orders?x=1") {
  const { url, cookie } = await oidc.start(returnTo);
  const query = await walkThrough(url, redirectUri, who);
  return oidc.finish({ query, cookie });
}

async function startAll(t: TestContext) {
  const issuer = await startProvider(t, { redirectUri, people });
  const id = await startIdentity(t);
  const acme = await registerPerson(id, "acme");
  const oidc = connect(id, issuer);
  const signIn = async (who: string) =>
    signInWithSso(id, { claims: (await claimsOf(oidc, who)).claims, client: testClient });
  return { id, issuer, acme, oidc, signIn };
}

// Guards against a sign-in that a real provider's answer does not fit, or into the wrong tenant.
test("a person of a real provider gets an account, and the same one again", async (t) => {
  const { id, issuer, acme, oidc, signIn } = await startAll(t);
  const { claims, returnTo } = await claimsOf(oidc, "ann");
  assert.equal(returnTo, "/orders?x=1");
  assert.deepEqual(claims, {
    issuer,
    subject: "ann",
    email: "ann@acme.example",
    name: "Ann",
    tenantSlugs: ["acme-ltd"],
  });
  const first = await signIn("ann");
  assert.equal(first.tenant.id, acme.tenant.id);
  assert.equal(first.role, "user");
  assert.equal(first.user.name, "Ann");
  people.ann = { ...people.ann, email: "renamed@acme.example" };
  const second = await signIn("ann");
  assert.equal(second.user.id, first.user.id);
  assert.deepEqual((await auditActions(id, acme.tenant.id)).slice(-3), [
    "member.create",
    "auth.login",
    "auth.login",
  ]);
  const credentials = { email: "ann@acme.example", password: "" };
  await assert.rejects(login(id, { credentials, client: testClient }), {
    code: "ERR_IDENTITY_INVALID_CREDENTIALS",
  });
});

// Guards against taking over an account by claiming its e-mail address at the provider.
test("an e-mail address of an account that exists links nothing", async (t) => {
  const { id, signIn } = await startAll(t);
  const ada = await registerPerson(id, "ada");
  await assert.rejects(signIn("ada"), { code: "ERR_IDENTITY_SSO_EMAIL_TAKEN" });
  await principalOf(id, ada);
  // An address that the provider has not verified makes no account either.
  await assert.rejects(signIn("ben"), { code: "ERR_IDENTITY_SSO_FAILED" });
});

// Guards against single sign-on as a way around deactivation, or into a tenant nobody mapped.
test("deactivated people and people without a mapped tenant stay out", async (t) => {
  const { id, acme, signIn } = await startAll(t);
  await assert.rejects(signIn("cat"), { code: "ERR_IDENTITY_NO_TENANT" });
  people.dan = { email: "dan@acme.example", email_verified: true, groups: ["acme"] };
  const dan = await signIn("dan");
  const admin = await principalOf(id, acme);
  const setMember = (active: boolean) =>
    asPrincipal(id, admin, (tx) =>
      updateMember(tx, id, {
        id: dan.user.id,
        version: null,
        change: { active },
        holder: admin.permissions,
      }),
    );
  await setMember(false);
  await assert.rejects(signIn("dan"), { code: "ERR_IDENTITY_NO_TENANT" });
  await setMember(true);
  await asPrincipal(id, admin, (tx) => setUserActive(tx, id, { id: dan.user.id, active: false }));
  await assert.rejects(signIn("dan"), { code: "ERR_IDENTITY_SSO_FAILED" });
});

// Guards against answers of another browser, another time, another place, or changed on the way.
test("state, nonce, verifier and cookie must belong together", async (t) => {
  const { id, issuer, oidc } = await startAll(t);
  const failed = { code: "ERR_IDENTITY_SSO_FAILED" };
  const mine = await oidc.start("/");
  const other = await oidc.start("/");
  const query = await walkThrough(mine.url, redirectUri, "ann");
  await assert.rejects(oidc.finish({ query, cookie: other.cookie }), failed);
  for (const cookie of ["", "junk", mine.cookie.slice(2), "A".repeat(3_000)]) {
    await assert.rejects(oidc.finish({ query, cookie }), failed);
  }
  const { cookie } = mine;
  await assert.rejects(oidc.finish({ query: query.replace("code=", "code=x"), cookie }), failed);
  await assert.rejects(oidc.finish({ query: "?error=access_denied&state=x", cookie }), failed);
  await assert.rejects(oidc.finish({ query: "", cookie }), failed);
  await assert.rejects(oidc.finish({ query: `${query}&state=twice`, cookie }), failed);
  const again = await walkThrough(mine.url, redirectUri, "ann");
  await oidc.finish({ query: again, cookie });
  await assert.rejects(oidc.finish({ query: again, cookie }), failed);
  const late = await oidc.start("/");
  id.clock.advance(10 * 60_000);
  await assert.rejects(oidc.finish({ query, cookie: late.cookie }), failed);
  const url = new URL(mine.url);
  assert.equal(url.origin, issuer);
  assert.equal(url.searchParams.get("code_challenge_method"), "S256");
  assert.equal(cookie.includes(url.searchParams.get("state") ?? "x"), false);
});

// Guards against secrets in the clear, and against a provider's outage that reads like a refusal.
test("plain HTTP needs to be allowed, and a dead provider is 503", async (t) => {
  const { id, issuer } = await startAll(t);
  const unavailable = { code: "ERR_IDENTITY_SSO_UNAVAILABLE" };
  await assert.rejects(connect(id, issuer, { allowHttp: false }).start("/"), unavailable);
  const dead = connect(id, "http://127.0.0.1:1");
  await assert.rejects(dead.start("/"), unavailable);
  const { url } = await connect(id, issuer).start("/");
  assert.equal(url.startsWith(issuer), true);
});

// Guards against a mapping by an e-mail domain that anybody can claim.
test("without a tenant claim, the verified e-mail address's domain maps to a tenant", async (t) => {
  const { id, issuer } = await startAll(t);
  const mapping = { "acme.example": "acme-ltd" };
  const { id: clientId, secret: clientSecret } = providerClient;
  const config = { issuer, clientId, clientSecret, tenantMapping: mapping, allowHttp: true };
  const byDomain = createOidc({ ...id, redirectUri, policies, config });
  assert.deepEqual((await claimsOf(byDomain, "ann")).claims.tenantSlugs, ["acme-ltd"]);
  assert.deepEqual((await claimsOf(byDomain, "ben")).claims.tenantSlugs, []);
  assert.deepEqual((await claimsOf(byDomain, "cat")).claims.tenantSlugs, []);
  const unmapped = connect(id, issuer, { tenantMapping: {} });
  assert.deepEqual((await claimsOf(unmapped, "ann")).claims.tenantSlugs, ["x", "acme"]);
  const odd = connect(id, issuer, { tenantClaim: "name", tenantMapping: { Ann: "acme-ltd" } });
  assert.deepEqual((await claimsOf(odd, "ann")).claims.tenantSlugs, ["acme-ltd"]);
});

// Guards against a sign-in that ends on somebody else's site.
test("the way back is a path of this site", () => {
  for (const good of ["/", "/orders?x=1#y", "/a/b"]) assert.equal(localPath(good), good);
  const bad = ["", "//evil.example", "https://evil.example", "/\\evil.example", "javascript:1"];
  for (const path of [...bad, "/a\r\nb", "/ x", "/\tx", `/${"x".repeat(600)}`, "orders"]) {
    assert.equal(localPath(path), "/", path);
  }
});
