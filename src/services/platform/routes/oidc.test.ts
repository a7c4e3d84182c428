import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import { providerClient, startProvider, walkThrough } from "#kernel/testing/oidc-provider.ts";
import { platform } from "../service.ts";

const publicUrl = "http://127.0.0.1:7070";
const redirectUri = `${publicUrl}/api/v1/auth/oidc/callback`;
const people = {
  ann: { email: "ann@acme.example", email_verified: true, name: "Ann", groups: "acme" },
};

// Guards against a single sign-on that works in parts: redirects, cookies, session, tenant.
test("a browser signs in at a real provider and comes back with a session", async (t) => {
  const issuer = await startProvider(t, { redirectUri, people });
  const { as, tenant } = await startTestApp(t, {
    services: [platform],
    config: {
      publicUrl,
      oidc: {
        issuer,
        clientId: providerClient.id,
        clientSecret: providerClient.secret,
        tenantClaim: "groups",
        tenantMapping: {},
        allowHttp: true,
      },
    },
  });
  await tenant("acme");
  const browser = as();
  assert.equal((await browser.get("/auth/methods")).body.sso, true);
  const start = await browser.get("/auth/oidc/start?returnTo=/orders");
  assert.equal(start.status, 302, start.text);
  const set = String(start.headers["set-cookie"]);
  assert.match(set, /^plimsoll_sso=[\w-]+; Path=\/api\/v1\/auth\/oidc; .*HttpOnly; SameSite=Lax$/);
  const cookie = set.split(";")[0] as string;
  const query = await walkThrough(String(start.headers.location), redirectUri, "ann");
  const html = { accept: "text/html" };
  const without = await browser.get(`/auth/oidc/callback${query}`, html);
  assert.equal(without.status, 302);
  assert.equal(without.headers.location, "/sign-in?error=ERR_IDENTITY_SSO_FAILED");
  assert.equal((await browser.get(`/auth/oidc/callback${query}`)).status, 401);
  const back = await browser.get(`/auth/oidc/callback${query}`, { ...html, cookie });
  assert.equal(back.status, 302, back.text);
  assert.equal(back.headers.location, "/orders");
  const cookies = [back.headers["set-cookie"]].flat().map(String);
  assert.match(cookies[0] ?? "", /^plimsoll_sso=; .*Max-Age=0/);
  const session = cookies[1]?.split(";")[0] ?? "";
  const fresh = await browser.post("/auth/refresh", undefined, { cookie: session });
  assert.equal(fresh.status, 200, fresh.text);
  assert.equal(fresh.body.user.email, "ann@acme.example");
  assert.equal(fresh.body.tenant.slug, "acme");
  assert.equal(fresh.body.role, "user");
});
